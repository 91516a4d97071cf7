from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.hooks import CheckpointHook, Hook, LoggerHook
from toolkit.hooks.checkpoint_files import publish
from toolkit.utils import ConfigError

Make = Callable[..., Any]


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pth"))


def read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def hooks(**checkpoint: Any) -> dict[str, Any]:
    return {"checkpoint": {"type": "CheckpointHook", **checkpoint}}


def test_by_epoch(make_runner: Make, tmp_path: Path) -> None:
    make_runner(default_hooks=hooks(interval=2)).train()
    assert saved(tmp_path / "work") == ["epoch_2.pth", "epoch_3.pth"]
    second = read(tmp_path / "work" / "epoch_2.pth")
    assert (second["meta"]["epoch"], second["meta"]["iter"]) == (2, 8)
    assert "optimizer" in second
    assert (tmp_path / "work" / "last_checkpoint").read_text().strip().endswith("epoch_3.pth")


def test_by_iteration_with_begin_and_names(make_runner: Make, tmp_path: Path) -> None:
    changes = {"interval": 3, "by_epoch": False, "save_begin": 5, "save_last": False, "save_optimizer": False}
    make_runner(default_hooks=hooks(**changes, filename_tmpl="step-{}.pth")).train()
    assert saved(tmp_path / "work") == ["step-11.pth", "step-5.pth", "step-8.pth"]
    fifth = read(tmp_path / "work" / "step-5.pth")
    assert fifth["meta"]["iter"] == 5
    assert "optimizer" not in fifth


def test_training_by_iteration(make_runner: Make, tmp_path: Path) -> None:
    runner = make_runner(
        train_cfg={"by_epoch": False, "max_iters": 7}, default_hooks=hooks(interval=3, by_epoch=False)
    )
    runner.train()
    assert saved(tmp_path / "work") == ["iter_3.pth", "iter_6.pth", "iter_7.pth"]


def test_retention_keeps_the_newest_and_the_best_with_nothing_beside(
    make_runner: Make, scores: Any, tmp_path: Path
) -> None:
    runner = make_runner(
        scores(0.2, 0.9, 0.5, 0.6, 0.7),
        train_cfg={"by_epoch": True, "max_epochs": 5},
        default_hooks=hooks(interval=1, max_keep_ckpts=2, save_best="acc"),
    )
    runner.train()
    work = tmp_path / "work"
    assert saved(work) == ["best_acc_epoch_2.pth", "epoch_4.pth", "epoch_5.pth"]
    assert not [path.name for path in work.glob("*epoch_1*")]
    best = read(work / "best_acc_epoch_2.pth")
    assert (best["meta"]["epoch"], best["meta"]["iter"]) == (2, 8)
    assert runner.message_hub.get_info("best_score") == 0.9
    assert runner.message_hub.get_info("best_ckpt").endswith("best_acc_epoch_2.pth")


class Killed(RuntimeError):
    pass


class FailWhileSaving(Hook):
    """Breaks the writing of the third checkpoint."""

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if runner.epoch == 2:
            raise Killed


def test_no_old_checkpoint_goes_before_the_new_one_is_written(make_runner: Make, tmp_path: Path) -> None:
    runner = make_runner(default_hooks=hooks(interval=1, max_keep_ckpts=1), custom_hooks=[FailWhileSaving()])
    with pytest.raises(Killed):
        runner.train()
    assert saved(tmp_path / "work") == ["epoch_2.pth"]


class StopAfter(Hook):
    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        if runner.epoch == self.epochs:
            raise Killed

    priority = "LOWEST"


def test_best_and_retention_survive_a_resume(make_runner: Make, scores: Any, tmp_path: Path) -> None:
    cfg = {
        "train_cfg": {"by_epoch": True, "max_epochs": 5},
        "default_hooks": hooks(interval=1, max_keep_ckpts=2, save_best="acc", rule="greater"),
    }
    with pytest.raises(Killed):
        make_runner(scores(0.8, 0.7, 0.6), custom_hooks=[StopAfter(3)], **cfg).train()
    assert saved(tmp_path / "work") == ["best_acc_epoch_1.pth", "epoch_2.pth", "epoch_3.pth"]
    # The validation of epoch 3 is run again, since the checkpoint was made before it.
    make_runner(scores(0.6, 0.75, 0.9), resume=True, **cfg).train()
    assert saved(tmp_path / "work") == ["best_acc_epoch_5.pth", "epoch_4.pth", "epoch_5.pth"]


