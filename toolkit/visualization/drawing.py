"""The drawing methods of a visualizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from toolkit.utils import ConfigError
from toolkit.visualization import canvas, text
from toolkit.visualization.arrays import as_image, to_array, to_numbers, to_rows
from toolkit.visualization.canvas import Image, Points
from toolkit.visualization.colors import RGB, ColorLike, color_each, one_each, readable_on
from toolkit.visualization.placement import Rect, place_label

if TYPE_CHECKING:
    from typing import Self

Array: TypeAlias = npt.NDArray[Any] | Tensor
Colors: TypeAlias = ColorLike | list[ColorLike]
Widths: TypeAlias = float | list[float] | None

_MARKERS = {
    "+": cv2.MARKER_CROSS,
    "x": cv2.MARKER_TILTED_CROSS,
    "*": cv2.MARKER_STAR,
    "D": cv2.MARKER_DIAMOND,
}
_MARKERS |= {"s": cv2.MARKER_SQUARE, "^": cv2.MARKER_TRIANGLE_UP, "v": cv2.MARKER_TRIANGLE_DOWN}
_FILLED = ("o", ".")


class DrawingMixin:
    """Draws on the picture of `set_image`. Widths and letters that are not given are scaled to it."""

    def __init__(self) -> None:
        self._image: Image | None = None
        self._labels: list[Rect] = []

    def set_image(self, image: Any) -> None:
        """Takes a copy of a picture to draw on.

        Args:
            image: RGB (H, W, 3), or grey (H, W) or (H, W, 1); values from 0 to 255.
        """
        self._image = as_image(image).copy()
        self._labels = []

    def get_image(self) -> Image:
        """A copy of the picture with what was drawn, RGB (H, W, 3) of uint8."""
        return self._canvas.copy()

    @property
    def _canvas(self) -> Image:
        if self._image is None:
            raise RuntimeError("there is no picture to draw on: call set_image first")
        return self._image

    @property
    def width(self) -> int:
        """Width of the picture."""
        return int(self._canvas.shape[1])

    @property
    def height(self) -> int:
        """Height of the picture."""
        return int(self._canvas.shape[0])

    @property
    def default_line_width(self) -> int:
        """Line width that suits the picture, in pixels: 2 at 640 x 480, 4 at 1333 x 800."""
        return max(1, round((self.width * self.height) ** 0.5 / 280))

    @property
    def default_font_size(self) -> int:
        """Letter size that suits the picture, in pixels: 13 at 640 x 480, 24 at 1333 x 800."""
        return max(10, round((self.width * self.height) ** 0.5 / 43))

    # Shapes.

    def draw_bboxes(
        self,
        bboxes: Array,
        edge_colors: Colors = "g",
        line_styles: str | list[str] = "-",
        line_widths: Widths = None,
        face_colors: Colors = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Boxes.

        Args:
            bboxes: (N, 4) or (4,), x1, y1, x2, y2 in pixels.
            edge_colors: One for all, or a list.
            line_styles: '-', '--', ':' or '-.'.
            line_widths: In pixels; None suits the picture.
            face_colors: What they are filled with.
            alpha: 1 covers what is beneath, 0 shows nothing.

        Raises:
            ConfigError: A wrong shape, or a box whose corners are the wrong way round.
        """
        boxes = to_rows(bboxes, 4, "bboxes")
        if ((boxes[:, 2:] - boxes[:, :2]) < 0).any():
            raise ConfigError("bboxes are x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")
        corners = [box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) for box in boxes]
        return self._areas(corners, edge_colors, line_styles, line_widths, face_colors, alpha)

    def draw_polygons(
        self,
        polygons: Array | list[Array],
        edge_colors: Colors = "g",
        line_styles: str | list[str] = "-",
        line_widths: Widths = None,
        face_colors: Colors = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Polygons, each (P, 2) of x and y; the other arguments as in `draw_bboxes`."""
        several = polygons if isinstance(polygons, list) else [polygons]
        shapes = [to_rows(polygon, 2, "a polygon") for polygon in several]
        return self._areas(shapes, edge_colors, line_styles, line_widths, face_colors, alpha)

    def draw_circles(
        self,
        center: Array,
        radius: Array,
        edge_colors: Colors = "g",
        line_styles: str | list[str] = "-",
        line_widths: Widths = None,
        face_colors: Colors = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Circles about centers (N, 2) or (2,) with radii (N,); the other arguments as in `draw_bboxes`."""
        centers = to_rows(center, 2, "center")
        radii = to_numbers(radius).reshape(-1)
        if len(radii) != len(centers):
            raise ConfigError(f"{len(centers)} centers but {len(radii)} radii were given")
        shapes = [canvas.ring(middle[None], float(r)) for middle, r in zip(centers, radii, strict=True)]
        return self._areas(shapes, edge_colors, line_styles, line_widths, face_colors, alpha)

    def draw_lines(
        self,
        x_datas: Array,
        y_datas: Array,
        colors: Colors = "g",
        line_styles: str | list[str] = "-",
        line_widths: Widths = None,
    ) -> Self:
        """Straight lines from (x[0], y[0]) to (x[1], y[1]).

        Args:
            x_datas: (N, 2) or (2,).
            y_datas: (N, 2) or (2,).
            colors: One for all, or a list.
            line_styles: '-', '--', ':' or '-.'.
            line_widths: In pixels; None suits the picture.
        """
        x, y = to_rows(x_datas, 2, "x_datas"), to_rows(y_datas, 2, "y_datas")
        if x.shape != y.shape:
            raise ConfigError(f"x_datas has the shape {x.shape}, y_datas {y.shape}")
        shapes = list(np.stack([x, y], axis=-1))
        return self._areas(shapes, colors, line_styles, line_widths, "none", 1.0, closed=False)

    def _areas(
        self,
        shapes: list[Points],
        edge_colors: Colors,
        line_styles: str | list[str],
        line_widths: Widths,
        face_colors: Colors,
        alpha: float,
        closed: bool = True,
    ) -> Self:
        count = len(shapes)
        if line_widths is None:
            line_widths = self.default_line_width
        edges, faces = color_each(edge_colors, count), color_each(face_colors, count)
        dashes = [canvas.line_style(style) for style in one_each(line_styles, count, "line styles")]
        widths = [max(1, round(width)) for width in one_each(line_widths, count, "line widths")]
        for points, edge, face, dash, width in zip(shapes, edges, faces, dashes, widths, strict=True):
            if len(points) == 0:
                continue

            def paint(layer: Image, at: Points, edge=edge, face=face, dash=dash, width=width) -> None:
                if face is not None:
                    canvas.fill(layer, at, face)
                if edge is not None:
                    canvas.stroke(layer, at, edge, width, dash, closed)

            canvas.blended(self._canvas, points, width + 2, alpha, paint)
        return self

    def draw_points(
        self,
        positions: Array,
        colors: Colors = "g",
        marker: str | None = None,
        sizes: Array | None = None,
    ) -> Self:
        """Points.

        Args:
            positions: (N, 2) or (2,), x and y.
            colors: One for all, or a list.
            marker: 'o' (by default), '+', 'x', '*', 's', 'D', '^' or 'v'.
            sizes: Diameters (N,) in pixels; by default what suits the picture.

        Raises:
            ConfigError: An unknown marker.
        """
        points = to_rows(positions, 2, "positions")
        marker = marker or "o"
        if marker not in _MARKERS and marker not in _FILLED:
            raise ConfigError(f"marker {marker!r} is unknown; there are: {', '.join([*_FILLED, *_MARKERS])}")
        size = 3 * self.default_line_width
        diameters = [size] * len(points) if sizes is None else to_numbers(sizes).reshape(-1).tolist()
        for point, color, across in zip(points, color_each(colors, len(points)), diameters, strict=True):
            if color is None or not np.isfinite(point).all():
                continue
            if marker in _FILLED:
                canvas.dot(self._canvas, point, across, color)
            else:
                at = (round(point[0]), round(point[1]))
                width = max(1, round(across / 8))
                cv2.drawMarker(self._canvas, at, color, _MARKERS[marker], round(across), width, cv2.LINE_AA)
        return self

    def draw_binary_masks(
        self, binary_masks: Array, colors: Colors = "g", alphas: float | list[float] = 0.8
    ) -> Self:
        """Areas given as masks.

        Args:
            binary_masks: (N, H, W) or (H, W), of the picture's size; what is not 0 is covered.
            colors: One for all, or a list.
            alphas: 1 covers what is beneath, 0 shows nothing; one for all, or a list.

        Raises:
            ConfigError: Masks of another size.
        """
        masks = to_array(binary_masks)
        masks = masks[None] if masks.ndim == 2 else masks
        if masks.shape[1:] != self._canvas.shape[:2]:
            raise ConfigError(
                f"masks of {masks.shape[1:]} don't lie on a picture of {self._canvas.shape[:2]}"
            )
        count = len(masks)
        for mask, color, alpha in zip(
            masks != 0, color_each(colors, count), one_each(alphas, count, "alphas"), strict=True
        ):
            x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
            if color is None or width == 0:
                continue
            inside = mask[y : y + height, x : x + width]
            region = self._canvas[y : y + height, x : x + width]
            tinted = region[inside] * (1 - alpha) + np.array(color) * alpha
            region[inside] = np.rint(tinted).astype(np.uint8)
        return self

    # Text.

    def draw_texts(
        self,
        texts: str | list[str],
        positions: Array,
        font_sizes: float | list[float] | None = None,
        colors: Colors = "g",
        vertical_alignments: str | list[str] = "top",
        horizontal_alignments: str | list[str] = "left",
        font_families: str | list[str] = "sans-serif",
        bboxes: dict[str, Any] | list[dict[str, Any]] | None = None,
        font_properties: Any = None,
    ) -> Self:
        """Texts exactly where they are wanted; `draw_labels` finds places for them.

        Args:
            texts: One or more, which may have several lines.
            positions: (N, 2) or (2,), x and y.
            font_sizes: Letter size in pixels; None suits the picture.
            colors: One for all, or a list.
            vertical_alignments: What of the text is at y: 'top', 'center', 'bottom' or 'baseline'.
            horizontal_alignments: What of the text is at x: 'left', 'center' or 'right'.
            font_families: 'sans-serif', 'serif', 'monospace', a font file, or the name of an installed font.
            bboxes: The box behind the text: `facecolor`, `edgecolor`, `alpha` and `pad`, in tenths of a line.
                Without one the letters are outlined.
            font_properties: `FontProperties` of matplotlib.
        """
        several = [texts] if isinstance(texts, str) else list(texts)
        count = len(several)
        points = to_rows(positions, 2, "positions")
        if len(points) != count:
            raise ConfigError(f"{count} texts but {len(points)} positions were given")
        if font_sizes is None:
            font_sizes = self.default_font_size
        columns = zip(
            several,
            points,
            one_each(font_sizes, count, "font sizes"),
            color_each(colors, count),
            one_each(vertical_alignments, count, "alignments"),
            one_each(horizontal_alignments, count, "alignments"),
            one_each(font_families, count, "font families"),
            one_each(bboxes, count, "boxes"),
            one_each(font_properties, count, "font properties"),
            strict=True,
        )
        for string, point, size, color, vertical, horizontal, family, box, properties in columns:
            if color is None:
                continue
            font = text.font_of(properties, family, max(1, round(size)))
            x1, y1, x2, y2 = text.text_box(string, (point[0], point[1]), font, horizontal, vertical)
            if box:
                self._text_background((x1, y1, x2, y2), box, font.size)
            text.write(self._canvas, string, (x1, y1), font, color, None if box else readable_on(color))
        return self

    def _text_background(self, rect: tuple[int, int, int, int], box: dict[str, Any], size: float) -> None:
        pad = round(float(box.get("pad", 1)) * size / 10)
        x1, y1, x2, y2 = rect
        self.draw_bboxes(
            np.array([x1 - pad, y1 - pad, x2 + pad, y2 + pad]),
            edge_colors=box.get("edgecolor", "none"),
            line_widths=1,
            face_colors=box.get("facecolor", "black"),
            alpha=float(box.get("alpha", 1.0)),
        )

    def draw_labels(
        self,
        texts: list[str],
        bboxes: Array,
        colors: Colors = "g",
        font_sizes: float | None = None,
        alpha: float = 0.9,
        text_colors: Colors | None = None,
    ) -> Self:
        """Labels of boxes, on a ground of the box's colour, placed so that they don't hide each other.

        They also keep off the labels of earlier calls on the same picture.

        Args:
            texts: One a box.
            bboxes: (N, 4), x1, y1, x2, y2 in pixels.
            colors: Grounds, one for all, or a list.
            font_sizes: Letter size in pixels; None suits the picture.
            alpha: 1 covers what is beneath, 0 shows nothing.
            text_colors: Of the letters; None for black or white, as is read better.
        """
        boxes = to_rows(bboxes, 4, "bboxes")
        if len(texts) != len(boxes):
            raise ConfigError(f"{len(texts)} texts but {len(boxes)} boxes were given")
        font = text.find_font("sans-serif", max(1, round(font_sizes or self.default_font_size)))
        pad = max(1, round(font.size / 6))
        letters = color_each("none" if text_colors is None else text_colors, len(texts))
        grounds = color_each(colors, len(texts))
        for string, box, color, letter in zip(texts, boxes, grounds, letters, strict=True):
            ground: RGB = color or (0, 0, 0)
            width, height = text.text_size(string, font)
            size = (width + 2 * pad, height)
            rect = place_label(tuple(box.tolist()), size, (self.width, self.height), self._labels)
            self._labels.append(rect)
            x, y = round(rect[0]), round(rect[1])
            self.draw_bboxes(
                np.array([x, y, x + size[0] - 1, y + size[1] - 1]), "none", face_colors=ground, alpha=alpha
            )
            text.write(self._canvas, string, (x + pad, y), font, letter or readable_on(ground))
        return self
