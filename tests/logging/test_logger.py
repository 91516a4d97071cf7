from __future__ import annotations

import io
import itertools
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.logging import MMLogger, print_log
from toolkit.utils import ConfigError

_names = (f"logger {number}" for number in itertools.count())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make(**kwargs: object) -> MMLogger:
    return MMLogger.get_instance(next(_names), **kwargs)


def test_a_line_on_the_console_and_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = make(log_file=tmp_path / "deep" / "run.log")
    logger.info("hello")
    logger.debug("not said")
    out = capsys.readouterr().out
    assert out.endswith(" - toolkit - INFO - hello\n")
    assert "\033" not in out
    text = (tmp_path / "deep" / "run.log").read_text()
    assert text.endswith(" - toolkit - INFO - hello\n")
    assert logger.log_file == str(tmp_path / "deep" / "run.log")


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logger = make(log_file=tmp_path / "run.log")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    logger.error("red")
    assert "\033[31mERROR\033[0m - red" in sys.stdout.getvalue()
    assert "\033" not in (tmp_path / "run.log").read_text()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", Terminal())
    logger.error("plain")
    assert "\033" not in sys.stdout.getvalue()


def test_level_can_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    logger = make(log_level="WARNING")
    logger.info("quiet")
    logger.setLevel("INFO")
    for handler in logger.handlers:
        handler.setLevel(logging.INFO)
    logger.info("loud")
    assert "quiet" not in (out := capsys.readouterr().out)
    assert "loud" in out


def test_unknown_level() -> None:
    with pytest.raises(ConfigError, match="did you mean 'INFO'"):
        make(log_level="INFOO")


def test_a_warning_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = make()
    for _ in range(3):
        logger.warning("careful")
        logger.info("on and on")
    out = capsys.readouterr().out
    assert out.count("careful") == 1
    assert out.count("on and on") == 3


def test_what_lower_layers_log_reaches_the_newest_logger(tmp_path: Path) -> None:
    older = make(log_file=tmp_path / "older.log")
    make(log_file=tmp_path / "newer.log")
    logging.getLogger("toolkit.dataset.voc").info("dropped %d boxes", 3)
    logging.getLogger("toolkit.dataset.voc").debug("detail")
    logging.getLogger("elsewhere").warning("not ours")
    text = (tmp_path / "newer.log").read_text()
    assert "toolkit.dataset.voc - INFO - dropped 3 boxes" in text
    assert text.count("\n") == 1
    assert (tmp_path / "older.log").read_text() == ""
    assert older is not MMLogger.get_current_instance()


def test_traceback_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logger = make()
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logger.exception("it failed")
    assert "RuntimeError: broken" in capsys.readouterr().out


def test_rotating_file(tmp_path: Path) -> None:
    cfg = {"type": "RotatingFileHandler", "maxBytes": 200, "backupCount": 2}
    logger = make(log_file=tmp_path / "run.log", file_handler_cfg=cfg)
    for number in range(20):
        logger.info("line %d", number)
    assert (tmp_path / "run.log.1").exists()
    with pytest.raises(ConfigError, match="did you mean 'RotatingFileHandler'"):
        make(log_file=tmp_path / "run.log", file_handler_cfg={"type": "RotatingFileHandle"})


_RANK = """
import sys, torch.distributed as dist
from toolkit.logging import MMLogger
folder = sys.argv[1]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=int(sys.argv[2]), world_size=2)
for name in ("first", "all"):
    logger = MMLogger.get_instance(name, log_file=f"{sys.argv[1]}/{name}.log", distributed=name == "all")
    logger.info("said by all")
    logger.error("error of %s", sys.argv[2])
dist.barrier()
"""


def test_ranks(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RANK, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LOCAL_RANK": "0", "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True, env=env) for rank in (0, 1)
    ]
    first, second = (process.communicate(timeout=100)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert "said by all" in first
    assert "said by all" not in second
    assert "error of 1" in second
    names = [path.name for path in tmp_path.glob("*.log")]
    logs = sorted(name.partition("_")[0] + "_" + name.rpartition("_")[2] for name in names)
    assert logs == ["all_rank0.log", "all_rank1.log", "first_rank0.log"]


def test_print_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    print_log("printed")
    print_log("nowhere", "silent")
    logger = make(log_file=tmp_path / "run.log")
    print_log("to the newest", "current", "WARNING")
    print_log("by name", logger.instance_name)
    print_log("by object", logging.getLogger("toolkit.x"))
    out = capsys.readouterr().out
    assert out.startswith("printed\n")
    assert "nowhere" not in out
    text = (tmp_path / "run.log").read_text()
    assert [line.rpartition(" - ")[2] for line in text.splitlines()] == [
        "to the newest",
        "by name",
        "by object",
    ]
    with pytest.raises(ValueError, match="did you mean 'current'"):
        print_log("x", "curent")
    with pytest.raises(TypeError, match="int"):
        print_log("x", 3)
