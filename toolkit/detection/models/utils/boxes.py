"""Operations on boxes: float tensors (..., 4) as x1, y1, x2, y2 in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.utils import BuildError

_MODES = ("iou", "iof", "giou")


def get_box_tensor(boxes: Any) -> Tensor:
    """The tensor of boxes, which may come wrapped in an object with a ``tensor`` attribute."""
    return boxes if isinstance(boxes, Tensor) else boxes.tensor


def box_area(boxes: Tensor) -> Tensor:
    """Areas, (..., 4) to (...). A box with a corner before the other has a negative or false area."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def bbox_overlaps(
    bboxes1: Tensor, bboxes2: Tensor, mode: str = "iou", is_aligned: bool = False, eps: float = 1e-6
) -> Tensor:
    """Overlaps of boxes with boxes.

    Args:
        bboxes1: (B, M, 4) or (M, 4).
        bboxes2: (B, N, 4) or (N, 4).
        mode: 'iou' (intersection over union), 'iof' (over the area of `bboxes1`) or 'giou' (Rezatofighi et
            al., "Generalized Intersection over Union", 2019).
        is_aligned: Compare the i-th box with the i-th; M must equal N.
        eps: Smallest value that is divided by.

    Returns:
        (B, M, N) or (M, N); with `is_aligned` (B, M) or (M,).

    Raises:
        BuildError: The mode is unknown.
    """
    if mode not in _MODES:
        raise BuildError(f"mode of bbox_overlaps must be one of {_MODES}, got {mode!r}")
    one, two = (bboxes1, bboxes2) if is_aligned else (bboxes1.unsqueeze(-2), bboxes2.unsqueeze(-3))
    # One coordinate at a time: a (M, N, 2) intermediate would cost twice the memory and defeats
    # vectorisation.
    width = (torch.minimum(one[..., 2], two[..., 2]) - torch.maximum(one[..., 0], two[..., 0])).clamp_(min=0)
    height = (torch.minimum(one[..., 3], two[..., 3]) - torch.maximum(one[..., 1], two[..., 1])).clamp_(min=0)
    overlap = width.mul_(height)
    area1 = box_area(one)
    if mode == "iof":
        return overlap / area1.clamp(min=eps)
    union = (area1 + box_area(two)).sub_(overlap).clamp_(min=eps)
    if mode == "iou":
        return overlap.div_(union)
    hull_w = torch.maximum(one[..., 2], two[..., 2]) - torch.minimum(one[..., 0], two[..., 0])
    hull_h = torch.maximum(one[..., 3], two[..., 3]) - torch.minimum(one[..., 1], two[..., 1])
    hull = (hull_w.clamp(min=0) * hull_h.clamp(min=0)).clamp(min=eps)
    return overlap / union - (hull - union) / hull


def bbox2roi(bbox_list: Sequence[Tensor]) -> Tensor:
    """Boxes of each image, (N_i, 4), to RoIs (sum of N_i, 5) as image index, x1, y1, x2, y2."""
    rois = [
        torch.cat((boxes.new_full((len(boxes), 1), index), get_box_tensor(boxes)[:, :4]), dim=1)
        for index, boxes in enumerate(bbox_list)
    ]
    return torch.cat(rois)


def scale_boxes(boxes: Tensor, scale_factor: Sequence[float]) -> Tensor:
    """Boxes (..., 4) times ``(sx, sy)``."""
    return boxes * boxes.new_tensor([*scale_factor, *scale_factor])


def bbox_cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Centres and sizes (..., 4) to corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] * 0.5
    return torch.cat((centre - half, centre + half), dim=-1)


def bbox_xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Corners (..., 4) to centres and sizes."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((low + high) / 2, high - low), dim=-1)
