"""Soft non-maximum suppression."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

from toolkit.utils import BuildError

_METHODS = ("linear", "gaussian", "naive")


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: str = "linear",
) -> tuple[Tensor, Tensor]:
    """Lower the scores of boxes that overlap better ones (Bodla et al., "Soft-NMS", 2017).

    Args:
        boxes: (N, 4).
        scores: (N,).
        iou_threshold: Overlaps up to this one lower nothing, with 'linear' and 'naive'.
        sigma: Of the Gaussian.
        min_score: Boxes whose score sinks below it are dropped.
        method: A score is multiplied by ``1 - iou`` ('linear'), ``exp(-iou² / sigma)`` ('gaussian') or 0
            ('naive').

    Returns:
        Lowered scores (K,) and places (K,) int64 of the boxes that are left, best first.

    Raises:
        BuildError: The method is unknown.
    """
    if method not in _METHODS:
        raise BuildError(f"method of soft_nms must be one of {_METHODS}, got {method!r}")
    # Each step needs the one before: the small steps are faster on the CPU than a device's launches.
    left, places = boxes.detach().float().cpu(), torch.arange(len(boxes))
    current = scores.detach().float().cpu()
    left, places, current = (x[current >= min_score] for x in (left, places, current))
    kept: list[Tensor] = []
    kept_scores: list[Tensor] = []
    while len(current):
        best = int(current.argmax())
        kept.append(places[best])
        kept_scores.append(current[best])
        iou = box_iou(left[best : best + 1], left)[0]
        if method == "gaussian":
            factor = torch.exp(-(iou**2) / sigma)
        else:
            factor = torch.where(iou > iou_threshold, 1 - iou if method == "linear" else 0.0, 1.0)
        current = current * factor
        stays = current >= min_score
        stays[best] = False
        left, places, current = left[stays], places[stays], current[stays]
    if not kept:
        return scores.new_zeros(0), torch.zeros(0, dtype=torch.long, device=boxes.device)
    return torch.stack(kept_scores).to(scores), torch.stack(kept).to(boxes.device)
