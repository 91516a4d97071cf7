"""Gradient harmonizing: examples count less, the more there are with as large a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.focal_loss import needs_sigmoid, one_hot_targets
from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss
from toolkit.detection.registry import MODELS


class _Harmonized(nn.Module):
    """Base of both losses (Li et al., "Gradient Harmonized Single-stage Detector", 2018).

    State-dict keys: ``edges``, and with a momentum ``acc_sum``: how many examples each bin had of late.

    Args:
        bins: How many equal parts the gradients from 0 to 1 are counted in.
        momentum: Of the running counts; 0 for the counts of the batch alone.
        last_edge: Where the last bin ends.
        loss_weight: Factor of the loss.
        reduction: 'none' or 'mean'.
    """

    per_level = True
    """A head calls it with one level at a time: the counts are a level's own."""

    edges: Tensor
    acc_sum: Tensor

    def __init__(
        self, bins: int, momentum: float, last_edge: float, loss_weight: float, reduction: str
    ) -> None:
        super().__init__()
        self.bins, self.momentum = bins, momentum
        self.loss_weight, self.reduction = loss_weight, reduction
        edges = torch.arange(bins + 1).float() / bins
        edges[-1] = last_edge
        self.register_buffer("edges", edges)
        if momentum > 0:
            self.register_buffer("acc_sum", torch.zeros(bins))

    def _weights(self, gradient: Tensor, valid: Tensor, total: Tensor) -> Tensor:
        """Weights of elements, in the shape of their gradients: `total` over the size of the bin.

        Bin i is from edge i to edge i + 1, whatever the edges that a checkpoint brought. Counted are the
        parts between edges next to each other; a bin has one or more of them.
        """
        edges = self.edges.sort().values
        parts = torch.bucketize(gradient, edges, right=True)  # 0: before all edges
        num_parts = self.bins + 2
        part_counts = torch.bincount(torch.where(valid, parts, num_parts).flatten(), minlength=num_parts + 1)[
            1 : num_parts - 1
        ]
        covers = (self.edges[:-1, None] <= edges[:-1]) & (self.edges[1:, None] >= edges[1:])  # (bin, part)
        counts = covers.float() @ part_counts.float()
        filled = counts > 0
        if self.momentum > 0:
            mixed = self.momentum * self.acc_sum + (1 - self.momentum) * counts
            self.acc_sum.copy_(torch.where(filled, mixed, self.acc_sum))
            counts = self.acc_sum
        each = torch.where(filled, total / counts, 0) / filled.sum().clamp(min=1)
        number = torch.arange(1, self.bins + 1, device=edges.device).unsqueeze(1)
        owner = (covers * number).amax(0)  # of several bins the last one, from 1; 0 for none
        of_part = F.pad(torch.where(owner > 0, each[(owner - 1).clamp(min=0)], 0), (1, 1))
        return of_part[parts] * valid


@MODELS.register_module()
class GHMC(_Harmonized):
    """Gradient harmonized cross entropy of sigmoids; see `_Harmonized`.

    Args:
        bins: See there.
        momentum: See there.
        use_sigmoid: Only True.
        loss_weight: See there.
        reduction: See there.

    Raises:
        BuildError: `use_sigmoid` is False.
    """

    def __init__(
        self,
        bins: int = 10,
        momentum: float = 0,
        use_sigmoid: bool = True,
        loss_weight: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(bins, momentum, 1 + 1e-6, loss_weight, reduction)
        needs_sigmoid(self, use_sigmoid)
        self.use_sigmoid = use_sigmoid

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        label_weight: Tensor,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss.

        Args:
            pred: Logits, (N, C).
            target: Classes (N,), where others than 0 to C - 1 are background; or targets (N, C).
            label_weight: Weights (N,) or (N, C); elements of weight 0 don't count.
            reduction_override: In place of the loss's own reduction.
            **kwargs: Not used.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        if pred.dim() != target.dim():
            target = one_hot_targets(target, pred.size(-1), pred)
            label_weight = label_weight.unsqueeze(-1).expand_as(pred)
        target = target.to(pred.dtype)
        valid = label_weight > 0
        total = valid.sum().clamp(min=1).float()
        gradient = (pred.detach().sigmoid() - target).abs()
        loss = F.binary_cross_entropy_with_logits(pred, target, reduction="none")
        weights = self._weights(gradient, valid, total)
        return self.loss_weight * weight_reduce_loss(loss, weights, reduction, total)


@MODELS.register_module()
class GHMR(_Harmonized):
    """Gradient harmonized smooth L1, ``sqrt(d² + mu²) - mu``; see `_Harmonized`.

    Args:
        mu: Where the square turns into a line.
        bins: See there.
        momentum: See there.
        loss_weight: See there.
        reduction: See there.
    """

    def __init__(
        self,
        mu: float = 0.02,
        bins: int = 10,
        momentum: float = 0,
        loss_weight: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(bins, momentum, 1e3, loss_weight, reduction)
        self.mu = mu

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        label_weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss.

        Args:
            pred: Regressions, (N, 4).
            target: What they should be.
            label_weight: Weights (N, 4); elements of weight 0 don't count. None for 1.
            avg_factor: Not used: the loss is an average over the elements.
            reduction_override: In place of the loss's own reduction.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        label_weight = torch.ones_like(pred) if label_weight is None else label_weight
        diff = pred - target
        root = torch.sqrt(diff * diff + self.mu * self.mu)
        gradient = (diff / root).detach().abs()
        total = label_weight.float().sum().clamp(min=1)
        weights = self._weights(gradient, label_weight > 0, total)
        return self.loss_weight * weight_reduce_loss(root - self.mu, weights, reduction, total)
