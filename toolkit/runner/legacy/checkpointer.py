"""maskrcnn-benchmark's `Checkpointer` and learning rate schedule."""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.runner.checkpoint import find_latest_checkpoint, mark_latest, save_checkpoint
from toolkit.runner.checkpoint.weights import load_weights, unwrapped
from toolkit.utils.errors import ConfigError


class Checkpointer:
    """Saves and loads model, optimizer and scheduler, with further facts.

    Files are written whole or not at all, and read without running code.

    Args:
        model: The model, wrapped or not.
        optimizer: The optimizer, or None; so is `scheduler`.
        scheduler: With `state_dict` and `load_state_dict`.
        save_dir: Folder of the checkpoints; nothing is saved without one.
        save_to_disk: Whether this process writes.
        logger: Where loading and saving is told.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        scheduler: Any = None,
        save_dir: str = "",
        save_to_disk: bool | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.save_dir, self.save_to_disk = save_dir, save_to_disk
        self.logger = logger or logging.getLogger(__name__)

    def save(self, name: str, **kwargs: Any) -> None:
        """Write ``save_dir/NAME.pth``, and name it as the newest.

        Args:
            name: Such as ``model_0002500``.
            **kwargs: Facts that `load` gives back, such as `iteration`.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        data: dict[str, Any] = {"model": unwrapped(self.model).state_dict()}
        for key, part in (("optimizer", self.optimizer), ("scheduler", self.scheduler)):
            if part is not None:
                data[key] = part.state_dict()
        path = os.path.join(self.save_dir, f"{name}.pth")
        self.logger.info(f"Saving checkpoint to {path}")
        save_checkpoint({**data, **kwargs}, path)
        mark_latest(path, self.save_dir)

    def load(self, f: str | None = None, use_latest: bool = True) -> dict[str, Any]:
        """Load the newest checkpoint of `save_dir` if there is one, otherwise `f`.

        Args:
            f: A path, URL or name.
            use_latest: Whether the newest one has precedence.

        Returns:
            The further facts.

        Raises:
            CheckpointError: It can't be read.
        """
        if use_latest and self.has_checkpoint():
            f = self.get_checkpoint_file()
        if not f:
            self.logger.info("No checkpoint found. Initializing model from scratch")
            return {}
        self.logger.info(f"Loading checkpoint from {f}")
        content = dict(read_checkpoint(f))
        weights = content.pop("model", None)
        load_weights(
            self.model,
            content if weights is None else {"state_dict": weights},
            logger=self.logger,
            source=f,
        )
        for key, part in (("optimizer", self.optimizer), ("scheduler", self.scheduler)):
            if part is not None and key in content:
                part.load_state_dict(content.pop(key))
        return content

    def has_checkpoint(self) -> bool:
        """Whether `save_dir` names a newest checkpoint."""
        return bool(self.get_checkpoint_file())

    def get_checkpoint_file(self) -> str:
        """The newest checkpoint of `save_dir`; '' if there is none."""
        return (find_latest_checkpoint(self.save_dir) or "") if self.save_dir else ""


class DetectronCheckpointer(Checkpointer):
    """`Checkpointer` with the config first, as maskrcnn-benchmark's scripts call it.

    Args:
        cfg: Kept as an attribute.
        model: See `Checkpointer`, as for all others.
        optimizer: See there.
        scheduler: See there.
        save_dir: See there.
        save_to_disk: See there.
        logger: See there.
    """

    def __init__(
        self,
        cfg: Any,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        scheduler: Any = None,
        save_dir: str = "",
        save_to_disk: bool | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(model, optimizer, scheduler, save_dir, save_to_disk, logger)
        self.cfg = cfg


class WarmupMultiStepLR(LRScheduler):
    """Steps, after a warm-up.

    Args:
        optimizer: Whose rates are set.
        milestones: Iterations, increasing, at which the rate falls,
        gamma: to this share.
        warmup_factor: Share of the rate that the warm-up begins with.
        warmup_iters: Its iterations.
        warmup_method: 'constant' or 'linear'.
        last_epoch: The last iteration, of a resumed schedule.

    Raises:
        ConfigError: `milestones` don't increase, or `warmup_method` is unknown.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        warmup_factor: float = 1.0 / 3,
        warmup_iters: int = 500,
        warmup_method: str = "linear",
        last_epoch: int = -1,
    ) -> None:
        if list(milestones) != sorted(milestones):
            raise ConfigError(f"milestones must increase, got {list(milestones)}")
        if warmup_method not in ("constant", "linear"):
            raise ConfigError(f"warmup_method is 'constant' or 'linear', got {warmup_method!r}")
        self.milestones = list(milestones)
        self.gamma = gamma
        self.warmup_factor = warmup_factor
        self.warmup_iters = warmup_iters
        self.warmup_method = warmup_method
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The rate of each group."""
        share = 1.0
        if self.last_epoch < self.warmup_iters:
            done = self.last_epoch / self.warmup_iters if self.warmup_method == "linear" else 0.0
            share = self.warmup_factor * (1 - done) + done
        power = bisect_right(self.milestones, self.last_epoch)
        return [float(base) * share * self.gamma**power for base in self.base_lrs]
