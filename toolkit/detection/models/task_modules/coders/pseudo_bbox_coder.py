"""A coder that leaves boxes as they are."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from toolkit.detection.models.task_modules.coders.base import BaseBBoxCoder
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS


@TASK_UTILS.register_module()
class PseudoBBoxCoder(BaseBBoxCoder):
    """For networks that predict boxes themselves.

    Args:
        use_box_type: See `BaseBBoxCoder`.
    """

    def encode(self, bboxes: Tensor, gt_bboxes: Tensor) -> Tensor:
        """`gt_bboxes`."""
        return get_box_tensor(gt_bboxes)

    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, max_shape: Any = None, **kwargs: Any) -> Tensor:
        """`pred_bboxes`."""
        return pred_bboxes
