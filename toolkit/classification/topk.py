"""Top-k accuracy, for the metric and for a head that logs it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def topk_accuracy(
    score: Tensor, target: Tensor, topk: Sequence[int] = (1,), thrs: Sequence[float | None] = (0.0,)
) -> list[list[Tensor]]:
    """Percent of samples whose label is among the k highest scores.

    Args:
        score: (N, C) scores.
        target: (N,) labels.
        topk: The numbers k.
        thrs: A hit counts if its score is above the threshold; None: always.

    Returns:
        For each k a list of a value a threshold: 0-dimensional tensors on the device of `score`.

    Raises:
        ValueError: k is larger than the number of classes.
    """
    largest = max(topk)
    if largest > score.shape[1]:
        raise ValueError(f"top-{largest} accuracy of {score.shape[1]} classes makes no sense")
    values, labels = score.topk(largest, dim=1)
    hits = labels == target.view(-1, 1)  # (N, largest)
    result = []
    for k in topk:
        counted = [hits[:, :k] if thr is None else hits[:, :k] & (values[:, :k] > thr) for thr in thrs]
        result.append([hit.any(dim=1).sum() * (100.0 / max(len(target), 1)) for hit in counted])
    return result
