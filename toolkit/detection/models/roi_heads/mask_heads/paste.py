"""From masks in boxes to masks on the image."""

from __future__ import annotations

import torch
from torch import Tensor

# How many values of masks on the image are held at once: 256 MB of float32.
_CHUNK = 1 << 26


@torch.no_grad()
def paste_masks(masks: Tensor, boxes: Tensor, img_shape: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """Scale the mask of each box to the box, by bilinear interpolation, and threshold it.

    Interpolation is linear along each axis, so it is two small matrix products a mask, of which an image of
    zeros is left where there is no box.

    Args:
        masks: Probabilities, (N, h, w).
        boxes: (N, 4), in pixels of the image.
        img_shape: Height and width of the image.
        threshold: A pixel is inside from this probability on; negative for the probabilities times 255.

    Returns:
        (N, H, W) bool; with a negative threshold uint8.
    """
    height, width = img_shape
    dtype = torch.bool if threshold >= 0 else torch.uint8
    pasted = torch.zeros(len(masks), height, width, dtype=dtype, device=masks.device)
    if not pasted.numel():
        return pasted
    masks, boxes = masks.float(), boxes.float()
    x1, y1, x2, y2 = boxes.unbind(-1)
    along_y = _positions(y1, y2, height, masks.size(1))
    along_x = _positions(x1, x2, width, masks.size(2))
    if masks.is_cpu:
        # One by one, so that nothing is computed outside of the boxes.
        low = boxes[:, :2].floor().sub_(1).clamp_(min=0).long().tolist()
        high = boxes[:, 2:].ceil().add_(1).long().tolist()
        for i, ((left, top), (right, bottom)) in enumerate(zip(low, high, strict=True)):
            rows = slice(top, max(min(bottom, height), top))
            columns = slice(left, max(min(right, width), left))
            part = _interpolated(masks[i], along_y[i, rows], along_x[i, columns])
            pasted[i, rows, columns] = _thresholded(part, threshold)
        return pasted
    step = max(1, _CHUNK // (height * width))
    for start in range(0, len(masks), step):
        chosen = slice(start, start + step)
        part = _interpolated(masks[chosen], along_y[chosen], along_x[chosen])
        pasted[chosen] = _thresholded(part, threshold)
    return pasted


def _positions(low: Tensor, high: Tensor, length: int, cells: int) -> Tensor:
    """Where the centre of each of `length` pixels falls among the cells of masks: (N, length)."""
    centres = torch.arange(length, device=low.device, dtype=torch.float32) + 0.5
    part = (centres - low[:, None]) / (high - low)[:, None] * 2 - 1
    # in a box without extent there is only the middle
    part = torch.where(part.isinf(), 0.0, part)
    return ((part + 1) * cells - 1) / 2


def _interpolated(mask: Tensor, along_y: Tensor, along_x: Tensor) -> Tensor:
    """Masks (..., h, w) at positions (..., H) and (..., W): (..., H, W), fading to 0 outside."""
    return _weights(along_y, mask.size(-2)) @ mask @ _weights(along_x, mask.size(-1)).transpose(-2, -1)


def _weights(positions: Tensor, cells: int) -> Tensor:
    """The part that each cell has in the value at a position: (..., P, cells)."""
    places = torch.arange(cells, device=positions.device, dtype=positions.dtype)
    return (1 - (positions.unsqueeze(-1) - places).abs_()).clamp_(min=0)


def _thresholded(values: Tensor, threshold: float) -> Tensor:
    return values >= threshold if threshold >= 0 else (values * 255).to(torch.uint8)
