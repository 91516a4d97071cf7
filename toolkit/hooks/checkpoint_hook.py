"""Saves checkpoints now and then, keeps the newest and the best, and removes the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from toolkit.dist import master_only
from toolkit.fileio import either_args, is_url, join_path
from toolkit.hooks.checkpoint_files import publish, remove_checkpoint
from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.hooks.interval import Interval, checked_interval
from toolkit.hooks.monitor import GREATER_KEYS, INIT_VALUE_MAP, LESS_KEYS, RULE_MAP, infer_rule, is_better
from toolkit.registry import HOOKS
from toolkit.utils import ConfigError, did_you_mean


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves checkpoints.

    Args:
        interval: Save after every so many epochs or iterations; -1 means never.
        by_epoch: The unit: epochs, or iterations.
        save_optimizer: Whether the optimizer's state is in them.
        save_param_scheduler: Whether the schedulers' state is in them.
        out_dir: A folder or URL in which a folder named like the work dir is made; the work dir by default.
        max_keep_ckpts: How many of the newest are kept; -1 keeps all. The best ones are kept besides.
        save_last: Save at the end of training, whatever `interval` says, also where it was stopped early.
        save_best: Metric, or metrics, by which a best checkpoint is kept; 'auto' takes validation's first.
        rule: 'greater' or 'less' is better, one a metric or one for all. Told from the names by default.
        greater_keys: Parts of names of metrics of which more is better.
        less_keys: Parts of names of metrics of which less is better.
        file_client_args: The former name of `backend_args`.
        filename_tmpl: Name of the files, with `{}` for the epoch or iteration.
        backend_args: Options of the file system of `out_dir`.
        published_keys: At the end, write copies with these keys only, with a part of their hash in the name.
        save_begin: The first epoch or iteration that is saved, from which `interval` counts.

    Raises:
        ConfigError: Arguments that don't fit each other.
    """

    priority = "VERY_LOW"
    rule_map = RULE_MAP
    init_value_map = INIT_VALUE_MAP
    out_dir: str

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        out_dir: str | os.PathLike[str] | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | Sequence[str] | None = None,
        rule: str | Sequence[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        file_client_args: dict[str, Any] | None = None,
        filename_tmpl: str | None = None,
        backend_args: dict[str, Any] | None = None,
        published_keys: str | Sequence[str] | None = None,
        save_begin: int = 0,
    ) -> None:
        interval = checked_interval("CheckpointHook", interval, never=True)
        self.interval = Interval(interval, by_epoch, save_begin, save_last)
        self.by_epoch = by_epoch
        self.save_optimizer = save_optimizer
        self.save_param_scheduler = save_param_scheduler
        self.max_keep_ckpts = max_keep_ckpts
        self.filename_tmpl = filename_tmpl or ("epoch_{}.pth" if by_epoch else "iter_{}.pth")
        self.backend_args = either_args(file_client_args, backend_args)
        self.published_keys = _as_list(published_keys)
        self.key_indicators = _as_list(save_best)
        self._greater_keys = tuple(greater_keys or GREATER_KEYS)
        self._less_keys = tuple(less_keys or LESS_KEYS)
        self._rules = _as_list(rule)
        self._out_dir = None if out_dir is None else os.fspath(out_dir)
        self._check_arguments()
        # File names, oldest first; best: by metric, its score and its file's name.
        self._kept: list[str] = []
        self._best: dict[str, dict[str, Any]] = {}
        self._saved_iter = -1

    def _check_arguments(self) -> None:
        keys, rules = self.key_indicators, self._rules
        if "{}" not in self.filename_tmpl:
            raise ConfigError(
                f"CheckpointHook: filename_tmpl {self.filename_tmpl!r} has no {{}} for the number; "
                "each checkpoint would overwrite the one before"
            )
        if self.max_keep_ckpts == 0 or self.max_keep_ckpts < -1:
            raise ConfigError(
                f"CheckpointHook: max_keep_ckpts is at least 1, or -1 to keep all; got {self.max_keep_ckpts}"
            )
        if "auto" in keys and len(keys) > 1:
            raise ConfigError("CheckpointHook: save_best='auto' stands alone; name the metrics instead")
        if len(set(keys)) != len(keys):
            raise ConfigError(f"CheckpointHook: save_best names a metric twice: {keys}")
        if len(rules) > 1 and len(rules) != len(keys):
            raise ConfigError(f"CheckpointHook: {len(rules)} rules for {len(keys)} metrics of save_best")
        # A name that tells nothing is found now, not after the first epoch.
        self.rules = {} if keys == ["auto"] else self._infer_rules(keys)

    def _infer_rules(self, keys: list[str]) -> dict[str, str]:
        given: list[str | None] = [*self._rules] or [None]
        if len(given) == 1:
            given = given * len(keys)
        return {
            key: infer_rule(key, rule, self._greater_keys, self._less_keys)
            for key, rule in zip(keys, given, strict=True)
        }

    # Points.

    def before_train(self, runner: Runner) -> None:
        """Settles where checkpoints go."""
        if self._out_dir is None:
            self.out_dir = os.fspath(runner.work_dir)
        else:
            self.out_dir = join_path(self._out_dir, os.path.basename(os.path.abspath(runner.work_dir)))
            runner.logger.info(f"checkpoints go to {self.out_dir}")

    def after_train_epoch(self, runner: Runner) -> None:
        """Saves, if it is time."""
        if self.interval.after_epoch(runner):
            self._save(runner, runner.epoch + 1, runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Saves, if it is time."""
        if not self.by_epoch and self.interval.after_iter(runner):
            self._save(runner, runner.iter + 1, runner.iter + 1)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Saves the best, if this is better."""
        # A validation without training has no checkpoint to choose.
        if not self.key_indicators or not hasattr(self, "out_dir"):
            return
        if not metrics:
            runner.logger.warning("save_best: validation gave no metrics, so there is no best checkpoint")
            return
        if self.key_indicators == ["auto"]:
            self.key_indicators = [next(iter(metrics))]
            self.rules = self._infer_rules(self.key_indicators)
        for key in self.key_indicators:
            if key not in metrics:
                raise ConfigError(
                    f"CheckpointHook: save_best={key!r} is no metric of validation"
                    f"{did_you_mean(key, metrics)}; there are: {', '.join(metrics)}"
                )
            self._save_if_best(runner, key, float(metrics[key]))

    def after_train(self, runner: Runner) -> None:
        """Saves the end of a training that was stopped early; publishes."""
        if self.interval.last and runner.iter > 0 and self._saved_iter != runner.iter:
            self._save(runner, runner.epoch if self.by_epoch else runner.iter, runner.iter, counted=True)
        if self.published_keys:
            best = [each["file"] for each in self._best.values()]
            self._publish(runner, list(dict.fromkeys([*self._kept[-1:], *best])))

    # Saving.

    def _save(self, runner: Runner, number: int, iters: int, counted: bool = False) -> None:
        name = self.filename_tmpl.format(number)
        unit = "epochs" if self.by_epoch else "iterations"
        runner.logger.info(f"Saving checkpoint at {number} {unit}")
        # Noted first, so that the checkpoint knows of itself.
        self._kept = [*(kept for kept in self._kept if kept != name), name]
        surplus = self._kept[: -self.max_keep_ckpts] if self.max_keep_ckpts > 0 else []
        self._kept = self._kept[len(surplus) :]
        self._saved_iter = iters
        self._write(runner, name, self.save_optimizer, self.save_param_scheduler, counted)
        runner.message_hub.update_info("last_ckpt", join_path(self.out_dir, name))
        # The new one is safely on disk now; only then the old ones go.
        self._remove(surplus)

    def _save_if_best(self, runner: Runner, key: str, score: float) -> None:
        old = self._best.get(key)
        if not is_better(self.rules[key], score, old["score"] if old else None):
            return
        unit, number = ("epoch", runner.epoch) if self.by_epoch else ("iter", runner.iter)
        name = f"best_{key.replace('/', '_')}_{unit}_{number}.pth"
        self._best[key] = {"score": score, "file": name}
        self._write(runner, name, save_optimizer=False, save_param_scheduler=False, counted=True)
        runner.logger.info(
            f"The best checkpoint, with {score:.4f} {key} at {unit} {number}, is saved to {name}"
        )
        suffix = "" if len(self.key_indicators) == 1 else f"_{key}"
        runner.message_hub.update_info(f"best_score{suffix}", score)
        runner.message_hub.update_info(f"best_ckpt{suffix}", join_path(self.out_dir, name))
        if old and old["file"] != name:
            self._remove([old["file"]])

    def _write(
        self,
        runner: Runner,
        name: str,
        save_optimizer: bool,
        save_param_scheduler: bool,
        counted: bool = False,
    ) -> None:
        extra: dict[str, Any] = {"backend_args": self.backend_args} if self.backend_args else {}
        if counted:
            # Outside an epoch's or iteration's own points the runner's counts are up to date.
            extra["meta"] = {"epoch": runner.epoch, "iter": runner.iter}
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            by_epoch=self.by_epoch,
            **extra,
        )

    @master_only
    def _remove(self, names: list[str]) -> None:
        for name in names:
            remove_checkpoint(join_path(self.out_dir, name), self.backend_args)

    @master_only
    def _publish(self, runner: Runner, names: list[str]) -> None:
        for name in names:
            path = join_path(self.out_dir, name)
            if is_url(path):
                runner.logger.warning(f"published_keys: {path} is not local and is not published")
                continue
            runner.logger.info(f"published {publish(path, self.published_keys)}")

    # State.

    def state_dict(self) -> dict[str, Any]:
        """Names of the files kept, and the best scores with theirs."""
        return {
            "kept": list(self._kept),
            "best": {key: dict(best) for key, best in self._best.items()},
            "saved_iter": self._saved_iter,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back."""
        self._kept = list(state_dict["kept"])
        self._best = {key: dict(best) for key, best in state_dict["best"].items()}
        self._saved_iter = state_dict["saved_iter"]


def _as_list(value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
