"""Lines and areas on a picture, drawn by OpenCV."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.utils import ConfigError
from toolkit.visualization.colors import RGB

Image: TypeAlias = npt.NDArray[np.uint8]
Points: TypeAlias = npt.NDArray[np.float64]

# Coordinates are given to OpenCV in sixteenths of a pixel.
_SHIFT = 4
# By so much smooth shapes of OpenCV reach beyond their outline.
_BLEED = 0.65
# Dash patterns as lengths of stroke and gap, in line widths.
_DASHES: dict[str, tuple[float, ...]] = {"--": (4, 3), ":": (1, 2), "-.": (4, 2, 1, 2)}
_STYLES = {"solid": "-", "dashed": "--", "dotted": ":", "dashdot": "-."}


def line_style(style: str) -> tuple[float, ...] | None:
    """The dash pattern of a line style; None for a solid line.

    Raises:
        ConfigError: Unknown.
    """
    style = _STYLES.get(style, style)
    if style == "-":
        return None
    if style not in _DASHES:
        raise ConfigError(
            f"line style {style!r} is unknown; there are: {', '.join(['-', *_DASHES, *_STYLES])}"
        )
    return _DASHES[style]


def blended(
    image: Image, points: Points, reach: float, alpha: float, paint: Callable[[Image, Points], None]
) -> None:
    """Paints in place, see-through.

    Args:
        image: (H, W, 3).
        points: (N, 2) x and y of what is painted.
        reach: How far paint reaches beyond the points, in pixels.
        alpha: 1 covers, 0 leaves nothing.
        paint: Paints on the picture that it gets, at the points that it gets.
    """
    height, width = image.shape[:2]
    if not np.isfinite(points).all():
        return
    x1, y1 = np.floor(points.min(axis=0) - reach).astype(int)
    x2, y2 = np.ceil(points.max(axis=0) + reach).astype(int) + 1
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if x1 >= x2 or y1 >= y2:
        return
    region = image[y1:y2, x1:x2]
    layer = region.copy()
    paint(layer, points - (x1, y1))
    if alpha >= 1:
        region[:] = layer
    else:
        cv2.addWeighted(layer, alpha, region, 1 - alpha, 0, dst=region)


def stroke(
    image: Image,
    points: Points,
    color: RGB,
    width: int,
    dashes: tuple[float, ...] | None = None,
    closed: bool = False,
) -> None:
    """A line through points (N, 2), in place."""
    if closed and dashes is None and _is_box(points):
        _frame(image, points, color, width)
        return
    if closed:
        points = np.concatenate([points, points[:1]])
    pieces = [points] if dashes is None else _cut(points, [length * width for length in dashes])
    if width <= 1:
        cv2.polylines(image, [_fixed(piece) for piece in pieces], False, color, 1, cv2.LINE_AA, _SHIFT)
        return
    # OpenCV's own thick lines come out up to three pixels too wide.
    half = width / 2 - _BLEED
    for piece in pieces:
        for start, end in itertools.pairwise(piece):
            length = float(np.hypot(*(end - start)))
            across = (end - start)[::-1] * (-half, half) / max(length, 1e-9)
            side = np.stack([start + across, end + across, end - across, start - across])
            cv2.fillConvexPoly(image, _fixed(side), color, cv2.LINE_AA, _SHIFT)
        for joint in piece if closed and dashes is None else piece[1:-1]:
            dot(image, joint, width, color)


def dot(image: Image, center: Points, across: float, color: RGB) -> None:
    """A disc about `center` (2,), in place."""
    disc = ring(center[None], max(across / 2 - _BLEED, 0.1))
    cv2.fillConvexPoly(image, _fixed(disc), color, cv2.LINE_AA, _SHIFT)


def _is_box(points: Points) -> bool:
    """Whether the points are the corners of an upright box, in the order of `draw_bboxes`."""
    if len(points) != 4:
        return False
    (x1, y1), (x2, y2) = points[0], points[2]
    return bool(np.array_equal(points, [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]))


def _frame(image: Image, corners: Points, color: RGB, width: int) -> None:
    """The edges of a box on whole pixels, sharper than any slanted line."""
    before, after = width // 2, width - width // 2
    limits = np.array([image.shape[1], image.shape[0]]) + 2 * width
    (x1, y1), (x2, y2) = np.rint(np.clip(corners[[0, 2]], -2 * width, limits)).astype(int).tolist()
    left, top = max(x1 - before, 0), max(y1 - before, 0)
    right, bottom = max(x2 + after, 0), max(y2 + after, 0)
    for edge in (y1, y2):
        image[max(edge - before, 0) : max(edge + after, 0), left:right] = color
    for edge in (x1, x2):
        image[top:bottom, max(edge - before, 0) : max(edge + after, 0)] = color


def fill(image: Image, points: Points, color: RGB) -> None:
    """The inside of a polygon (N, 2), in place."""
    cv2.fillPoly(image, [_fixed(points)], color, cv2.LINE_AA, _SHIFT)


def ring(points: Points, radius: float) -> Points:
    """A circle about points[0] as a polygon (N, 2)."""
    steps = max(16, int(radius * 2))
    angles = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    # Far outside the picture nothing is seen, and OpenCV's 32-bit fixed point would overflow.
    limit = 2**31 / 2 ** (_SHIFT + 2)
    return np.rint(np.clip(points, -limit, limit) * 2**_SHIFT).astype(np.int32)


def _cut(points: Points, lengths: list[float]) -> list[Points]:
    """The strokes of a dashed line."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    pieces: list[Points] = []
    position, turn = 0.0, 0
    while position < along[-1]:
        end = min(position + lengths[turn % len(lengths)], along[-1])
        if turn % 2 == 0:
            inner = (along > position) & (along < end)
            ends = [
                np.array([np.interp(at, along, points[:, axis]) for axis in (0, 1)]) for at in (position, end)
            ]
            pieces.append(np.concatenate([ends[:1], points[inner], ends[1:]]))
        position, turn = end, turn + 1
    return pieces
