"""Pictures of circles, squares and triangles, computed from a seed and an index.

The picture that belongs to (seed, split, index) never changes: the random numbers come from NumPy's frozen
`RandomState`, vertices are rounded to sixteenths of a pixel, and all blending is in integers, so processes
and platforms agree. Nothing is read from or written to disk.

Shapes: images (H, W, 3) uint8 BGR · boxes (N, 4) float32 xyxy · labels (N,) int64 · masks (N, H, W) uint8.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

CLASSES = ("circle", "square", "triangle")
PALETTE = ((230, 80, 60), (60, 140, 240), (40, 180, 90))

_MIN_CONTRAST = 90
_PLACING_TRIES = 12


class RenderedShapes(NamedTuple):
    """One picture and what can be seen in it.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        boxes: (N, 4) float32, the extent of the visible pixels, xyxy with exclusive right and lower edges.
        labels: (N,) int64, indices into `CLASSES`.
        masks: (N, H, W) uint8 of 0 and 1: the visible pixels; masks don't overlap.
        visible: (N,) float32: the part of each shape's area that later shapes left uncovered.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    visible: np.ndarray


class _Shape(NamedTuple):
    label: int
    top: int  # of the window that the coverage fills
    left: int
    coverage: np.ndarray  # (h, w) uint8, 255 inside, anti-aliased at the edge


def render_shapes(
    seed: int,
    index: int,
    size: tuple[int, int] = (192, 192),
    num_shapes: tuple[int, int] = (1, 5),
    radius: tuple[float, float] = (0.08, 0.22),
    split: str = "train",
    min_visible: float = 0.6,
) -> RenderedShapes:
    """Draw the picture that belongs to (seed, split, index).

    Shapes may cover each other. A place is drawn again where it would leave an earlier shape less than
    `min_visible` of its area, so what is annotated can be seen, and nothing is drawn that isn't annotated.

    Args:
        seed: Seed of the whole data set.
        index: Which picture, from 0.
        size: Width and height in pixels.
        num_shapes: Smallest and largest number of shapes. Fewer are drawn where there is no room.
        radius: Smallest and largest radius of a shape's enclosing circle, relative to the shorter side.
        split: Name of the split. Pictures of two splits have nothing in common.
        min_visible: Smallest part of a shape's area that stays uncovered, 0 to 1.

    Returns:
        The picture with boxes, labels and masks, in drawing order (later shapes lie on top).
    """
    rng = np.random.RandomState([seed % 2**32, zlib.crc32(split.encode()), index % 2**32])
    width, height = size
    image, mean = _background(rng, height, width)
    owner = np.zeros((height, width), np.uint8)  # 1 + number of the topmost shape at each pixel
    areas: list[int] = []
    labels: list[int] = []
    seen = np.zeros(0, np.int64)  # pixels of each shape that are still uncovered
    for _ in range(rng.randint(num_shapes[0], num_shapes[1] + 1)):
        placed = _place(rng, owner, seen, min_visible * np.asarray(areas), radius)
        if placed is None:
            continue
        shape, seen = placed
        window = _window(shape)
        _paint(rng, image[window], shape.coverage, mean)
        areas.append(int(seen[-1]))
        labels.append(shape.label)
        owner[window][shape.coverage > 127] = len(areas)
    return _annotate(image, owner, labels, seen / np.maximum(areas, 1))


cached_render = lru_cache(maxsize=4)(render_shapes)
"""`render_shapes` that remembers the last few pictures: first a picture is asked for, then its boxes."""


def _window(shape: _Shape) -> tuple[slice, slice]:
    height, width = shape.coverage.shape
    return slice(shape.top, shape.top + height), slice(shape.left, shape.left + width)


def _annotate(
    image: np.ndarray, owner: np.ndarray, labels: Sequence[int], visible: np.ndarray
) -> RenderedShapes:
    numbers = np.arange(1, len(labels) + 1, dtype=np.uint8)
    masks = (owner[None] == numbers[:, None, None]).view(np.uint8)
    boxes = np.zeros((len(labels), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        left, top, width, height = cv2.boundingRect(mask)
        box[:] = left, top, left + width, top + height
    return RenderedShapes(image, boxes, np.asarray(labels, np.int64), masks, visible.astype(np.float32))


def _place(
    rng: np.random.RandomState,
    owner: np.ndarray,
    seen: np.ndarray,
    needed: np.ndarray,
    radius: tuple[float, float],
) -> tuple[_Shape, np.ndarray] | None:
    """A shape that leaves each earlier one the pixels it needs, and the pixels that all of them then show.

    None where a dozen tries found no such place.
    """
    label = int(rng.randint(len(CLASSES)))
    height, width = owner.shape
    for _ in range(_PLACING_TRIES):
        reach = rng.uniform(*radius) * min(height, width)
        shape = _outline(rng, label, reach, (width, height))
        under = owner[_window(shape)][shape.coverage > 127]
        covered = np.bincount(under, minlength=len(seen) + 1)[1:]
        left_over = seen - covered
        if np.all(left_over >= needed):
            return shape, np.append(left_over, len(under))
    return None


def _outline(rng: np.random.RandomState, label: int, reach: float, size: tuple[int, int]) -> _Shape:
    """A shape wholly inside the picture, with anti-aliased coverage from the distance to its edge."""
    center = [rng.uniform(reach + 1, max(side - reach - 1, reach + 2)) for side in size]
    x, y, reach = (np.round(value * 16) / 16 for value in (*center, reach))
    angle = rng.uniform(0, 2 * np.pi)
    left, top = max(int(x - reach - 1), 0), max(int(y - reach - 1), 0)
    right, bottom = min(int(x + reach + 3), size[0]), min(int(y + reach + 3), size[1])
    across = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x)
    down = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - y)
    if label == 0:
        distance = np.sqrt(across * across + down * down) - np.float32(reach)
    else:
        corners = 4 if label == 1 else 3
        turns = angle + 2 * np.pi * np.arange(corners) / corners
        distance = _polygon_distance(across, down, turns, reach)
    coverage = np.clip(128 - distance * 255, 0, 255).astype(np.uint8)
    return _Shape(label, top, left, coverage)


