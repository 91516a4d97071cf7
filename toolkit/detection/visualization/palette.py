"""Colours of classes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

Color = tuple[int, int, int]

_GOLDEN = 0.618033988749895  # steps of this part of the circle never come close to an earlier hue soon
_SHADES = ((0.85, 0.95), (0.65, 0.75), (0.55, 1.0))  # saturation and value, taken in turn


def generated_color(label: int) -> Color:
    """A vivid RGB colour for a label, unlike those of its neighbours."""
    saturation, value = _SHADES[label % len(_SHADES)]
    red, green, blue = colorsys.hsv_to_rgb((label * _GOLDEN) % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def class_color(label: int, palette: Sequence[Any] | None) -> Color:
    """The RGB colour of a label.

    Args:
        label: Index of the class.
        palette: A colour a class, one colour for all, or None for generated ones; classes beyond its end get
            generated ones, too.
    """
    if palette is not None and len(palette):
        first = palette[0]
        if not isinstance(first, Sequence):
            red, green, blue = palette
            return int(red), int(green), int(blue)
        if label < len(palette):
            red, green, blue = palette[label]
            return int(red), int(green), int(blue)
    return generated_color(label)
