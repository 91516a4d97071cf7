"""Focal terms of many logits of which almost all are background."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Logits that are looked at together on a CPU: the working set stays in its cache.
_CHUNK = 1 << 16


def background_focal(logits: Tensor, label: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """The background terms ``p^gamma · -log(1 - p)``, ``p = sigmoid(x)``, of all logits but those of objects.

    An object's own logit is handed out instead, so that a loss can treat these few as it likes, and no table
    of targets is made. Value and derivative are computed in one go.

    Args:
        logits: (N, C).
        label: The column of each row's object, (N,) int64; outside of 0 to C - 1 for none.
        gamma: The exponent.

    Returns:
        The sum of the terms of each row (N,), and the logit in the object's column (N,), which is of no
        meaning in rows without object. Both float32 at least.
    """
    return _BackgroundFocal.apply(logits, label, gamma)


class _BackgroundFocal(torch.autograd.Function):
    """See `background_focal`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, label: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
        x = logits if logits.dtype == torch.float64 else logits.float()
        has_object = (label >= 0) & (label < x.size(1))
        column = torch.where(has_object, label, 0).unsqueeze(1)
        own = x.gather(1, column).squeeze(1)
        rows = x.new_empty(x.size(0))
        needed = ctx.needs_input_grad[0]
        slope = torch.empty_like(x) if needed else None
        step = max(1, _CHUNK // max(1, x.size(1))) if x.device.type == "cpu" else max(1, x.size(0))
        for start in range(0, x.size(0), step):
            part = slice(start, start + step)
            rows[part] = _terms(x[part], gamma, None if slope is None else slope[part])
        # the object's own term is known without looking at the others
        own_term = _terms(own.unsqueeze(1), gamma, None)
        rows = torch.where(has_object, rows - own_term, rows).clamp_(min=0)
        if needed:
            ctx.save_for_backward(slope, column, has_object)
        ctx.dtype = logits.dtype
        return rows, own

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_rows: Tensor, grad_own: Tensor) -> tuple[Tensor, None, None]:
        slope, column, has_object = ctx.saved_tensors
        grad = slope * grad_rows.unsqueeze(1)
        kept = grad.gather(1, column).squeeze(1)
        grad.scatter_(1, column, torch.where(has_object, grad_own, kept).unsqueeze(1))
        return grad.to(ctx.dtype), None, None


def _terms(x: Tensor, gamma: float, slope: Tensor | None) -> Tensor:
    """Sums of the background terms of rows (n, C); their derivatives go into `slope` (n, C)."""
    cost = F.softplus(x)
    prob = torch.sigmoid(x)
    power = prob * prob if gamma == 2 else prob.pow(gamma)
    if slope is not None:
        # d/dx = p^gamma · (gamma · (1 - p) · cost + p)
        torch.mul(cost, gamma, out=slope)
        slope.addcmul_(slope, prob, value=-1).add_(prob).mul_(power)
    return cost.mul_(power).sum(1)
