"""Non-maximum suppression: within groups, of several classes, hard and soft."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from toolkit.detection.models.layers.soft_nms import soft_nms
from toolkit.utils import BuildError, did_you_mean

Kept = tuple[Tensor, Tensor]
"""Scores (K,) after suppression and places (K,) int64 of the boxes that are kept, best first."""

# On a GPU one suppression of many boxes is faster than many of few; a table of n² bits bounds how many.
_SPLIT_THR = 10_000


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Kept:
    """Keep a box unless it overlaps a better one that is kept by more than `iou_threshold`.

    Args:
        boxes: (N, 4).
        scores: (N,).
        iou_threshold: From 0 to 1.

    Returns:
        The scores and places of the kept boxes, best first.
    """
    ranked, first = scores.sort(descending=True)
    kept_scores, keep = _of_ranked(boxes[first], ranked, iou_threshold)
    return kept_scores, first[keep]


def _of_ranked(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Kept:
    """The same of boxes that are sorted by their scores already; of equal scores the first goes first."""
    keep = torchvision_nms(boxes, scores, iou_threshold)
    return scores[keep], keep


_OPS: dict[str, Callable[..., Kept]] = {"nms": _of_ranked, "soft_nms": soft_nms}


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    idxs: Tensor,
    nms_cfg: Mapping[str, Any] | None,
    class_agnostic: bool = False,
) -> tuple[Tensor, Tensor]:
    """Suppression among boxes of the same group, such as the same class or level.

    Args:
        boxes: (N, 4).
        scores: (N,).
        idxs: The group of each box, (N,) int64.
        nms_cfg: ``type`` ('nms' or 'soft_nms'), its arguments (``iou_threshold``, ...), and
            ``class_agnostic``, ``max_num`` and ``split_thr``. None: nothing is suppressed, boxes are only
            ordered.
        class_agnostic: Groups don't matter.

    Returns:
        Boxes and scores (K, 5) as x1, y1, x2, y2, score, best first; and their places (K,) int64.

    Raises:
        BuildError: The type is unknown.
    """
    if nms_cfg is None:
        kept_scores, keep = scores.sort(descending=True)
        return torch.cat((boxes[keep], kept_scores[:, None]), dim=1), keep
    cfg = dict(nms_cfg)
    kind = cfg.pop("type", "nms")
    class_agnostic = cfg.pop("class_agnostic", class_agnostic)
    split_thr = cfg.pop("split_thr", _SPLIT_THR)
    max_num = cfg.pop("max_num", -1)
    if kind not in _OPS:
        raise BuildError(
            f"unknown nms type {kind!r}{did_you_mean(kind, list(_OPS))}; it can be one of {list(_OPS)}"
        )
    op = _OPS[kind]
    # MMDetection sorts all groups at once and not stably. Which of equal scores comes first, and so which of
    # two boxes is kept, is the same only if this is.
    first = scores.argsort(descending=True) if op is _of_ranked else None
    if first is not None:
        boxes, scores, idxs = boxes[first], scores[first], idxs[first]
    if class_agnostic or boxes.numel() == 0:
        kept_scores, keep = op(boxes, scores, **cfg)
    elif boxes.is_cuda and len(boxes) < split_thr:
        kept_scores, keep = op(moved_apart(boxes, idxs), scores, **cfg)
    else:
        kept_scores, keep = _by_group(op, boxes, scores, idxs, cfg)
    if max_num >= 0:
        kept_scores, keep = kept_scores[:max_num], keep[:max_num]
    dets = torch.cat((boxes[keep], kept_scores[:, None]), dim=1)
    return dets, keep if first is None else first[keep]


def moved_apart(boxes: Tensor, idxs: Tensor) -> Tensor:
    """The boxes (N, 4), shifted so that those of different groups (N,) can't overlap."""
    low = boxes.min()
    return boxes - low + (idxs.to(boxes) * (boxes.max() - low + 1))[:, None]


def _by_group(
    op: Callable[..., Kept], boxes: Tensor, scores: Tensor, idxs: Tensor, cfg: Mapping[str, Any]
) -> Kept:
    """The same, group after group. The boxes are where they were, so no digit of an overlap is lost."""
    order = idxs.argsort(stable=True)
    sizes = torch.unique_consecutive(idxs[order], return_counts=True)[1].tolist()
    kept = []
    for group in order.split(sizes):
        kept_scores, keep = op(boxes[group], scores[group], **cfg)
        kept.append((kept_scores, group[keep]))
    # of equal scores the first box goes first, whatever its group
    keep, order = torch.cat([keep for _, keep in kept]).sort()
    kept_scores = torch.cat([one for one, _ in kept])[order]
    best = kept_scores.argsort(descending=True, stable=True)
    return kept_scores[best], keep[best]


def multiclass_nms(
    multi_bboxes: Tensor,
    multi_scores: Tensor,
    score_thr: float,
    nms_cfg: Mapping[str, Any] | None,
    max_num: int = -1,
    score_factors: Tensor | None = None,
    return_inds: bool = False,
) -> tuple[Tensor, ...]:
    """Detections out of boxes with a score a class.

    Args:
        multi_bboxes: (N, 4), or a box a class: (N, C·4).
        multi_scores: (N, C + 1); the last column, background, is not looked at.
        score_thr: Scores up to this one give no detection.
        nms_cfg: See `batched_nms`.
        max_num: At most so many; negative for all.
        score_factors: Factors of the scores, (N,), after the threshold.
        return_inds: Whether to give the places of the detections in the (N, C) table, flattened.

    Returns:
        Boxes and scores (K, 5), classes (K,) int64, and with `return_inds` the places (K,) int64.
    """
    num_classes = multi_scores.size(1) - 1
    found = (multi_scores[:, :-1] > score_thr).nonzero()  # (M, 2): row, class
    rows, labels = found.unbind(1)
    scores = multi_scores[rows, labels]
    if score_factors is not None:
        scores = scores * score_factors[rows]
    if multi_bboxes.size(1) > 4:
        boxes = multi_bboxes.view(len(multi_bboxes), -1, 4)[rows, labels]
    else:
        boxes = multi_bboxes[rows]
    dets, keep = batched_nms(boxes, scores, labels, nms_cfg)
    if max_num > 0:
        dets, keep = dets[:max_num], keep[:max_num]
    if return_inds:
        return dets, labels[keep], (rows * num_classes + labels)[keep]
    return dets, labels[keep]
