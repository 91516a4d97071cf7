"""Losses of boxes by how they overlap.

Shapes: N boxes each, (N, 4) as x1, y1, x2, y2; the i-th prediction is compared with the i-th target.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss, weighted_loss
from toolkit.detection.models.utils import bbox_overlaps, box_area
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

_IOU_MODES = ("linear", "square", "log")


@weighted_loss
def iou_loss(
    pred: Tensor, target: Tensor, linear: bool = False, mode: str = "log", eps: float = 1e-6
) -> Tensor:
    """``-log(IoU)``, ``1 - IoU`` or ``1 - IoU²`` of each pair, (N,).

    Args:
        pred: Boxes, (N, 4).
        target: Boxes, (N, 4).
        linear: The older way to say ``mode='linear'``.
        mode: 'log', 'linear' or 'square'.
        eps: Smallest overlap that is told from none.

    Raises:
        BuildError: The mode is another.
    """
    mode = _checked_mode("linear" if linear else mode)
    ious = bbox_overlaps(pred.float(), target.float(), is_aligned=True).clamp(min=eps).to(pred.dtype)
    if mode == "log":
        return -ious.log()
    return 1 - (ious if mode == "linear" else ious**2)


@weighted_loss
def bounded_iou_loss(pred: Tensor, target: Tensor, beta: float = 0.2, eps: float = 1e-3) -> Tensor:
    """Smooth L1 of upper bounds of the IoU, one for each of x, y, width and height: (N, 4).

    From "Improving Object Localization with Fitness NMS and Bounded IoU Loss" (Tychsen-Smith and Petersson,
    2017).
    """
    px, py, pw, ph = _centre_and_size(pred)
    tx, ty, tw, th = (one.detach() for one in _centre_and_size(target))
    bounds = []
    for delta, size in ((tx - px, tw), (ty - py, th)):
        distance = 2 * delta.abs()
        ratio = (size - distance) / (size + distance + eps)
        bounds.append(1 - torch.maximum(ratio, torch.zeros_like(ratio)))
    for mine, size in ((pw, tw), (ph, th)):
        bounds.append(1 - torch.minimum(size / (mine + eps), mine / (size + eps)))
    bound = torch.stack(bounds, dim=-1)
    return torch.where(bound < beta, 0.5 * bound * bound / beta, bound - 0.5 * beta)


@weighted_loss
def giou_loss(pred: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    """``1 - GIoU`` of each pair, (N,): "Generalized Intersection over Union" (Rezatofighi et al., 2019)."""
    gious = bbox_overlaps(pred.float(), target.float(), mode="giou", is_aligned=True, eps=eps)
    return 1 - gious.to(pred.dtype)


@weighted_loss
def diou_loss(pred: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    """``1 - IoU`` plus the squared distance of the centres over that of the hull's corners, (N,).

    From "Distance-IoU Loss" (Zheng et al., 2019).
    """
    ious, distance = _iou_and_distance(pred, target, eps)
    return 1 - ious + distance


@weighted_loss
def ciou_loss(pred: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    """`diou_loss` and a penalty for another aspect ratio, at most 2: (N,).

    From "Enhancing Geometric Factors in Model Learning and Inference for Object Detection" (Zheng et al.,
    2020).
    """
    ious, distance = _iou_and_distance(pred, target, eps)
    _, _, pw, ph = _centre_and_size(pred)
    _, _, tw, th = _centre_and_size(target)
    angle = torch.atan(tw / (th + eps)) - torch.atan(pw / (ph + eps))
    aspect = 4 / math.pi**2 * angle**2
    with torch.no_grad():
        # the same boxes have 0 / 0 here
        alpha = (ious > 0.5).to(aspect.dtype) * aspect / (1 - ious + aspect).clamp(min=eps)
    return 1 - (ious - (distance + alpha * aspect)).clamp(min=-1.0, max=1.0)


@weighted_loss
def eiou_loss(pred: Tensor, target: Tensor, smooth_point: float = 0.1, eps: float = 1e-7) -> Tensor:
    """Smooth L1 of ``1 - IoU``, where boxes that don't meet have an IoU below 0: (N,).

    From "Extended-IoU Loss" (Peng et al., 2021).

    Args:
        pred: Boxes, (N, 4).
        target: Boxes, (N, 4).
        smooth_point: Where the square turns into a line.
        eps: Added to what is divided by.
    """
    px1, py1, px2, py2 = pred.unbind(-1)
    tx1, ty1, tx2, ty2 = target.unbind(-1)
    wide = _extended(torch.minimum(px1, tx1), torch.maximum(px1, tx1), torch.minimum(px2, tx2))
    tall = _extended(torch.minimum(py1, ty1), torch.maximum(py1, ty1), torch.minimum(py2, ty2))
    # Areas of rectangles from the hull's corner, signed so that a gap counts against the overlap.
    overlap = wide[1] * tall[1] + wide[2] * tall[2] - wide[0] * tall[3] - wide[3] * tall[0]
    union = box_area(pred) + box_area(target) - overlap + eps
    cost = 1 - overlap / union
    return torch.where(cost < smooth_point, 0.5 * cost**2 / smooth_point, cost - 0.5 * smooth_point)


def _extended(origin: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Along an axis, from the hull's begin: to where both have begun, to where one ends, and the lesser and
    the greater of the two."""
    begin, end = low - origin, high - origin
    return begin, end, torch.minimum(begin, end), torch.maximum(begin, end)


