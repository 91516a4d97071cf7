"""`shapes://` addresses: rendered pictures that anything which reads files through fsspec can open.

`shapes://train/0/192x192/1-5/0.08-0.22/000017.bmp` names split, seed, width and height, number of shapes,
their relative radius and the index. So a pipeline over embedded data has the same steps as one over files.
"""

from __future__ import annotations

import io
import os
from typing import Any, NamedTuple

import cv2
import fsspec
from fsspec.spec import AbstractFileSystem

from toolkit.dataset.shapes_render import RenderedShapes, cached_render
from toolkit.utils.errors import DataError

PROTOCOL = "shapes"


class ShapesSource(NamedTuple):
    """Everything but the index that decides what a rendered picture shows.

    Attributes are the arguments of `render_shapes`.
    """

    split: str = "train"
    seed: int = 0
    size: tuple[int, int] = (192, 192)
    num_shapes: tuple[int, int] = (1, 5)
    radius: tuple[float, float] = (0.08, 0.22)

    def render(self, index: int) -> RenderedShapes:
        """Picture number `index` with boxes, labels and masks. The arrays are shared: don't change them."""
        return cached_render(self.seed, index, self.size, self.num_shapes, self.radius, self.split)

    def address(self, index: int) -> str:
        """The `shapes://` address of picture number `index`."""
        (width, height), (few, many), (small, large) = self.size, self.num_shapes, self.radius
        return f"{PROTOCOL}://{self.split}/{self.seed}/{width}x{height}/{few}-{many}/{small}-{large}/{index:06d}.bmp"

    @classmethod
    def from_address(cls, address: str) -> tuple[ShapesSource, int]:
        """Source and index of an address made by `address`.

        Raises:
            DataError: It isn't such an address.
        """
        try:
            split, seed, size, number, radius, name = address.removeprefix(f"{PROTOCOL}://").split("/")
            width, height = size.split("x")
            few, many = number.split("-")
            small, large = radius.split("-")
            source = cls(
                split,
                int(seed),
                (int(width), int(height)),
                (int(few), int(many)),
                (float(small), float(large)),
            )
            return source, int(name.removesuffix(".bmp"))
        except ValueError as error:
            raise DataError(
                f"{address!r} is no address of an embedded picture; one looks like {cls().address(17)!r}."
            ) from error


class ShapesFileSystem(AbstractFileSystem):
    """Read-only fsspec file system that renders a picture when it is opened.

    A picture comes as BMP, since that costs no time to write or read and loses nothing.
    """

    protocol = PROTOCOL
    cachable = False

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> io.BytesIO:
        if mode != "rb":
            raise DataError(f"{PROTOCOL}:// pictures are computed; they can't be opened for {mode!r}.")
        source, index = ShapesSource.from_address(path)
        return io.BytesIO(cv2.imencode(".bmp", source.render(index).image)[1].tobytes())

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name and type of a picture; its size isn't known before it is rendered."""
        ShapesSource.from_address(path)
        return {"name": path, "type": "file", "size": None}


fsspec.register_implementation(PROTOCOL, ShapesFileSystem, clobber=True)


def write_shapes(out_dir: str, count: int, source: ShapesSource | None = None) -> list[str]:
    """Write the first `count` pictures of a source as PNG files, for programs that want files.

    Args:
        out_dir: Folder, made where missing.
        count: Number of pictures.
        source: Which pictures; by default those of the split "test".

    Returns:
        The paths, in order.
    """
    source = source or ShapesSource(split="test")
    os.makedirs(out_dir, exist_ok=True)
    paths = [os.path.join(out_dir, f"shapes_{index:04d}.png") for index in range(count)]
    for index, path in enumerate(paths):
        cv2.imwrite(path, source.render(index).image)
    return paths