def test_a_score_that_is_not_better_after_a_resume(make_runner: Make, scores: Any, tmp_path: Path) -> None:
    cfg = {"default_hooks": hooks(interval=1, save_best="acc")}
    with pytest.raises(Killed):
        make_runner(scores(0.8, 0.7), custom_hooks=[StopAfter(2)], **cfg).train()
    make_runner(scores(0.7, 0.75), resume=True, **cfg).train()
    assert [name for name in saved(tmp_path / "work") if "best" in name] == ["best_acc_epoch_1.pth"]


def test_several_bests_and_auto(make_runner: Make, scores: Any, mean_error: Any, tmp_path: Path) -> None:
    metrics = [scores(0.1, 0.3, 0.2), mean_error()]
    make_runner(
        metrics, default_hooks=hooks(interval=-1, save_last=False, save_best=["acc", "loss_mean"])
    ).train()
    assert saved(tmp_path / "work") == ["best_acc_epoch_2.pth", "best_loss_mean_epoch_3.pth"]

    folder = tmp_path / "auto"
    make_runner(
        scores(0.1, 0.3, 0.2, name="voc/acc"),
        work_dir=str(folder),
        default_hooks=hooks(save_last=False, save_best="auto"),
    ).train()
    assert saved(folder) == ["best_voc_acc_epoch_2.pth"]


def test_nan_is_never_best(make_runner: Make, scores: Any, tmp_path: Path) -> None:
    nan = float("nan")
    make_runner(scores(nan, 0.1, nan), default_hooks=hooks(save_last=False, save_best="acc")).train()
    assert saved(tmp_path / "work") == ["best_acc_epoch_2.pth"]


def test_missing_metric_names_the_nearest(make_runner: Make, scores: Any) -> None:
    with pytest.raises(ConfigError, match=r"'accc' is no metric.*did you mean 'acc'"):
        make_runner(scores(0.5), default_hooks=hooks(save_best="accc")).train()


def test_last_is_saved_where_training_stops_early(make_runner: Make, scores: Any, tmp_path: Path) -> None:
    stop = {"type": "EarlyStoppingHook", "monitor": "acc", "stopping_threshold": 0.5}
    make_runner(scores(0.1, 0.6), default_hooks=hooks(interval=10), custom_hooks=[stop]).train()
    assert saved(tmp_path / "work") == ["epoch_2.pth"]
    meta = read(tmp_path / "work" / "epoch_2.pth")["meta"]
    assert (meta["epoch"], meta["iter"]) == (2, 8)


def test_out_dir(make_runner: Make, tmp_path: Path) -> None:
    make_runner(default_hooks=hooks(interval=1, max_keep_ckpts=1, out_dir=str(tmp_path / "far"))).train()
    assert saved(tmp_path / "far" / "work") == ["epoch_3.pth"]
    assert saved(tmp_path / "work") == []


def test_out_dir_behind_a_url(make_runner: Make) -> None:
    import fsspec

    make_runner(default_hooks=hooks(interval=1, max_keep_ckpts=1, out_dir="memory://far")).train()
    system = fsspec.filesystem("memory")
    assert [path.rpartition("/")[2] for path in system.glob("/far/work/*.pth")] == ["epoch_3.pth"]


def test_published(make_runner: Make, scores: Any, tmp_path: Path) -> None:
    import hashlib

    make_runner(
        scores(0.2, 0.1, 0.0), default_hooks=hooks(save_best="acc", published_keys=["state_dict"])
    ).train()
    published = list((tmp_path / "work").glob("*-*.pth"))
    assert sorted(path.name.rpartition("-")[0] for path in published) == ["best_acc_epoch_1", "epoch_3"]
    for path in published:
        assert path.stem.endswith(hashlib.sha256(path.read_bytes()).hexdigest()[:8])
        assert sorted(read(path)) == ["meta", "state_dict"]
    assert not list((tmp_path / "work").glob(".*.tmp"))


def test_nothing_is_left_of_a_copy_that_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}}, tmp_path / "epoch_1.pth")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        publish(str(tmp_path / "epoch_1.pth"), ["state_dict"])
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_1.pth"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_keep_ckpts": 0}, "at least 1"),
        ({"filename_tmpl": "model.pth"}, "overwrite"),
        ({"save_best": ["auto", "acc"]}, "alone"),
        ({"save_best": ["acc", "acc"]}, "twice"),
        ({"save_best": ["acc"], "rule": ["greater", "less"]}, "2 rules"),
        ({"save_best": "acc", "rule": "graeter"}, "did you mean 'greater'"),
        ({"save_best": "strange"}, "say rule="),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        CheckpointHook(**arguments)


def test_the_former_name_of_backend_args() -> None:
    for kind in (CheckpointHook, LoggerHook):
        with pytest.warns(FutureWarning, match="backend_args"):
            assert kind(file_client_args={"backend": "disk"}).backend_args == {"backend": "disk"}
