"""What the parts of a run may ask of a runner: read-only names for what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from toolkit.model import own_class
from toolkit.runner.base_loop import BaseLoop
from toolkit.runner.checkpoint.weights import unwrapped
from toolkit.runner.loops import IterBasedTrainLoop

if TYPE_CHECKING:
    from toolkit.config import Config
    from toolkit.evaluator import Evaluator
    from toolkit.hooks import Hook
    from toolkit.logging import MessageHub, MMLogger
    from toolkit.runner.hooks_manager import HookManager


class RunnerViews:
    """The properties of `Runner`."""

    model: Any
    cfg: Config
    device: torch.device
    logger: MMLogger
    message_hub: MessageHub
    visualizer: Any
    hook_manager: HookManager
    _train_loop: Any
    _val_loop: Any
    _test_loop: Any
    _work_dir: str
    _log_dir: str
    _timestamp: str
    _experiment_name: str
    _launcher: str
    _seed: int
    _rank: int
    _world_size: int
    _randomness: dict[str, Any]

    if TYPE_CHECKING:  # of Runner

        def call_hook(self, fn_name: str, **kwargs: Any) -> None: ...

        def build_train_loop(self, loop: Any) -> Any: ...

        def build_val_loop(self, loop: Any) -> Any: ...

        def build_test_loop(self, loop: Any) -> Any: ...

    @property
    def experiment_name(self) -> str:
        """Name of this run, unique in its process: the config's or the given one, and the time."""
        return self._experiment_name

    @property
    def model_name(self) -> str:
        """Class name of the model."""
        return own_class(unwrapped(self.model)).__name__

    @property
    def work_dir(self) -> str:
        """Folder of all that the run writes, absolute."""
        return self._work_dir

    @property
    def log_dir(self) -> str:
        """Folder of this run's logs: ``work_dir/timestamp``."""
        return self._log_dir

    @property
    def timestamp(self) -> str:
        """When the run was set up, the same on every rank."""
        return self._timestamp

    @property
    def max_epochs(self) -> int:
        """Epochs to train; 0 where nothing is trained."""
        return int(self._position("max_epochs"))

    @property
    def max_iters(self) -> int:
        """Iterations to train; 0 where nothing is trained."""
        return int(self._position("max_iters"))

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        loop = self._train_loop
        return loop._epoch if isinstance(loop, BaseLoop) else 0  # type: ignore[attr-defined]

    @property
    def iter(self) -> int:
        """Iterations trained."""
        loop = self._train_loop
        return loop._iter if isinstance(loop, BaseLoop) else 0  # type: ignore[attr-defined]

    def _position(self, name: str) -> Any:
        loop = self._train_loop
        if isinstance(loop, Mapping):
            return loop.get(name, 0)
        return getattr(loop, name, 0)

    @property
    def by_epoch(self) -> bool:
        """Whether training counts epochs, not iterations."""
        return not isinstance(self.train_loop, IterBasedTrainLoop)

    @property
    def launcher(self) -> str:
        """How the processes were started; ``none`` for a single one."""
        return self._launcher

    @property
    def distributed(self) -> bool:
        """Whether the run has a process group."""
        return self._launcher != "none"

    @property
    def rank(self) -> int:
        """This process's number."""
        return self._rank

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self._world_size

    @property
    def deterministic(self) -> bool:
        """Whether torch was told to choose deterministic algorithms."""
        return bool(self._randomness.get("deterministic", False))

    @property
    def diff_rank_seed(self) -> bool:
        """Whether every rank draws random numbers of its own."""
        return bool(self._randomness.get("diff_rank_seed", False))

    @property
    def seed(self) -> int:
        """Seed of the run, given or drawn, the same on every rank."""
        return self._seed

    @property
    def hooks(self) -> list[Hook]:
        """The hooks in the order in which they are called."""
        return self.hook_manager.hooks

    @property
    def train_loop(self) -> Any:
        """The training loop, built at the first use; None where nothing is to be trained."""
        if isinstance(self._train_loop, Mapping):
            self._train_loop = self.build_train_loop(self._train_loop)
        return self._train_loop

    @property
    def val_loop(self) -> Any:
        """The validation loop, built at the first use; None where nothing is to be validated."""
        if isinstance(self._val_loop, Mapping):
            self._val_loop = self.build_val_loop(self._val_loop)
        return self._val_loop

    @property
    def test_loop(self) -> Any:
        """The test loop, built at the first use; None where nothing is to be tested."""
        if isinstance(self._test_loop, Mapping):
            self._test_loop = self.build_test_loop(self._test_loop)
        return self._test_loop

    @property
    def train_dataloader(self) -> Any:
        """The training loop's dataloader."""
        return self.train_loop.dataloader

    @property
    def val_dataloader(self) -> Any:
        """The validation loop's dataloader."""
        return self.val_loop.dataloader

    @property
    def test_dataloader(self) -> Any:
        """The test loop's dataloader."""
        return self.test_loop.dataloader

    @property
    def val_evaluator(self) -> Evaluator:
        """The validation loop's evaluator."""
        evaluator: Evaluator = self.val_loop.evaluator
        return evaluator

    @property
    def test_evaluator(self) -> Evaluator:
        """The test loop's evaluator."""
        evaluator: Evaluator = self.test_loop.evaluator
        return evaluator

    @property
    def val_interval(self) -> int:
        """Epochs (iterations) from one validation to the next."""
        return int(self.train_loop.val_interval)

    @property
    def val_begin(self) -> int:
        """The epoch (iteration) from which on there are validations."""
        return int(self.train_loop.val_begin)
