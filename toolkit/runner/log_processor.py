"""Makes lines and records of what the message hub has."""

from __future__ import annotations

import copy
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch

from toolkit.registry import LOG_PROCESSORS
from toolkit.utils import ConfigError

if TYPE_CHECKING:
    from toolkit.runner.runner import Runner

Tag = OrderedDict[str, Any]
# The time left is that of so many of the last iterations: long enough to be steady, short enough to follow a
# change of the input size.
_ETA_WINDOW = 100
# Iterations that took so many times the usual (compiling, the first batch) tell nothing of those to come.
_OUTLIER = 10
_TIMES = ("time", "data_time")


@LOG_PROCESSORS.register_module()
class LogProcessor:
    """Makes a log line, and a record for the visualizer, of the numbers in the message hub.

    Args:
        window_size: Over how many of the last iterations means are taken.
        by_epoch: Whether lines count epochs and their iterations, or the iterations of the run.
        custom_cfg: Further statistics. Each a dict of `data_src` (a number's name without `train/`),
            `method_name` ('mean', 'min', 'max', 'current' or a registered one), and perhaps `log_name` (its
            name in the log), `window_size` (a number, 'epoch' or 'global') and more arguments of it.
        num_digits: Digits after the point.
        log_with_hierarchy: Keep the prefix, as in `train/loss`.
        mean_pattern: What is logged as a mean; of the others the newest value is.

    Raises:
        ConfigError: `custom_cfg` is malformed.
    """

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool = True,
        custom_cfg: Sequence[Mapping[str, Any]] | None = None,
        num_digits: int = 4,
        log_with_hierarchy: bool = False,
        mean_pattern: str = r".*(loss|time|data_time|grad_norm).*",
    ) -> None:
        self.window_size = window_size
        self.by_epoch = by_epoch
        self.custom_cfg = [dict(cfg) for cfg in custom_cfg or ()]
        self.num_digits = num_digits
        self.log_with_hierarchy = log_with_hierarchy
        self.mean_pattern = re.compile(mean_pattern)
        # Of names that were seen: whether a mean is logged, and whether it is a learning rate.
        self._kinds: dict[str, tuple[bool, bool]] = {}
        self._check_custom_cfg()

    def _check_custom_cfg(self) -> None:
        names: list[str] = []
        for place, cfg in enumerate(self.custom_cfg):
            where = f"log_processor.custom_cfg.{place}"
            for key in ("data_src", "method_name"):
                if key not in cfg:
                    raise ConfigError(f"{where} has no {key!r}; it has: {', '.join(cfg) or 'nothing'}")
            window = cfg.get("window_size")
            if not (window is None or isinstance(window, int) or window in ("epoch", "global")):
                raise ConfigError(f"{where}.window_size is a number, 'epoch' or 'global', got {window!r}")
            if window == "epoch" and not self.by_epoch:
                raise ConfigError(
                    f"{where}.window_size is 'epoch', but the log counts iterations (by_epoch=False)"
                )
            names.append(cfg.get("log_name", cfg["data_src"]))
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ConfigError(
                f"log_processor.custom_cfg logs {sorted(twice)} twice; give them a log_name each"
            )

    # Lines.

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[Tag, str]:
        """The record and the line of a log point.

        Args:
            runner: The runner.
            batch_idx: Number of the batch that is done, from 0.
            mode: 'train', 'val' or 'test'.
        """
        tag = self._collect(runner, mode, batch_idx)
        eta = self._time_left(runner, batch_idx, mode)
        runner.message_hub.update_info("eta", eta, resumed=False)
        entries = {name: self._entry(name, value) for name, value in tag.items()}
        times = [entries.pop(name) for name in (self._name(key, mode) for key in _TIMES) if name in entries]
        rates = [entries.pop(name) for name in tag if name in entries and self._kind(name)[1]]
        # While validation goes on, all other numbers are those of the one before.
        parts, others = (rates, list(entries.values())) if mode == "train" else ([], [])
        if eta is not None:
            parts.append(f"eta: {timedelta(seconds=int(eta))}")
        parts += times
        memory = _max_memory()
        if memory is not None:
            tag["memory"] = memory
            parts.append(f"memory: {memory}")
        parts += others
        if mode == "train":
            if self.by_epoch:
                tag["epoch"] = runner.epoch + 1
            tag["iter"] = runner.iter + 1
        return tag, f"{self._position(runner, batch_idx, mode)}  {'  '.join(parts)}"

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[Tag, str]:
        """The record and the line of a finished validation or test.

        Args:
            runner: The runner.
            batch_idx: Number of batches that were done.
            mode: 'train', 'val' or 'test'.
            with_non_scalar: Whether metrics that are no numbers are there too.
        """
        tag = self._collect(runner, mode, batch_idx - 1, whole_epoch=True)
        if with_non_scalar:
            for key, value in runner.message_hub.runtime_info.items():
                if key.startswith(f"{mode}/"):
                    tag[self._name(key.removeprefix(f"{mode}/"), mode)] = value
        for name in (self._name(each, mode) for each in ("data_time", "time")):
            if name in tag:
                tag.move_to_end(name)
        position = self._position(runner, batch_idx - 1, mode)
        line = f"{position}    {'  '.join(self._entry(name, value) for name, value in tag.items())}"
        if mode == "val" and self.by_epoch:
            tag["epoch"] = self._epoch(runner, mode)
        return tag, line

    def _position(self, runner: Runner, batch_idx: int, mode: str) -> str:
        length = _length(self._loop(runner, mode).dataloader)
        if not self.by_epoch and mode == "train":
            done = f"{runner.iter + 1}".rjust(len(f"{runner.max_iters}"))
            return f"Iter({mode}) [{done}/{runner.max_iters}]"
        inner = f"[{str(batch_idx + 1).rjust(len(length))}/{length}]"
        if not self.by_epoch:
            return f"Iter({mode}) {inner}"
        if mode == "test":
            return f"Epoch({mode}) {inner}"
        epoch = f"[{self._epoch(runner, mode)}]".rjust(len(f"{runner.max_epochs}") + 3)
        return f"Epoch({mode}){epoch}{inner}"

    def _entry(self, name: str, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, float):
            return f"{name}: {value}"
        if self._kind(name)[1]:
            return f"{name}: {value:.{self.num_digits}e}"
        return f"{name}: {value:.{self.num_digits}f}"

    # Numbers.

    def _collect(self, runner: Runner, mode: str, batch_idx: int, whole_epoch: bool = False) -> Tag:
        """Numbers of a mode by the names under which they are logged."""
        prefix = f"{mode}/"
        scalars = runner.message_hub.log_scalars
        tag: Tag = OrderedDict()
        for full, history in scalars.items():
            if not (full.startswith(prefix) and len(history)):
                continue
            key = full.removeprefix(prefix)
            if whole_epoch:
                value = history.mean(batch_idx + 1) if key in _TIMES else history.current()
            elif self._kind(key)[0]:
                value = history.mean(min(self.window_size, batch_idx + 1))
            else:
                value = history.current()
            tag[self._name(key, mode)] = value
        for cfg in self._custom(runner, batch_idx) if self.custom_cfg else ():
            source = cfg.pop("data_src")
            name = cfg.pop("log_name", source)
            if scalars.get(prefix + source):
                tag[self._name(name, mode)] = scalars[prefix + source].statistics(**cfg)
        return tag

    def _custom(self, runner: Runner, batch_idx: int) -> list[dict[str, Any]]:
        chosen = copy.deepcopy(self.custom_cfg)
        for cfg in chosen:
            if cfg.get("window_size") == "epoch":
                cfg["window_size"] = batch_idx + 1
            elif cfg.get("window_size") == "global":
                cfg["window_size"] = runner.iter + 1
        return chosen

    def _time_left(self, runner: Runner, batch_idx: int, mode: str) -> float | None:
        histories = runner.message_hub.log_scalars
        if f"{mode}/time" not in histories:
            return None
        if mode == "train":
            left = runner.max_iters - runner.iter - 1
        else:
            length = _length(self._loop(runner, mode).dataloader)
            if length == "?":
                return None
            left = int(length) - batch_idx - 1
        # In plain Python: between log points numpy's code falls out of the processor's cache, and fetching
        # it took longer than all else here.
        seconds = sorted(histories[f"{mode}/time"].newest(_ETA_WINDOW))
        usual = seconds[: bisect_right(seconds, _OUTLIER * seconds[len(seconds) // 2])]
        return left * sum(usual) / len(usual)

    # Names.

    def _name(self, key: str, mode: str) -> str:
        """The name under which a number is logged."""
        return f"{mode}/{key}" if self.log_with_hierarchy else key

    def _kind(self, name: str) -> tuple[bool, bool]:
        kind = self._kinds.get(name)
        if kind is None:
            bare = name.rpartition("/")[2]
            is_rate = bare in ("lr", "base_lr") or bare.endswith(".lr") or bare.startswith("lr_")
            kind = self._kinds[name] = (self.mean_pattern.match(name) is not None, is_rate)
        return kind

    def _loop(self, runner: Runner, mode: str) -> Any:
        return getattr(runner, f"{mode}_loop")

    def _epoch(self, runner: Runner, mode: str) -> int:
        # The runner has counted the epoch before it is validated.
        return runner.epoch + 1 if mode == "train" else runner.epoch


def _length(dataloader: Any) -> str:
    try:
        return str(len(dataloader))
    except TypeError:
        return "?"


def _max_memory() -> int | None:
    """Most MiB that tensors held on this process's device so far; None without CUDA."""
    # Not `is_available`, which asks the driver, or looks for one, each time.
    if not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_allocated() / 2**20)
