"""Where labels go so that they don't hide each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

Rect: TypeAlias = tuple[float, float, float, float]


def place_label(box: Rect, size: tuple[int, int], frame: tuple[int, int], taken: Sequence[Rect]) -> Rect:
    """A place for a label near its box, inside the picture, on no other label if there is such a place.

    Args:
        box: What is labelled: x1, y1, x2, y2.
        size: Width and height of the label.
        frame: Width and height of the picture.
        taken: Where labels lie already.

    Returns:
        x1, y1, x2, y2 of the label.
    """
    best: Rect | None = None
    least = float("inf")
    for x, y in _corners(box, size):
        x = min(max(x, 0), max(frame[0] - size[0], 0))
        y = min(max(y, 0), max(frame[1] - size[1], 0))
        rect = (x, y, x + size[0], y + size[1])
        hidden = sum(_shared(rect, other) for other in taken)
        if hidden < least:
            best, least = rect, hidden
        if not hidden:
            break
    assert best is not None
    return best


def _corners(box: Rect, size: tuple[int, int]) -> Iterator[tuple[float, float]]:
    """Top left corners of the places, best first: on the box, within, beneath, beside it, further off."""
    x1, y1, x2, y2 = box
    width, height = size
    yield x1, y1 - height
    yield x1, y1
    yield x1, y2
    yield x2 - width, y1 - height
    yield x2 - width, y1
    yield x1, y2 - height
    yield x2 - width, y2
    yield x2, y1
    yield x1 - width, y1
    for line in range(2, 5):
        yield x1, y1 - line * height
        yield x1, y1 + (line - 1) * height
        yield x1, y2 + (line - 1) * height


def _shared(first: Rect, second: Rect) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return width * height if width > 0 and height > 0 else 0.0
