"""A user's mistake ends in one clear message and a non-zero exit, before any training."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from toolkit.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run a command and hold it to the rule: fails, says why, shows no traceback."""

    def run_it(*arguments: object) -> str:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code != 0, result.output
        assert isinstance(result.exception, SystemExit), repr(result.exception)
        assert "Traceback" not in result.output
        assert "Epoch(train)" not in result.output
        return result.output

    return run_it  # type: ignore[return-value]


def test_missing_config_names_the_nearest(run: Run, config: Path) -> None:
    output = run("train", config.with_name("tinny.py"))
    assert "tinny.py" in output
    assert "tiny.py" in output.replace("tinny.py", "")


def test_cyclic_base_shows_the_circle(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("_base_ = './b.py'\n")
    (tmp_path / "b.py").write_text("_base_ = './a.py'\n")
    output = run("train", tmp_path / "a.py")
    assert "a.py" in output
    assert "b.py" in output


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.backbone.dpeth=18", "depth"),
        ("model.neck.type=FPNN", "FPN"),
        ("optim_wrapper.optimizer.type=AdamX", "Adam"),
        ("default_hooks.logger.intervall=5", "interval"),
        ("train_cfg.max_epoch=3", "max_epochs"),
        ("trian_cfg.max_epochs=3", "train_cfg"),
        ("default_hooks.logger.interval=0", "LoggerHook: interval is at least 1, got 0"),
        ("default_hooks.checkpoint.interval=0", "CheckpointHook: interval is at least 1, or -1 for never"),
        ("train_cfg.val_interval=0", "val_interval must be a whole number of at least 1"),
        ("val_evaluator=[VOCMetric,VOCMetric]", "a metric must be a BaseMetric or a dict, got 'VOCMetric'"),
    ],
)
def test_a_typo_on_the_command_line_names_the_nearest(
    run: Run, config: Path, override: str, expected: str
) -> None:
    output = run("train", config, override)
    assert expected in output.replace(override, "")


def test_typos_in_the_file_come_all_at_once_with_their_lines(run: Run, config: Path) -> None:
    text = config.read_text().replace("depth=18", "dpeth=18").replace("type='Resize'", "type='Resise'")
    config.write_text(text)
    lines = text.splitlines()
    output = run("train", config)
    for wrong, right in (("dpeth=18", "depth"), ("Resise", "Resize")):
        number = next(place for place, line in enumerate(lines, 1) if wrong in line)
        assert f"tiny.py:{number}" in output
        assert f"did you mean '{right}'" in output


def test_a_missing_data_root(run: Run, config: Path) -> None:
    output = run("train", config, "data_root=/nowhere/at/all/")
    assert "/nowhere/at/all" in output
    assert "data_root=" in output


def test_a_missing_annotation_file(run: Run, config: Path) -> None:
    output = run("train", config, "train_dataloader.dataset.ann_file=ImageSets/Main/trian.txt")
    assert "trian.txt" in output
    assert "train.txt" in output.replace("trian.txt", "")


def test_a_misspelt_point_of_a_hook(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config.parent / "wrong_hook.py").write_text(
        "from toolkit.hooks import Hook\n"
        "class WrongHook(Hook):\n    def before_train_iters(self, runner): ...\n"
    )
    monkeypatch.syspath_prepend(config.parent)
    config.write_text(config.read_text() + "custom_imports = dict(imports=['wrong_hook'])\n")
    assert "did you mean 'before_train_iter'?" in run("train", config)


def test_class_names_that_the_annotations_lack(run: Run, config: Path) -> None:
    output = run("train", config, "classes=('cat','dgo')")
    assert "dgo" in output
    assert "dog" in output


def test_num_classes_that_differs_from_the_dataset(run: Run, config: Path) -> None:
    output = run("train", config, "model.roi_head.bbox_head.num_classes=7")
    assert "7" in output
    assert "2" in output
    assert "num_classes" in output


def test_an_empty_dataset_counts_its_reasons(run: Run, config: Path) -> None:
    output = run("train", config, "train_dataloader.dataset.filter_cfg.min_size=1000")
    assert "4" in output
    assert "min_size" in output


def test_an_unreadable_image_is_named(run: Run, config: Path, voc: Path) -> None:
    (voc / "JPEGImages/picture_2.jpg").write_bytes(b"not a picture")
    assert "picture_2.jpg" in run("train", config)


def test_a_checkpoint_of_another_model_shows_a_table(run: Run, config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"state_dict": torch.nn.Linear(3, 4).state_dict()}, other)
    for command in (["train", config, "--load-from", other], ["test", config, other]):
        output = run(*command)
        assert "missing" in output
        assert "unexpected" in output
        assert "weight" in output


def test_a_missing_checkpoint(run: Run, config: Path, tmp_path: Path) -> None:
    assert "none.pth" in run("test", config, tmp_path / "none.pth")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere, so permissions can't be tested")
def test_a_work_dir_without_permission(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "locked" in run("train", config, "--work-dir", tmp_path / "locked/run")


def test_a_work_dir_that_cannot_be_made(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = run("train", config, "--work-dir", tmp_path / "file/run")
    assert "file/run" in output
    assert "work" in output


def test_infer_out_dir_that_cannot_be_made(run: Run, tmp_path: Path) -> None:
    assert "takes a checkpoint" in run("infer", "x.py", tmp_path / "a.pth")