def _polygon_distance(across: np.ndarray, down: np.ndarray, turns: np.ndarray, reach: float) -> np.ndarray:
    """Signed distance to a convex polygon with corners on the circle of radius `reach` (negative inside)."""
    corners = np.round(np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach * 16) / 16
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
    normals /= np.sqrt((normals * normals).sum(axis=1, keepdims=True))
    offsets = (normals * corners).sum(axis=1).astype(np.float32)
    normals = normals.astype(np.float32)
    sides = (across * n[0] + down * n[1] - offset for n, offset in zip(normals, offsets, strict=True))
    distance = next(sides)
    for side in sides:
        np.maximum(distance, side, out=distance)
    return distance


def _paint(rng: np.random.RandomState, window: np.ndarray, coverage: np.ndarray, mean: np.ndarray) -> None:
    """Blend a shape of a colour that stands out from the background into `window`, in place."""
    color = _contrasting_color(rng, mean)
    height, width = coverage.shape
    grain = _noise(rng, height, width, cell=6, spread=24)
    fill = _colorize(grain, color - 12, (8, 8, 8)).astype(np.uint16)
    weight = coverage.astype(np.uint16)[..., None]
    blend = window * (255 - weight) + fill * weight + np.uint16(128)  # at most 255 * 255 + 128: fits 16 bits
    window[:] = (blend + (blend >> 8)) >> 8  # divided by 255, rounded


def _contrasting_color(rng: np.random.RandomState, mean: np.ndarray) -> np.ndarray:
    for _ in range(20):
        color = rng.randint(20, 236, size=3)
        if np.abs(color - mean).max() >= _MIN_CONTRAST:
            return color
    return np.where(mean > 127, 20, 235)


def _background(rng: np.random.RandomState, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A textured background and its mean colour."""
    base = rng.randint(50, 206, size=3)
    kind = rng.randint(4)
    if kind == 0:
        pattern = _noise(rng, height, width, cell=24, spread=70)
    elif kind == 1:
        pattern = _stripes(rng, height, width)
    elif kind == 2:
        pattern = _stripes(rng, height, width) // 2 + _stripes(rng, height, width) // 2
    else:
        pattern = _ramp(rng, height, width)
    pattern += np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width) & 15
    tint = rng.randint(5, 9, size=3)
    return _colorize(pattern, base - (int(pattern.mean()) * tint >> 3), tint), base


def _colorize(pattern: np.ndarray, base: np.ndarray, tint: Sequence[int] | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: each channel is its base plus `tint` eighths of the pattern (H, W) uint8."""
    levels = np.arange(256)[:, None] * np.asarray(tint) >> 3
    table = np.clip(levels + base, 0, 255).astype(np.uint8)
    return cv2.LUT(cv2.merge([pattern] * 3), table[None])


def _noise(rng: np.random.RandomState, height: int, width: int, cell: int, spread: int) -> np.ndarray:
    """(H, W) uint8 in 0..spread: random values on a grid with `cell` pixels between, joined smoothly."""
    rows, columns = -(-height // cell) + 1, -(-width // cell) + 1
    grid = rng.randint(0, spread + 1, size=(rows, columns)).astype(np.uint8)
    # the _EXACT variant is bit-equal on every processor
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)


def _stripes(rng: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """(H, W) uint8: stripes of a random direction and width."""
    slope_x, slope_y = rng.randint(-8, 9), rng.randint(-8, 9)
    period = int(rng.randint(12, 40)) * 8
    phase = _plane(height, width, slope_x or 1, slope_y) % period
    return np.where(phase < period // 2, np.uint8(0), np.uint8(rng.randint(25, 60)))


def _ramp(rng: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """(H, W) uint8: an even change of brightness from one side to the other."""
    across, down = rng.randint(-50, 51), rng.randint(-50, 51)
    steps = 256 * across // width, 256 * down // height
    ramp = _plane(height, width, *steps) >> 8
    return (ramp - ramp.min()).astype(np.uint8)


def _plane(height: int, width: int, slope_x: int, slope_y: int) -> np.ndarray:
    """(H, W) int32: slope_x * x + slope_y * y."""
    across = np.arange(width, dtype=np.int32) * np.int32(slope_x)
    return across + (np.arange(height, dtype=np.int32) * np.int32(slope_y))[:, None]
