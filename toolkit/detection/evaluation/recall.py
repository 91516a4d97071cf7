"""Recall of proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.detection.evaluation.overlaps import pairwise_ious
from toolkit.detection.evaluation.table import text_table
from toolkit.logging import print_log


def eval_recalls(
    gts: Sequence[np.ndarray],
    proposals: Sequence[np.ndarray],
    proposal_nums: int | Sequence[int] = (100, 300, 1000),
    iou_thrs: float | Sequence[float] = 0.5,
    logger: Any = None,
    use_legacy_coordinate: bool = False,
) -> np.ndarray:
    """The part of the ground truth that the best proposals find, whatever their class.

    Within an image the pair that overlaps most is matched first, then the next among what is left, so no
    proposal finds two boxes.

    Args:
        gts: For each image the ground truth boxes (n, 4).
        proposals: For each image the proposals: (k, 5) with scores, or (k, 4) with the best first.
        proposal_nums: How many of an image's best proposals to look at.
        iou_thrs: Smallest IoU that finds a box.
        logger: Where the table goes: a logger, its name, 'current', None to print, 'silent' for nowhere.
        use_legacy_coordinate: Widths are x2 - x1 + 1, as in VOC's development kit.

    Returns:
        (len(proposal_nums), len(iou_thrs)) float64; 0 where there is no ground truth at all.
    """
    numbers, thresholds = np.atleast_1d(proposal_nums), np.atleast_1d(iou_thrs)
    extra = 1.0 if use_legacy_coordinate else 0.0
    matched: list[list[np.ndarray]] = [[] for _ in numbers]
    for boxes, found in zip(gts, proposals, strict=True):
        if found.ndim == 2 and found.shape[1] == 5:
            found = found[np.argsort(-found[:, 4], kind="stable")]
        ious = pairwise_ious(boxes.reshape(-1, 4), found[: numbers.max(), :4].reshape(-1, 4), extra)
        for column, number in zip(matched, numbers, strict=True):
            column.append(_match_greedily(ious[:, :number]))
    total = max(sum(len(boxes) for boxes in gts), 1)
    best = [np.concatenate(column) if column else np.zeros(0) for column in matched]
    recalls = np.asarray([[(ious >= thr).sum() / total for thr in thresholds] for ious in best])
    if logger != "silent":
        header: list[object] = ["proposals", *(f"IoU {thr:g}" for thr in thresholds)]
        rows = [
            [number, *(f"{value:.3f}" for value in row)] for number, row in zip(numbers, recalls, strict=True)
        ]
        print_log("\n" + text_table([header, *rows]), logger=logger)
    return recalls


def _match_greedily(ious: np.ndarray) -> np.ndarray:
    """(n,) IoU that each ground truth box is matched with; 0 where none is left for it."""
    rest = ious.copy()
    result = np.zeros(len(rest))
    for _ in range(min(rest.shape)):
        row, column = np.unravel_index(np.argmax(rest), rest.shape)
        if rest[row, column] <= 0:
            break
        result[row] = rest[row, column]
        rest[row] = rest[:, column] = -1
    return result
