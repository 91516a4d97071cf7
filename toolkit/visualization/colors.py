"""Colours, however they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from toolkit.utils import ConfigError

RGB: TypeAlias = tuple[int, int, int]
ColorLike: TypeAlias = str | Sequence[int]

# MMEngine's letters, which are full colours, unlike matplotlib's 'g'.
_LETTERS: dict[str, RGB] = {
    "r": (255, 0, 0),
    "g": (0, 255, 0),
    "b": (0, 0, 255),
    "w": (255, 255, 255),
    "k": (0, 0, 0),
    "y": (255, 255, 0),
    "m": (255, 0, 255),
    "c": (0, 255, 255),
}
BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)


def to_rgb(color: ColorLike) -> RGB | None:
    """Red, green and blue from 0 to 255.

    Args:
        color: One of the letters `rgbwkymc`, a name of CSS such as 'tomato', '#rrggbb', three numbers from 0
            to 255, or 'none' for no colour at all, which gives None.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(color, str):
        if color == "none":
            return None
        if color in _LETTERS:
            return _LETTERS[color]
        from PIL import ImageColor

        try:
            red, green, blue = ImageColor.getrgb(color)[:3]
        except ValueError as error:
            raise ConfigError(
                f"colour {color!r} is unknown; write one of 'rgbwkymc', a CSS name, '#rrggbb' or (r, g, b)"
            ) from error
        return red, green, blue
    values = [int(value) for value in color]
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        raise ConfigError(f"a colour has three numbers from 0 to 255, got {tuple(color)}")
    return values[0], values[1], values[2]


def one_each(value: Any, count: int, what: str) -> list[Any]:
    """`value` for each of `count` things: a list is taken as it is, anything else is repeated.

    Raises:
        ConfigError: A list that is too short.
    """
    if not isinstance(value, list):
        return [value] * count
    if len(value) < count:
        raise ConfigError(f"{len(value)} {what} were given for {count} things to draw")
    return value[:count]


def color_each(colors: ColorLike | list[ColorLike], count: int) -> list[RGB | None]:
    """A colour for each of `count` things."""
    return [to_rgb(color) for color in one_each(colors, count, "colours")]


def readable_on(background: RGB) -> RGB:
    """Black or white, whichever is read better on `background` (by the luma of ITU-R BT.601)."""
    red, green, blue = background
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else WHITE