@weighted_loss
def siou_loss(pred: Tensor, target: Tensor, eps: float = 1e-7, neg_gamma: bool = False) -> Tensor:
    """``1 - IoU`` and half of costs of angle and distance and of shape, at most 2: (N,).

    From "SIoU Loss: More Powerful Learning for Bounding Box Regression" (Gevorgyan, 2022).

    Args:
        pred: Boxes, (N, 4).
        target: Boxes, (N, 4).
        eps: Added to what is divided by.
        neg_gamma: The sign that stands in the paper; without it training is more stable.
    """
    px, py, pw, ph = _centre_and_size(pred)
    tx, ty, tw, th = _centre_and_size(target)
    dx, dy = tx - px + eps, ty - py + eps
    length = (dx**2 + dy**2) ** 0.5
    sine_x, sine_y = dx.abs() / length, dy.abs() / length
    sine = torch.where(sine_x > math.sqrt(2) / 2, sine_y, sine_x)
    angle = torch.cos(torch.asin(sine) * 2 - math.pi / 2)

    hull_w, hull_h = (side.clamp(min=eps) for side in _hull(pred, target))
    gamma = angle - 2 if neg_gamma else 2 - angle
    distance = 2 - torch.exp(gamma * (dx / hull_w) ** 2) - torch.exp(gamma * (dy / hull_h) ** 2)

    ph, th = ph + eps, th + eps
    wide = (pw - tw).abs() / torch.maximum(pw, tw)
    tall = (ph - th).abs() / torch.maximum(ph, th)
    shape = (1 - torch.exp(-wide)) ** 4 + (1 - torch.exp(-tall)) ** 4
    return 1 - (_iou(pred, target, eps) - 0.5 * (distance + shape)).clamp(min=-1.0, max=1.0)


def _checked_mode(mode: str) -> str:
    if mode not in _IOU_MODES:
        raise BuildError(f"mode of IoULoss must be one of {_IOU_MODES}, got {mode!r}")
    return mode


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x1 + x2) * 0.5, (y1 + y2) * 0.5, x2 - x1, y2 - y1


