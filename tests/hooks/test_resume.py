"""What a hook remembers survives a resume: at the end it is what it is after a run that was never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import toolkit.hooks
from toolkit.hooks import Hook
from toolkit.runner import Runner

Make = Callable[..., Runner]

SETTINGS: dict[str, dict[str, Any]] = {
    "CheckInvalidLossHook": {"interval": 2},
    "CheckpointHook": {"interval": 1, "max_keep_ckpts": 2, "save_best": "auto"},
    "ClosureHook": {"fn_name": "after_run", "fn": lambda runner: None},
    "DistSamplerSeedHook": {},
    "EMAHook": {"momentum": 0.3},
    "EarlyStoppingHook": {"monitor": "acc", "patience": 3, "min_delta": 0.05},
    "EmptyCacheHook": {},
    "IterTimerHook": {},
    "LoggerHook": {"interval": 2},
    "NaiveVisualizationHook": {"on_val": True},
    "ParamSchedulerHook": {},
    "PrepareTTAHook": {"tta_cfg": {"type": "X"}},
    "ProfilerHook": {"profile_times": 2},
    "RuntimeInfoHook": {},
    "SyncBuffersHook": {},
}
DEFAULT = {
    "CheckpointHook": "checkpoint",
    "IterTimerHook": "timer",
    "LoggerHook": "logger",
    "RuntimeInfoHook": "runtime_info",
    "ParamSchedulerHook": "param_scheduler",
    "DistSamplerSeedHook": "sampler_seed",
}
# Of one start: clocks, folders, and the bar.
PASSING = {"_last", "out_dir", "json_log_path", "_facts", "_bar"}
SCORES = (0.8, 0.7, 0.75, 0.6)


class Kill(Hook):
    """Ends the process's run, as far as the runner can tell, after the third validation."""

    priority = "LOWEST"

    def before_train_epoch(self, runner: Any) -> None:
        if runner.epoch == 3:
            raise KeyboardInterrupt


def test_every_hook_is_here() -> None:
    hooks = {name for name in toolkit.hooks.__all__ if name.endswith("Hook")} - {"Hook"}
    assert hooks == set(SETTINGS)


def plain(value: Any) -> Any:
    """Numbers, texts and containers of them, and the weights of models; None for everything else."""
    if isinstance(value, nn.Module):
        return {name: tensor.tolist() for name, tensor in value.state_dict().items()}
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, int | float | str | bool) else None


def memory(hook: Hook) -> dict[str, Any]:
    return {name: plain(value) for name, value in vars(hook).items() if name not in PASSING}


@pytest.mark.parametrize("name", SETTINGS)
def test_memory_is_that_of_a_run_that_was_never_stopped(
    make_runner: Make, scores: Any, tmp_path: Path, name: str
) -> None:
    def run(folder: str, *more: Hook, metric: Any, resume: bool = False) -> Hook:
        hook = getattr(toolkit.hooks, name)(**SETTINGS[name])
        default = {DEFAULT[name]: hook} if name in DEFAULT else {}
        runner = make_runner(
            metric,
            work_dir=str(tmp_path / folder),
            train_cfg={"by_epoch": True, "max_epochs": 4},
            default_hooks={"checkpoint": {"interval": 1}, **default},
            custom_hooks=[*(() if default else (hook,)), *more],
            resume=resume,
            log_level="ERROR",
        )
        runner.train()
        return hook

    whole = run("whole", metric=scores(*SCORES))
    with pytest.raises(KeyboardInterrupt):
        run("parts", Kill(), metric=scores(*SCORES))
    # The newest checkpoint is older than the third validation, which is done again.
    resumed = run("parts", metric=scores(*SCORES[2:]), resume=True)
    assert memory(resumed) == memory(whole)


@pytest.mark.parametrize("interval", [1, 10], ids=["validates again", "validated"])
@pytest.mark.parametrize(
    ("settings", "more", "epochs"), [({}, 1, 2), ({"stopping_threshold": 0.75}, 1, 1), ({}, 2, 3)]
)
def test_a_training_that_was_stopped_early_stays_stopped(
    make_runner: Make, scores: Any, settings: dict[str, Any], more: int, epochs: int, interval: int
) -> None:
    """Resumed with more patience (the last case), it goes on."""

    def run(patience: int, resume: bool, values: tuple[float, ...]) -> int:
        hook = {"type": "EarlyStoppingHook", "monitor": "acc", "patience": patience, **settings}
        runner = make_runner(
            scores(*values),
            train_cfg={"by_epoch": True, "max_epochs": 4},
            default_hooks={"checkpoint": {"interval": interval}},
            custom_hooks=[hook],
            resume=resume,
            log_level="ERROR",
        )
        runner.train()
        return runner.epoch

    numbers = (0.8, 0.7, 0.7, 0.7)
    first = run(1, False, numbers)
    assert first == (1 if settings else 2)
    # A checkpoint of the end of an epoch is older than the validation after it.
    assert run(more, True, numbers[first - (interval == 1) :]) == epochs
