"""The `build_*` methods of the runner: `toolkit.runner.build`, applied to the parts of one run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.data import DataLoader

from toolkit.evaluator import Evaluator
from toolkit.logging import MessageHub, MMLogger
from toolkit.optim import BaseOptimWrapper, OptimWrapper, OptimWrapperDict, _ParamScheduler
from toolkit.runner import build, environment
from toolkit.runner.evaluation import TestLoop, ValLoop
from toolkit.runner.options import Options
from toolkit.runner.views import RunnerViews
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.runner.strategy import BaseStrategy


class RunnerBuilding(RunnerViews):
    """The methods of `Runner` that turn configs into parts."""

    strategy: BaseStrategy
    optim_wrapper: Any
    param_schedulers: Any
    _switches: Options
    _train_dataloader: Any
    _val_dataloader: Any
    _val_evaluator: Any
    _test_dataloader: Any
    _test_evaluator: Any

    def set_randomness(
        self, seed: int | None = None, diff_rank_seed: bool = False, deterministic: bool = False
    ) -> None:
        """Seed `random`, NumPy and torch.

        Args:
            seed: Of the run; drawn, the same on every rank, if None.
            diff_rank_seed: Let every rank draw numbers of its own; the order of samples is shared all the
                same.
            deterministic: Have torch choose deterministic algorithms.
        """
        self._randomness = {"seed": seed, "diff_rank_seed": diff_rank_seed, "deterministic": deterministic}
        self._seed = environment.choose_seed(seed)
        environment.apply_seed(self._seed, diff_rank_seed, deterministic)

    def build_logger(
        self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any
    ) -> MMLogger:
        """The logger, which writes ``work_dir/timestamp/timestamp.log``."""
        file = log_file or os.path.join(self._log_dir, f"{self._timestamp}.log")
        return MMLogger.get_instance(self._experiment_name, log_file=file, log_level=log_level, **kwargs)

    def build_message_hub(self, message_hub: Mapping[str, Any] | None = None) -> MessageHub:
        """The message hub of this run; `message_hub` may hold a `name` for it."""
        return MessageHub.get_instance(**{"name": self._experiment_name, **(message_hub or {})})

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """The visualizer; see `toolkit.runner.build.build_visualizer`."""
        return build.build_visualizer(visualizer, self._experiment_name, self._log_dir)

    def build_log_processor(self, log_processor: Any = None) -> Any:
        """The log processor; see `toolkit.runner.build.build_log_processor`."""
        return build.build_log_processor(log_processor)

    def build_model(self, model: Any, data_preprocessor: Any = None) -> nn.Module:
        """The model; see `toolkit.runner.build.build_model`."""
        return build.build_model(model, data_preprocessor)

    def wrap_model(self, model_wrapper_cfg: Mapping[str, Any] | None, model: nn.Module) -> nn.Module:
        """The model on its device, wrapped in a distributed run, as the strategy does it."""
        switches = replace(self._switches, model_wrapper_cfg=model_wrapper_cfg)
        return self.strategy.wrap_model(model, self.device, switches)

    def build_optim_wrapper(self, optim_wrapper: Any) -> BaseOptimWrapper:
        """The optimizer wrapper, as the strategy builds it."""
        return self.strategy.build_optim_wrapper(optim_wrapper, self.model)

    def build_param_scheduler(self, scheduler: Any) -> build.Schedulers:
        """The parameter schedulers; see `toolkit.runner.build.build_param_scheduler`."""
        if _built(scheduler):
            return scheduler  # type: ignore[no-any-return]
        dataloader = self.train_dataloader
        length = len(dataloader) if hasattr(dataloader, "__len__") else None
        return build.build_param_scheduler(
            scheduler, self.optim_wrapper, self.max_epochs, self.max_iters, length
        )

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """An evaluator; see `toolkit.runner.build.build_evaluator`."""
        return build.build_evaluator(evaluator)

    def build_dataloader(
        self, dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader[Any]:
        """A dataloader; see `toolkit.dataset.build_dataloader`."""
        from toolkit.dataset import build_dataloader

        seed = self._seed if seed is None else seed
        return build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed)

    def build_train_loop(self, loop: Any) -> Any:
        """The training loop; see `toolkit.runner.build.build_loop`."""
        return build.build_loop(loop, None, "train_cfg", self, dataloader=self._train_dataloader)

    def build_val_loop(self, loop: Any) -> Any:
        """The validation loop; see `toolkit.runner.build.build_loop`."""
        parts = {"dataloader": self._val_dataloader, "evaluator": self._val_evaluator}
        return build.build_loop(loop, ValLoop, "val_cfg", self, **parts)

    def build_test_loop(self, loop: Any) -> Any:
        """The test loop; see `toolkit.runner.build.build_loop`."""
        parts = {"dataloader": self._test_dataloader, "evaluator": self._test_evaluator}
        return build.build_loop(loop, TestLoop, "test_cfg", self, **parts)

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None = None) -> None:
        """Scale learning rates to the batch size over all ranks, linearly (Goyal et al., arXiv:1706.02677).

        Args:
            optim_wrapper: Whose learning rates are scaled; before schedulers are built, which remember them.
            auto_scale_lr: ``base_batch_size``, which they were chosen for, and ``enable``.

        Raises:
            ConfigError: ``base_batch_size`` is missing, or schedulers are built.
        """
        if auto_scale_lr is None or not auto_scale_lr.get("enable", False):
            return
        base = auto_scale_lr.get("base_batch_size")
        if not base:
            raise ConfigError(
                "auto_scale_lr needs base_batch_size, the batch size that the learning rate was chosen for"
            )
        if _built(self.param_schedulers):
            raise ConfigError(
                "auto_scale_lr can't be used with built schedulers, which remember the unscaled rates"
            )
        batch_size = _batch_size(self.train_dataloader) * self.world_size
        ratio = batch_size / base
        self.logger.info(
            f"the learning rate, chosen for batches of {base}, is scaled by {ratio:g} for those of "
            f"{batch_size}"
        )
        for wrapper in (
            optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
        ):
            for group in wrapper.optimizer.param_groups:
                group["lr"] *= ratio

    def check_data(self, dataset: Any, role: str) -> None:
        """Check a dataset against the model's config before the first batch.

        Raises:
            ToolkitError: They don't fit, such as another number of classes, or an image can't be read.
        """
        from toolkit.runner.preflight import check_data

        if dataset is not None and self._switches.model is not None:
            check_data(self._switches.model, dataset, role)


def _built(scheduler: Any) -> bool:
    """Whether schedulers, given in any of the forms, are objects already."""
    if isinstance(scheduler, Mapping):
        return bool(scheduler) and "type" not in scheduler and all(_built(one) for one in scheduler.values())
    if isinstance(scheduler, list | tuple):
        return bool(scheduler) and all(isinstance(one, _ParamScheduler) for one in scheduler)
    return False


def _batch_size(dataloader: Any) -> int:
    size = getattr(dataloader, "batch_size", None) or getattr(dataloader.batch_sampler, "batch_size", None)
    if size is None:
        raise ConfigError(
            "auto_scale_lr can't tell the batch size of this dataloader; scale the learning rate by hand"
        )
    return int(size)
