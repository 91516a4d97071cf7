"""Boxes as offsets of centre and size from a prior."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.coders.base import BaseBBoxCoder
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS

Shape = Sequence[float] | Tensor | None
_ZEROS = (0.0, 0.0, 0.0, 0.0)
_ONES = (1.0, 1.0, 1.0, 1.0)


@TASK_UTILS.register_module()
class DeltaXYWHBBoxCoder(BaseBBoxCoder):
    """Boxes as ``dx, dy, dw, dh`` (Girshick et al., "Rich feature hierarchies", 2013, appendix C).

    ``dx = (x - px) / pw``, ``dw = log(w / pw)`` for centres x, px and widths w, pw of box and prior; likewise
    for y and h; less `target_means`, divided by `target_stds`.

    Args:
        target_means: Of the four offsets.
        target_stds: Of the four offsets.
        clip_border: Clip decoded boxes to the image.
        add_ctr_clamp: Limit how far a centre moves to `ctr_clamp`, and growth but not shrinkage (YOLOF).
        ctr_clamp: That limit in pixels.
        use_box_type: See `BaseBBoxCoder`.
    """

    def __init__(
        self,
        target_means: Sequence[float] = _ZEROS,
        target_stds: Sequence[float] = _ONES,
        clip_border: bool = True,
        add_ctr_clamp: bool = False,
        ctr_clamp: int = 32,
        use_box_type: bool = False,
    ) -> None:
        super().__init__(use_box_type)
        self.means = tuple(target_means)
        self.stds = tuple(target_stds)
        self.clip_border = clip_border
        self.add_ctr_clamp = add_ctr_clamp
        self.ctr_clamp = ctr_clamp

    edge = 0.0
    """How much wider than its coordinates say a box is, in pixels."""

    def encode(self, bboxes: Tensor, gt_bboxes: Tensor) -> Tensor:
        """Offsets from `bboxes` to `gt_bboxes`, both (..., 4) with positive sizes: (..., 4)."""
        return bbox2delta(get_box_tensor(bboxes), get_box_tensor(gt_bboxes), self.means, self.stds, self.edge)

    def decode(  # type: ignore[override]
        self, bboxes: Tensor, pred_bboxes: Tensor, max_shape: Shape = None, wh_ratio_clip: float = 16 / 1000
    ) -> Tensor:
        """The boxes that offsets stand for.

        Args:
            bboxes: Priors, (..., 4).
            pred_bboxes: Offsets, (..., 4), or (..., 4·C) for C classes.
            max_shape: Height and width to clip to: two numbers, or a tensor (..., 2) that goes with the
                priors.
            wh_ratio_clip: A side shrinks at most to this part of the prior's and grows at most by its
                inverse.

        Returns:
            The shape of `pred_bboxes`.
        """
        return delta2bbox(
            get_box_tensor(bboxes),
            pred_bboxes,
            self.means,
            self.stds,
            max_shape,
            wh_ratio_clip,
            self.clip_border,
            self.add_ctr_clamp,
            self.ctr_clamp,
            self.edge,
        )


@TASK_UTILS.register_module()
class LegacyDeltaXYWHBBoxCoder(DeltaXYWHBBoxCoder):
    """`DeltaXYWHBBoxCoder` as in MMDetection 1.x, where the last pixel of a box belonged to it, so that a box
    is one wider than the difference of its sides.

    Args:
        target_means: Of the four offsets.
        target_stds: Of the four offsets.
        use_box_type: See `BaseBBoxCoder`.
    """

    edge = 1.0

    def __init__(
        self,
        target_means: Sequence[float] = _ZEROS,
        target_stds: Sequence[float] = _ONES,
        use_box_type: bool = False,
    ) -> None:
        super().__init__(target_means, target_stds, use_box_type=use_box_type)


def bbox2delta(
    proposals: Tensor,
    gt: Tensor,
    means: Sequence[float] = _ZEROS,
    stds: Sequence[float] = _ONES,
    edge: float = 0.0,
) -> Tensor:
    """Offsets (..., 4) from `proposals` (..., 4) to `gt` (..., 4); see `DeltaXYWHBBoxCoder`."""
    px1, py1, px2, py2 = proposals.float().unbind(-1)
    gx1, gy1, gx2, gy2 = gt.float().unbind(-1)
    pw, ph, gw, gh = (side + edge for side in (px2 - px1, py2 - py1, gx2 - gx1, gy2 - gy1))
    deltas = (
        ((gx1 + gx2) * 0.5 - (px1 + px2) * 0.5) / pw,
        ((gy1 + gy2) * 0.5 - (py1 + py2) * 0.5) / ph,
        torch.log(gw / pw),
        torch.log(gh / ph),
    )
    # Means and deviations stay Python numbers: tensors of them would have to be copied to the device each
    # time.
    return torch.stack([(d - m) / s for d, m, s in zip(deltas, means, stds, strict=True)], dim=-1)


def delta2bbox(
    rois: Tensor,
    deltas: Tensor,
    means: Sequence[float] = _ZEROS,
    stds: Sequence[float] = _ONES,
    max_shape: Shape = None,
    wh_ratio_clip: float = 16 / 1000,
    clip_border: bool = True,
    add_ctr_clamp: bool = False,
    ctr_clamp: int = 32,
    edge: float = 0.0,
) -> Tensor:
    """Boxes from `rois` (..., 4) and `deltas` (..., 4·C); see `DeltaXYWHBBoxCoder.decode`."""
    # (..., C, 4): each class has its offsets, the priors are shared
    parts = deltas.reshape(*deltas.shape[:-1], deltas.shape[-1] // 4, 4).unbind(-1)
    dx, dy, dw, dh = (d * s + m for d, m, s in zip(parts, means, stds, strict=True))
    x1, y1, x2, y2 = rois.unsqueeze(-2).unbind(-1)
    pw, ph = x2 - x1 + edge, y2 - y1 + edge
    dx, dy = dx * pw, dy * ph
    most = abs(math.log(wh_ratio_clip))
    least = -most
    if add_ctr_clamp:
        dx, dy = dx.clamp(-ctr_clamp, ctr_clamp), dy.clamp(-ctr_clamp, ctr_clamp)
        least = -math.inf
    cx, cy = (x1 + x2) * 0.5 + dx, (y1 + y2) * 0.5 + dy
    half_w = pw * dw.clamp(least, most).exp() * 0.5
    half_h = ph * dh.clamp(least, most).exp() * 0.5
    left, top, right, bottom = cx - half_w, cy - half_h, cx + half_w, cy + half_h
    if clip_border and max_shape is not None:
        if isinstance(max_shape, Tensor):
            height, width = (max_shape.to(rois.dtype).unsqueeze(-2)[..., :2] - edge).unbind(-1)
            left, right = (torch.minimum(x.clamp(min=0), width) for x in (left, right))
            top, bottom = (torch.minimum(y.clamp(min=0), height) for y in (top, bottom))
        else:
            tall, wide = (side - edge for side in max_shape[:2])
            left, right = left.clamp(0, wide), right.clamp(0, wide)
            top, bottom = top.clamp(0, tall), bottom.clamp(0, tall)
    return torch.stack((left, top, right, bottom), dim=-1).reshape(deltas.shape)
