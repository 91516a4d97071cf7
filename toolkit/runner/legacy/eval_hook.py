"""MMCV's `EvalHook`: evaluates in between by the dataset's own `evaluate`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from toolkit.dist import broadcast_object_list, collect_results, is_main_process, master_only
from toolkit.hooks.monitor import GREATER_KEYS, LESS_KEYS, infer_rule, is_better
from toolkit.runner.checkpoint import remove_checkpoint
from toolkit.runner.legacy.forward import is_present
from toolkit.runner.legacy.hook import HOOKS, Hook, Runner
from toolkit.runner.legacy.logger_hooks import LoggerHook
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean


@torch.no_grad()
def single_gpu_test(model: nn.Module, data_loader: Any) -> list[Any]:
    """The results of all batches: of `test_step`, or of the old call ``model(return_loss=False, **data)``."""
    was_training = model.training
    model.eval()
    results: list[Any] = []
    for batch in data_loader:
        results += model.test_step(batch) if is_present(model) else model(return_loss=False, **batch)  # type: ignore[operator]
    model.train(was_training)
    return results


@HOOKS.register_module()
class EvalHook(Hook):
    """Evaluates with ``dataloader.dataset.evaluate(results, logger=…, **eval_kwargs)``, and keeps the best.

    Args:
        dataloader: Of the validation set.
        start: The first epoch (iteration) after which there is an evaluation, or None.
        interval: Epochs (iterations) from one evaluation to the next.
        by_epoch: Which of them.
        save_best: A metric by which a best checkpoint is kept; 'auto' takes the first.
        rule: 'greater' or 'less' is better; told from the name by default.
        test_fn: ``(model, dataloader)`` to a list of results; `single_gpu_test` by default.
        greater_keys: Parts of names of metrics of which more is better.
        less_keys: Parts of names of metrics of which less is better.
        out_dir: Where the best checkpoint goes; the work dir by default.
        **eval_kwargs: Passed on to `evaluate`.

    Raises:
        ConfigError: An interval is not positive, or `rule` is unknown.
    """

    priority = "LOW"

    def __init__(
        self,
        dataloader: Any,
        start: int | None = None,
        interval: int = 1,
        by_epoch: bool = True,
        save_best: str | None = None,
        rule: str | None = None,
        test_fn: Callable[[nn.Module, Any], list[Any]] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        out_dir: str | None = None,
        **eval_kwargs: Any,
    ) -> None:
        if interval < 1 or (start is not None and start < 0):
            raise ConfigError(f"EvalHook: interval={interval} is at least 1, start={start} at least 0")
        self.dataloader = dataloader
        self.start, self.interval, self.by_epoch = start, interval, by_epoch
        self.save_best, self.rule, self.out_dir = save_best, rule, out_dir
        self.test_fn = test_fn or single_gpu_test
        self.greater_keys = tuple(greater_keys or GREATER_KEYS)
        self.less_keys = tuple(less_keys or LESS_KEYS)
        if save_best is not None and save_best != "auto":
            infer_rule(save_best, rule, self.greater_keys, self.less_keys)
        self.eval_kwargs = eval_kwargs
        self._best: dict[str, Any] = {}

    def before_train_epoch(self, runner: Runner) -> None:
        """Evaluates once before the training that goes on at or behind `start`."""
        if self.by_epoch and self.start is not None and not self._best and runner.epoch >= self.start > 0:
            self._evaluate(runner, runner.epoch)

    def after_train_epoch(self, runner: Runner) -> None:
        """Evaluates, if it is time."""
        if self.by_epoch and self._due(runner.epoch + 1):
            self._evaluate(runner, runner.epoch + 1)

    def after_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """Evaluates, if it is time."""
        if not self.by_epoch and self._due(runner.iter + 1):
            # Loggers come later: what there is of training is logged before it would mix with the metrics.
            for hook in runner.hooks:
                if isinstance(hook, LoggerHook):
                    hook.after_train_iter(runner)
            runner.log_buffer.clear()
            self._evaluate(runner, runner.iter + 1)

    def _due(self, done: int) -> bool:
        past = done if self.start is None else done - max(self.start, 1)
        return past >= 0 and past % self.interval == 0

    def test(self, runner: Runner) -> list[Any] | None:
        """The results on the whole dataset; None on all ranks but the first."""
        return self.test_fn(runner.model, self.dataloader)

    def _evaluate(self, runner: Runner, done: int) -> None:
        results = self.test(runner)
        shared: list[Any] = [None]
        if results is not None and is_main_process():
            shared[0] = dict(
                self.dataloader.dataset.evaluate(results, logger=runner.logger, **self.eval_kwargs)
            )
        broadcast_object_list(shared)
        metrics: dict[str, Any] = shared[0]
        runner.log_buffer.output.update(metrics)
        runner.log_buffer.ready = True
        if self.save_best is not None:
            self._keep_best(runner, metrics, done)

    def _keep_best(self, runner: Runner, metrics: dict[str, Any], done: int) -> None:
        key = next(iter(metrics), "") if self.save_best == "auto" else str(self.save_best)
        if key not in metrics:
            raise ConfigError(
                f"EvalHook: save_best={key!r} is no metric of the evaluation{did_you_mean(key, metrics)}; "
                f"there are: {', '.join(metrics)}"
            )
        rule = infer_rule(key, self.rule, self.greater_keys, self.less_keys)
        if not is_better(rule, float(metrics[key]), self._best.get("score")):
            return
        folder = self.out_dir or runner.work_dir
        name = f"best_{key.replace('/', '_')}_{'epoch' if self.by_epoch else 'iter'}_{done}.pth"
        before, self._best = self._best.get("file"), {"score": float(metrics[key]), "file": name}
        messages = runner.meta.setdefault("hook_msgs", {})
        messages.update({"best_score": self._best["score"], "best_ckpt": os.path.join(folder, name)})
        runner.save_checkpoint(folder, name, create_symlink=False, by_epoch=self.by_epoch)
        runner.logger.info(f"the best {key}, {metrics[key]:.4f}, is saved to {name}")
        if before is not None and before != name:
            _remove(os.path.join(folder, before))

    def state_dict(self) -> dict[str, Any]:
        """The best score and its file."""
        return dict(self._best)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back."""
        self._best = dict(state_dict)


@master_only
def _remove(path: str) -> None:
    remove_checkpoint(path, None)


@HOOKS.register_module()
class DistEvalHook(EvalHook):
    """`EvalHook` where every process tests its part of the dataset.

    Args:
        dataloader: See `EvalHook`, as for the arguments that aren't named here.
        tmpdir: Folder in which the results meet.
        gpu_collect: Whether they meet on the GPU instead.
        broadcast_bn_buffer: Without meaning: `SyncBuffersHook` makes buffers equal.
        **kwargs: Arguments of `EvalHook`.
    """

    def __init__(
        self,
        dataloader: Any,
        tmpdir: str | None = None,
        gpu_collect: bool = False,
        broadcast_bn_buffer: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataloader, **kwargs)
        self.tmpdir, self.gpu_collect = tmpdir, gpu_collect

    def test(self, runner: Runner) -> list[Any] | None:
        """See `EvalHook`."""
        part = self.test_fn(runner.model, self.dataloader)
        device = "gpu" if self.gpu_collect else "cpu"
        size = len(self.dataloader.dataset)
        return collect_results(part, size, device, tmpdir=None if self.gpu_collect else self.tmpdir)
