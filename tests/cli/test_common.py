"""What the commands share: parting arguments, finding configs, showing errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from toolkit.cli import COMMANDS, main
from toolkit.cli.common import find_config, is_override, shows_errors, split_overrides
from toolkit.utils.errors import DataError


@pytest.mark.parametrize("text", ["a=1", "model.backbone.depth=18", "c.0.d=[1,2]", "data_root=/d/x=y", "e="])
def test_overrides_are_told(text: str) -> None:
    assert is_override(text)


@pytest.mark.parametrize("text", ["configs/x.py", "=1", "1a=2", "pictures/a=b.jpg", "--seed=1"])
def test_other_arguments_are_no_overrides(text: str) -> None:
    assert not is_override(text)


def test_a_file_with_an_equals_sign_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a=1").touch()
    monkeypatch.chdir(tmp_path)
    assert split_overrides(["a=1", "b=1"]) == (["a=1"], ["b=1"])


def test_a_shipped_config_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "configs/quickstart/faster-rcnn_r18_fpn_shapes.py"
    assert Path(find_config(name)).is_file()
    assert find_config("configs/none.py") == "configs/none.py"


def test_a_config_at_hand_comes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = Path("configs/quickstart/faster-rcnn_r18_fpn_shapes.py")
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert find_config(str(mine)) == str(mine)


@click.command()
@click.argument("kind")
@shows_errors
def failing(kind: str) -> None:
    raise DataError("the file is gone") if kind == "user" else ValueError("a fault")


def test_an_error_of_the_user_is_one_message() -> None:
    result = CliRunner().invoke(failing, ["user"])
    assert result.exit_code == 1
    assert result.output == "Error: the file is gone\n"


def test_a_fault_keeps_its_traceback() -> None:
    result = CliRunner().invoke(failing, ["fault"])
    assert isinstance(result.exception, ValueError)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_needs_no_torch(command: list[str]) -> None:
    code = (
        "import sys; from toolkit.cli import main\n"
        f"try: main({[*command, '--help']!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'torchvision', 'cv2', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_every_command_is_reachable_from_the_group() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert all(name in result.output for name in COMMANDS)
