"""Images from arrays, from several files, and from whatever an inferencer is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.transforms import BaseTransform, LoadImageFromFile, read_image
from toolkit.utils.errors import DataError


@TRANSFORMS.register_module()
class LoadImageFromNDArray(LoadImageFromFile):
    """Take the image that is in the sample already, such as a camera's.

    Reads: `img`.
    Changes: none.
    Writes: `img`, `img_path`, `img_shape`, `ori_shape`.

    Args:
        to_float32: Convert to float32.
        color_type: Accepted, as `LoadImageFromFile` takes it; an array is taken as it is.
        imdecode_backend: Likewise.
        file_client_args: Likewise.
        ignore_empty: Likewise.
        backend_args: Likewise.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img", "img_path", "img_shape", "ori_shape")

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, with what is known of its image."""
        results["img_path"] = None
        return self.placed(results, results["img"])


@TRANSFORMS.register_module()
class LoadMultiChannelImageFromFiles(BaseTransform):
    """Read an image whose channels are files of their own.

    Reads: `img_path`.
    Changes: none.
    Writes: `img`, `img_shape`, `ori_shape`.

    `img_path` is a list; the image is (H, W, number of files).

    Args:
        to_float32: Convert to float32.
        color_type: See `LoadImageFromFile`.
        imdecode_backend: 'cv2' or 'pillow'.
        file_client_args: The older spelling of `backend_args`.
        backend_args: Options for reading remote files.

    Raises:
        DataError: A file can't be read, or files differ in size.
    """

    reads: ClassVar[tuple[str, ...]] = ("img_path",)
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "ori_shape")

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = "unchanged",
        imdecode_backend: str = "cv2",
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.to_float32 = to_float32
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args if backend_args is not None else file_client_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its image."""
        paths = results["img_path"]
        if not isinstance(paths, (list, tuple)) or not paths:
            raise DataError(
                f"LoadMultiChannelImageFromFiles needs a list of files in img_path, got {paths!r}"
            )
        planes = [
            read_image(path, self.color_type, self.imdecode_backend, self.backend_args) for path in paths
        ]
        if len({plane.shape for plane in planes}) > 1:
            shapes = {str(path): plane.shape for path, plane in zip(paths, planes, strict=True)}
            raise DataError(f"the files of one image differ in size: {shapes}")
        image = np.stack(planes, axis=-1)
        results["img"] = image.astype(np.float32) if self.to_float32 else image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class InferencerLoader(BaseTransform):
    """Load an image from a path, an array, or a sample with one of both.

    Reads: none.
    Changes: none.
    Writes: `img`, `img_path`, `img_shape`, `ori_shape`.

    Args:
        **kwargs: Of `LoadImageFromFile`.
    """

    writes: ClassVar[tuple[str, ...]] = LoadImageFromNDArray.writes

    def __init__(self, **kwargs: Any) -> None:
        self.from_file = LoadImageFromFile(**kwargs)
        self.from_ndarray = LoadImageFromNDArray(**kwargs)

    def transform(self, results: str | np.ndarray | dict[str, Any]) -> dict[str, Any] | None:
        """A sample with its image."""
        if isinstance(results, np.ndarray):
            results = {"img": results}
        elif not isinstance(results, dict):
            results = {"img_path": results}
        return self.from_ndarray(results) if "img" in results else self.from_file(results)
