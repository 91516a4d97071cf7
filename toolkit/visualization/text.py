"""Text on a picture, in real fonts."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from toolkit.visualization.canvas import Image
from toolkit.visualization.colors import RGB

# The fonts that come with matplotlib, by its names of generic families. They hold Latin, Greek, Cyrillic.
_BUNDLED = {"sans-serif": "DejaVuSans", "serif": "DejaVuSerif", "monospace": "DejaVuSansMono"}
_HORIZONTAL = {"left": "l", "center": "m", "right": "r"}
_VERTICAL = {"top": "a", "center": "m", "bottom": "d", "baseline": "s", "center_baseline": "m"}


@functools.lru_cache(maxsize=64)
def find_font(family: str, size: int) -> ImageFont.FreeTypeFont:
    """A font.

    Args:
        family: 'sans-serif', 'serif', 'monospace', a font file, or the name of an installed font.
        size: Height of a line without its spacing, in pixels.
    """
    if family in _BUNDLED:
        # Found without importing matplotlib, which would take a third of a second.
        spec = importlib.util.find_spec("matplotlib")
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{_BUNDLED[family]}.ttf"
        return ImageFont.truetype(str(path), size)
    if os.path.isfile(family):
        return ImageFont.truetype(family, size)
    from matplotlib.font_manager import findfont

    return ImageFont.truetype(findfont(family), size)


def font_of(properties: Any, family: str, size: int) -> ImageFont.FreeTypeFont:
    """The font of matplotlib's `FontProperties`, where given; else of `family`."""
    if properties is None:
        return find_font(family, size)
    return find_font(properties.get_file() or properties.get_name(), size)


def text_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    """Width and height of the lines of `text`, the same height for all texts of as many lines."""
    lines = text.split("\n")
    ascent, descent = font.getmetrics()
    width = max(round(font.getlength(line)) for line in lines)
    return width, (ascent + descent) * len(lines) + 4 * (len(lines) - 1)


def text_box(
    text: str, position: tuple[float, float], font: ImageFont.FreeTypeFont, horizontal: str, vertical: str
) -> tuple[int, int, int, int]:
    """Where `text` comes to lie: x1, y1, x2, y2."""
    width, height = text_size(text, font)
    left = {"l": 0.0, "m": width / 2, "r": float(width)}[_HORIZONTAL[horizontal]]
    ascent = font.getmetrics()[0]
    top = {"a": 0.0, "m": height / 2, "d": float(height), "s": float(ascent)}[_VERTICAL[vertical]]
    x, y = round(position[0] - left), round(position[1] - top)
    return x, y, x + width, y + height


def write(
    image: Image,
    text: str,
    corner: tuple[int, int],
    font: ImageFont.FreeTypeFont,
    color: RGB,
    outline: RGB | None = None,
) -> None:
    """Writes `text` with its top left corner at `corner` (x, y), in place.

    Args:
        image: (H, W, 3).
        text: One or more lines.
        corner: x and y.
        font: From `find_font`.
        color: Of the letters.
        outline: Of a thin line about them, so that they are read on any background.
    """
    width, height = text_size(text, font)
    rim = max(1, round(font.size / 12)) if outline is not None else 0
    x1, y1 = max(corner[0] - rim, 0), max(corner[1] - rim, 0)
    x2, y2 = (
        min(corner[0] + width + rim + 2, image.shape[1]),
        min(corner[1] + height + rim + 2, image.shape[0]),
    )
    if x1 >= x2 or y1 >= y2:
        return
    region = PILImage.fromarray(image[y1:y2, x1:x2])
    place = (corner[0] - x1, corner[1] - y1)
    ImageDraw.Draw(region).text(place, text, fill=color, font=font, stroke_width=rim, stroke_fill=outline)
    image[y1:y2, x1:x2] = np.asarray(region)
