"""Overlaps of 2-D boxes as a configurable object."""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.detection.models.utils import bbox_overlaps, get_box_tensor
from toolkit.detection.registry import TASK_UTILS


@TASK_UTILS.register_module()
class BboxOverlaps2D:
    """Overlaps of boxes; see `bbox_overlaps`.

    Args:
        scale: Boxes are divided by it before they are turned into `dtype`.
        dtype: 'fp16' to compute in half precision; None for the precision of the boxes.
    """

    def __init__(self, scale: float = 1.0, dtype: str | None = None) -> None:
        self.scale = scale
        self.dtype = dtype

    def __call__(
        self, bboxes1: Tensor, bboxes2: Tensor, mode: str = "iou", is_aligned: bool = False
    ) -> Tensor:
        """Overlaps (M, N) of boxes (M, 4) and (N, 4); further columns, such as a score, are left out."""
        one, two = get_box_tensor(bboxes1)[..., :4], get_box_tensor(bboxes2)[..., :4]
        if self.dtype != "fp16":
            return bbox_overlaps(one, two, mode, is_aligned)
        one, two = (one / self.scale).half(), (two / self.scale).half()
        return bbox_overlaps(one, two, mode, is_aligned, eps=torch.finfo(torch.float16).tiny)

    def __repr__(self) -> str:
        return f"BboxOverlaps2D(scale={self.scale}, dtype={self.dtype!r})"
