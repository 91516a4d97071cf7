"""Base class of box coders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class BaseBBoxCoder(ABC):
    """From a prior and a box to what a network regresses, and back.

    Args:
        use_box_type: Accepted for configs of MMDetection; boxes are tensors here.
    """

    encode_size = 4
    """How many numbers a box is encoded as."""

    def __init__(self, use_box_type: bool = False) -> None:
        self.use_box_type = use_box_type

    @abstractmethod
    def encode(self, bboxes: Tensor, gt_bboxes: Tensor) -> Tensor:
        """What to regress to get from `bboxes` to `gt_bboxes`, both (..., 4): (..., encode_size)."""

    @abstractmethod
    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, max_shape: Any = None, **kwargs: Any) -> Tensor:
        """The boxes (..., 4) that a regression (..., encode_size) from priors (..., 4) stands for."""
