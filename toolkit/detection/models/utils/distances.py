"""Boxes as distances from a point to their four sides."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def bbox2distance(points: Tensor, bbox: Tensor, max_dis: float | None = None, eps: float = 0.1) -> Tensor:
    """Distances from points to the left, top, right and bottom of boxes; negative beyond a side.

    Args:
        points: (..., 2) as x, y.
        bbox: (..., 4); leading dimensions are broadcast.
        max_dis: Limit the distances to 0 up to this less `eps`.
        eps: See there.

    Returns:
        (..., 4).
    """
    distance = torch.cat((points - bbox[..., :2], bbox[..., 2:] - points), dim=-1)
    return distance if max_dis is None else distance.clamp(min=0, max=max_dis - eps)


def distance2bbox(
    points: Tensor,
    distance: Tensor,
    max_shape: Sequence[float] | Sequence[Sequence[float]] | Tensor | None = None,
) -> Tensor:
    """The inverse of `bbox2distance`: boxes from distances to their sides.

    Args:
        points: (..., 2) as x, y.
        distance: (..., 4).
        max_shape: Height and width to clip to: two numbers; or for a batch a pair an image, (B, 2), or a
            tensor (B, 1, 2).

    Returns:
        (..., 4).
    """
    left, top, right, bottom = distance.unbind(-1)
    x, y = points[..., 0], points[..., 1]
    boxes = (x - left, y - top, x + right, y + bottom)
    if max_shape is None:
        return torch.stack(boxes, dim=-1)
    one_size = not isinstance(max_shape, Tensor) and not isinstance(max_shape[0], Sequence)
    if one_size:
        height, width = max_shape[:2]
        limits = (width, height, width, height)
        return torch.stack([side.clamp(0, most) for side, most in zip(boxes, limits, strict=True)], dim=-1)  # type: ignore[arg-type]
    shape = torch.as_tensor(max_shape, dtype=distance.dtype, device=distance.device)[..., :2]
    if shape.dim() == 2:
        shape = shape.unsqueeze(1)
    highest = torch.cat((shape, shape), dim=-1).flip(-1)  # (B, 1, 4) as w, h, w, h
    return torch.minimum(torch.stack(boxes, dim=-1).clamp(min=0), highest)
