"""Boxes as YOLO regresses them."""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.coders.base import BaseBBoxCoder
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS


@TASK_UTILS.register_module()
class YOLOBBoxCoder(BaseBBoxCoder):
    """Centres as places in a cell, 0 to 1, and sizes as logarithms of parts of the anchor's (Redmon and
    Farhadi, "YOLOv3", 2018).

    Args:
        eps: How near to the cell's sides a centre may be, and the smallest part of an anchor's size.
        use_box_type: See `BaseBBoxCoder`.
    """

    def __init__(self, eps: float = 1e-6, use_box_type: bool = False) -> None:
        super().__init__(use_box_type)
        self.eps = eps

    def encode(self, bboxes: Tensor, gt_bboxes: Tensor, stride: Tensor | float) -> Tensor:  # type: ignore[override]
        """What to regress to get from anchors to boxes, (..., 4).

        Args:
            bboxes: Anchors, (..., 4).
            gt_bboxes: Boxes, (..., 4).
            stride: Of the anchors' levels, in pixels; broadcast to (..., 1).
        """
        centers, sizes = _centers_and_sizes(get_box_tensor(bboxes))
        gt_centers, gt_sizes = _centers_and_sizes(get_box_tensor(gt_bboxes))
        places = ((gt_centers - centers) / stride + 0.5).clamp(self.eps, 1 - self.eps)
        return torch.cat((places, (gt_sizes / sizes).clamp(min=self.eps).log()), dim=-1)

    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, stride: Tensor | float) -> Tensor:  # type: ignore[override]
        """The boxes (..., 4) that regressions (..., 4) from anchors (..., 4) stand for; `stride` as above."""
        centers, sizes = _centers_and_sizes(get_box_tensor(bboxes))
        centers = centers + (pred_bboxes[..., :2] - 0.5) * stride
        half = sizes * 0.5 * pred_bboxes[..., 2:].exp()
        return torch.cat((centers - half, centers + half), dim=-1)


def _centers_and_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) * 0.5, high - low
