"""Boxes that are annotated several times, as an object of several classes is."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

_ATTEMPTS = 6
_LESS_EACH_TIME = 0.001


def told_apart(boxes: Tensor, iou_thr: float = 0.97, perm_range: float = 0.01) -> Tensor:
    """Move the edges of boxes that are there several times a little, each at random.

    Else all priors go to the first of them. Wang et al., "V3Det: Vast Vocabulary Visual Detection Dataset",
    ICCV 2023.

    Args:
        boxes: (N, 4).
        iou_thr: Least overlap of a moved box with where it was. One for which nothing fits stays.
        perm_range: Largest part of a coordinate by which it changes.

    Returns:
        (N, 4); `boxes` isn't changed.
    """
    _, inverse, counts = boxes.unique(dim=0, return_inverse=True, return_counts=True)
    waiting = (counts[inverse] > 1).nonzero().flatten()
    moved = boxes.clone()
    for attempt in range(_ATTEMPTS):
        if not waiting.numel():
            break
        extent = max(perm_range - attempt * _LESS_EACH_TIME, _LESS_EACH_TIME)
        before = boxes[waiting]
        after = before * torch.empty_like(before).uniform_(1 - extent, 1 + extent)
        fits = (after[:, 2:] > after[:, :2]).all(dim=1) & (box_iou(before, after).diagonal() >= iou_thr)
        moved[waiting[fits]] = after[fits]
        waiting = waiting[~fits]
    return moved
