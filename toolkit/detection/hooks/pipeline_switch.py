"""Other augmentation for the last epochs."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from toolkit.dataset import Compose
from toolkit.detection.registry import HOOKS
from toolkit.hooks import Hook
from toolkit.hooks.hook import Runner
from toolkit.model import is_model_wrapper
from toolkit.utils import ConfigError

logger = logging.getLogger("toolkit")


class _SwitchHook(Hook, ABC):
    """Changes the training once, before the first epoch from which on it is to be changed.

    What was switched follows from the epoch, so that a run that is resumed needs no more than that.
    """

    def __init__(self) -> None:
        self._switched = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch, where it is time and not done."""
        if self._switched or not self._is_time(runner):
            return
        loader = runner.train_dataloader
        self._switch(runner, loader.dataset)
        # Workers that outlive an epoch have copies of the dataset as it was.
        if getattr(loader, "persistent_workers", False):
            loader._iterator = None
        self._switched = True

    @abstractmethod
    def _is_time(self, runner: Runner) -> bool:
        """Whether the next epoch is one to switch for."""

    @abstractmethod
    def _switch(self, runner: Runner, dataset: Any) -> None:
        """Change what is to be changed."""


@HOOKS.register_module()
class PipelineSwitchHook(_SwitchHook):
    """Gives the training dataset another pipeline from an epoch on, as RTMDet's last epochs want it.

    Of a dataset that wraps others, those inside get it.

    Args:
        switch_epoch: The first epoch with it, from 0.
        switch_pipeline: Configs of transforms, or callables.
    """

    def __init__(
        self, switch_epoch: int, switch_pipeline: Sequence[Mapping[str, Any] | Callable[[dict], Any]]
    ) -> None:
        super().__init__()
        self.switch_epoch = switch_epoch
        self.switch_pipeline = Compose(switch_pipeline)

    def _is_time(self, runner: Runner) -> bool:
        return runner.epoch >= self.switch_epoch

    def _switch(self, runner: Runner, dataset: Any) -> None:
        found = [one for one in _innermost(dataset) if hasattr(one, "pipeline")]
        if not found:
            raise ConfigError(
                f"PipelineSwitchHook: the training dataset, {type(dataset).__name__}, has no pipeline"
            )
        logger.info("epoch %d: the training pipeline is switched", runner.epoch + 1)
        for one in found:
            one.pipeline = self.switch_pipeline


def _innermost(dataset: Any) -> Iterator[Any]:
    """The datasets inside of wrappers; the dataset itself where it wraps none."""
    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    if inner == [None]:
        yield dataset
    else:
        for one in inner:
            yield from _innermost(one)


@HOOKS.register_module()
class YOLOXModeSwitchHook(_SwitchHook):
    """Leaves out mixing augmentation for the last epochs and adds the L1 loss (Ge et al., "YOLOX", 2021).

    Args:
        num_last_epochs: How many epochs.
        skip_type_keys: The transforms of a `MultiImageMixDataset` that are left out.
    """

    def __init__(
        self,
        num_last_epochs: int = 15,
        skip_type_keys: Sequence[str] = ("Mosaic", "RandomAffine", "MixUp"),
    ) -> None:
        super().__init__()
        self.num_last_epochs = num_last_epochs
        self.skip_type_keys = skip_type_keys

    def _is_time(self, runner: Runner) -> bool:
        return runner.epoch + 1 >= runner.max_epochs - self.num_last_epochs

    def _switch(self, runner: Runner, dataset: Any) -> None:
        if not hasattr(dataset, "update_skip_type_keys"):
            raise ConfigError(
                "YOLOXModeSwitchHook needs a MultiImageMixDataset as training dataset, to leave "
                f"{', '.join(self.skip_type_keys)} out of its pipeline; got {type(dataset).__name__}"
            )
        logger.info("epoch %d: no mixing augmentation from here on, but an L1 loss", runner.epoch + 1)
        dataset.update_skip_type_keys(self.skip_type_keys)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        getattr(model, "detector", model).bbox_head.use_l1 = True