def _hull(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height of the smallest box around both."""
    low = torch.minimum(pred[..., :2], target[..., :2])
    wide, tall = (torch.maximum(pred[..., 2:], target[..., 2:]) - low).unbind(-1)
    return wide, tall


def _iou(pred: Tensor, target: Tensor, eps: float) -> Tensor:
    """The IoU of each pair, with `eps` added to the union."""
    low = torch.maximum(pred[..., :2], target[..., :2])
    wide, tall = (torch.minimum(pred[..., 2:], target[..., 2:]) - low).clamp(min=0).unbind(-1)
    overlap = wide * tall
    return overlap / (box_area(pred) + box_area(target) - overlap + eps)


def _iou_and_distance(pred: Tensor, target: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The IoU of each pair, and the squared distance of their centres over that of the hull's corners."""
    hull_w, hull_h = (side.clamp(min=0) for side in _hull(pred, target))
    px, py, _, _ = _centre_and_size(pred)
    tx, ty, _, _ = _centre_and_size(target)
    squared = (tx - px) ** 2 + (ty - py) ** 2
    return _iou(pred, target, eps), squared / (hull_w**2 + hull_h**2 + eps)


class BoxIoULoss(nn.Module):
    """Base of the losses of overlaps.

    Args:
        eps: Keeps divisions and logarithms finite.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
    """

    weight_of_box = True
    """Whether a box has one loss, so that weights (N, 4) are averaged over its four numbers."""

    def __init__(self, eps: float = 1e-6, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        self.eps = eps
        self.reduction = reduction
        self.loss_weight = loss_weight

    @abstractmethod
    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """The loss of each pair, neither weighted nor reduced."""

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss of boxes `pred` against `target`, both (N, 4).

        Args:
            pred: Boxes.
            target: Boxes.
            weight: (N,) or (N, 4).
            avg_factor: See `weight_reduce_loss`.
            reduction_override: In place of the loss's own reduction.
            **kwargs: In place of the loss's own settings.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        if weight is not None and weight.dim() > 1 and self.weight_of_box:
            weight = weight.mean(-1)
        loss = self.costs(pred, target, **{"eps": self.eps, **kwargs})
        if not loss.numel() and weight is not None and avg_factor is None and reduction == "mean":
            reduction = "sum"  # of nothing: 0, where the mean is not a number
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)


@MODELS.register_module()
class IoULoss(BoxIoULoss):
    """See `iou_loss` ("UnitBox", Yu et al., 2016).

    Args:
        linear: The older way to say ``mode='linear'``.
        eps: See `BoxIoULoss`.
        reduction: See `BoxIoULoss`.
        loss_weight: See `BoxIoULoss`.
        mode: 'log', 'linear' or 'square'.

    Raises:
        BuildError: The mode is another.
    """

    def __init__(
        self,
        linear: bool = False,
        eps: float = 1e-6,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        mode: str = "log",
    ) -> None:
        super().__init__(eps, reduction, loss_weight)
        self.linear = linear
        self.mode = "linear" if linear else _checked_mode(mode)

    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """See `iou_loss`."""
        return iou_loss(pred, target, reduction="none", **{"mode": self.mode, **kwargs})


@MODELS.register_module()
class BoundedIoULoss(BoxIoULoss):
    """See `bounded_iou_loss`.

    Args:
        beta: Where the square turns into a line.
        eps: See `BoxIoULoss`.
        reduction: See `BoxIoULoss`.
        loss_weight: See `BoxIoULoss`.
    """

    weight_of_box = False

    def __init__(
        self, beta: float = 0.2, eps: float = 1e-3, reduction: str = "mean", loss_weight: float = 1.0
    ) -> None:
        super().__init__(eps, reduction, loss_weight)
        self.beta = beta

    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """See `bounded_iou_loss`."""
        return bounded_iou_loss(pred, target, reduction="none", **{"beta": self.beta, **kwargs})


@MODELS.register_module()
class GIoULoss(BoxIoULoss):
    """See `giou_loss`; arguments: `BoxIoULoss`."""

    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """See `giou_loss`."""
        return giou_loss(pred, target, reduction="none", **kwargs)


@MODELS.register_module()
class DIoULoss(BoxIoULoss):
    """See `diou_loss`; arguments: `BoxIoULoss`."""

    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """See `diou_loss`."""
        return diou_loss(pred, target, reduction="none", **kwargs)


@MODELS.register_module()
class CIoULoss(BoxIoULoss):
    """See `ciou_loss`; arguments: `BoxIoULoss`."""

    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """See `ciou_loss`."""
        return ciou_loss(pred, target, reduction="none", **kwargs)


@MODELS.register_module()
class EIoULoss(BoxIoULoss):
    """See `eiou_loss`.

    Args:
        eps: See `BoxIoULoss`.
        reduction: See `BoxIoULoss`.
        loss_weight: See `BoxIoULoss`.
        smooth_point: Where the square turns into a line.
    """

    def __init__(
        self, eps: float = 1e-6, reduction: str = "mean", loss_weight: float = 1.0, smooth_point: float = 0.1
    ) -> None:
        super().__init__(eps, reduction, loss_weight)
        self.smooth_point = smooth_point

    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """See `eiou_loss`."""
        return eiou_loss(pred, target, reduction="none", **{"smooth_point": self.smooth_point, **kwargs})


@MODELS.register_module()
class SIoULoss(BoxIoULoss):
    """See `siou_loss`.

    Args:
        eps: See `BoxIoULoss`.
        reduction: See `BoxIoULoss`.
        loss_weight: See `BoxIoULoss`.
        neg_gamma: The sign that stands in the paper.
    """

    def __init__(
        self, eps: float = 1e-6, reduction: str = "mean", loss_weight: float = 1.0, neg_gamma: bool = False
    ) -> None:
        super().__init__(eps, reduction, loss_weight)
        self.neg_gamma = neg_gamma

    def costs(self, pred: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """See `siou_loss`."""
        return siou_loss(pred, target, reduction="none", **{"neg_gamma": self.neg_gamma, **kwargs})
