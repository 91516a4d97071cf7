"""Accuracy of classification scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


@torch.no_grad()
def accuracy(
    pred: Tensor, target: Tensor, topk: int | Sequence[int] = 1, thresh: float | None = None
) -> Tensor | list[Tensor]:
    """Percentage of rows whose label is among the highest scores.

    Args:
        pred: Scores, (N, num_classes).
        target: Labels, (N,) int64.
        topk: How many of the highest scores count; several for several results.
        thresh: A score below it doesn't count.

    Returns:
        One tensor () from 0 to 100 for each of `topk`: a list where it is a sequence. 0 for no rows.

    Raises:
        ValueError: There are fewer classes than `topk`.
    """
    ks = (topk,) if isinstance(topk, int) else tuple(topk)
    if pred.size(0) == 0:
        results = [pred.new_zeros(()) for _ in ks]
        return results[0] if isinstance(topk, int) else results
    if max(ks) > pred.size(1):
        raise ValueError(f"topk {max(ks)} needs as many classes, the scores have {pred.size(1)}")
    if ks == (1,):  # by far the most frequent, and much faster than topk
        scores, labels = pred.max(dim=1, keepdim=True)
    else:
        scores, labels = pred.topk(max(ks), dim=1)
    correct = labels == target.unsqueeze(1)
    if thresh is not None:
        correct &= scores > thresh
    results = [correct[:, :k].sum() * (100.0 / pred.size(0)) for k in ks]
    return results[0] if isinstance(topk, int) else results


class Accuracy(nn.Module):
    """`accuracy` as a module.

    Args:
        topk: See `accuracy`.
        thresh: See `accuracy`.
    """

    def __init__(self, topk: int | Sequence[int] = (1,), thresh: float | None = None) -> None:
        super().__init__()
        self.topk = topk
        self.thresh = thresh

    def forward(self, pred: Tensor, target: Tensor) -> Tensor | list[Tensor]:
        """Scores (N, num_classes) and labels (N,) to percentages."""
        return accuracy(pred, target, self.topk, self.thresh)
