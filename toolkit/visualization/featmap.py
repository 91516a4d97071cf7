"""Feature maps as pictures."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toolkit.utils import ConfigError, did_you_mean
from toolkit.visualization.canvas import Image

_REDUCTIONS = ("squeeze_mean", "select_max")


def featmap_image(
    featmap: Tensor,
    overlaid_image: Image | None = None,
    channel_reduction: str | None = "squeeze_mean",
    topk: int = 20,
    arrangement: tuple[int, int] = (4, 5),
    resize_shape: tuple[int, int] | None = None,
    alpha: float = 0.5,
) -> Image:
    """A feature map as a heat map, or as a table of heat maps.

    Args:
        featmap: (C, H, W).
        overlaid_image: RGB (H, W, 3) beneath the heat map.
        channel_reduction: 'squeeze_mean' takes the mean over channels, 'select_max' the channel of the
            largest mean; None shows channels side by side.
        topk: Without reduction, how many channels of the largest mean are shown; -1 shows all of a map of 1
            or 3.
        arrangement: Rows and columns of the table.
        resize_shape: Height and width to which the map is enlarged.
        alpha: Share of the heat map where it lies on a picture.

    Returns:
        RGB (H, W, 3).

    Raises:
        ConfigError: Arguments that don't fit.
    """
    if featmap.dim() != 3:
        raise ConfigError(
            f"a feature map has the shape (C, H, W), got {tuple(featmap.shape)}; take one of the batch"
        )
    maps = featmap.detach().float().cpu()
    size = resize_shape if resize_shape is not None else None
    if overlaid_image is not None and size is None:
        size = (overlaid_image.shape[0], overlaid_image.shape[1])
    if size is not None:
        maps = F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
    if overlaid_image is not None and overlaid_image.shape[:2] != maps.shape[-2:]:
        overlaid_image = cv2.resize(overlaid_image, (maps.shape[-1], maps.shape[-2])).astype(np.uint8)
    if channel_reduction is not None:
        return _heat(_reduce(maps, channel_reduction), overlaid_image, alpha)
    if topk <= 0:
        if len(maps) not in (1, 3):
            raise ConfigError(
                f"topk={topk} shows a map of 1 or 3 channels as it is, this one has {len(maps)}"
            )
        return _heat(maps.mean(0), overlaid_image, alpha)
    rows, columns = arrangement
    if rows * columns < min(topk, len(maps)):
        raise ConfigError(f"arrangement {arrangement} has no room for topk={topk} channels")
    strongest = maps.mean(dim=(1, 2)).topk(min(topk, len(maps))).indices
    tiles = [_heat(maps[channel], overlaid_image, alpha) for channel in strongest]
    return _table(tiles, rows, columns)


def _reduce(maps: Tensor, how: str) -> Tensor:
    if how == "squeeze_mean":
        return maps.mean(0)
    if how == "select_max":
        return maps[maps.sum(dim=(1, 2)).argmax()]
    raise ConfigError(f"channel_reduction {how!r} is unknown{did_you_mean(how, _REDUCTIONS)}; or None")


def _heat(values: Tensor, image: Image | None, alpha: float) -> Image:
    low, high = torch.aminmax(values)
    unit = (values - low) / (high - low).clamp_min(1e-12)
    heat = cv2.applyColorMap((unit * 255).round().numpy().astype(np.uint8), cv2.COLORMAP_JET)
    rgb: Image = np.ascontiguousarray(heat[..., ::-1]).astype(np.uint8, copy=False)
    if image is None:
        return rgb
    return cv2.addWeighted(image, 1 - alpha, rgb, alpha, 0).astype(np.uint8, copy=False)


def _table(tiles: list[Image], rows: int, columns: int, gap: int = 2) -> Image:
    height, width = tiles[0].shape[:2]
    rows = min(rows, -(-len(tiles) // columns))
    table = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        y, x = (place // columns) * (height + gap), (place % columns) * (width + gap)
        table[y : y + height, x : x + width] = tile
    return table
