"""Refusing a loss that is not finite before it reaches the weights."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from toolkit.utils import TrainingError


class FiniteCheck:
    """Looks at each loss without emptying the queue of a GPU.

    On a CPU the loss is read at once. On a GPU it is copied to pinned memory behind an event, before backward
    is launched; the value is looked at after that, while the GPU is busy with backward, and before the
    optimizer.
    """

    def __init__(self) -> None:
        self._slot: Tensor | None = None
        self._event: torch.cuda.Event | None = None

    def before_backward(self, loss: Tensor) -> bool:
        """Check the loss, or start to fetch it.

        Returns:
            Whether `after_backward` is still to be called.

        Raises:
            TrainingError: The loss is on the host and not finite.
        """
        if loss.is_cuda:
            self._fetch(loss)
            return True
        if not isfinite(loss.item()):
            _refuse(loss.item())
        return False

    def after_backward(self) -> None:
        """Check the loss that was fetched.

        Raises:
            TrainingError: It is not finite.
        """
        assert self._event is not None
        assert self._slot is not None
        self._event.synchronize()
        value = self._slot.item()
        if not isfinite(value):
            _refuse(value)

    def _fetch(self, loss: Tensor) -> None:
        if self._slot is None or self._event is None:
            self._slot = torch.empty((), dtype=torch.float64, pin_memory=True)
            self._event = torch.cuda.Event()
        self._slot.copy_(loss.detach().double(), non_blocking=True)
        self._event.record(torch.cuda.current_stream(loss.device))


def _refuse(value: float) -> None:
    raise TrainingError(
        f"the loss is {value}: the weights were left as they were before this step. Lower the learning "
        "rate, clip the gradients (optim_wrapper.clip_grad=dict(max_norm=35)), warm up, or look at the "
        "annotations of this batch"
    )
