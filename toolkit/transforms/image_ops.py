"""Operations on images: numpy arrays (H, W) or (H, W, C), with MMCV's sizes and rounding.

Sizes are (width, height) as in OpenCV; shapes are (height, width) as in NumPy.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
_PADDINGS = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "symmetric": cv2.BORDER_REFLECT,
}
_FLIPS = {"horizontal": 1, "vertical": 0, "diagonal": -1}
_BACK = slice(None, None, -1)
_FLIP_SLICES = {"horizontal": (slice(None), _BACK), "vertical": (_BACK,), "diagonal": (_BACK, _BACK)}
# Channels that OpenCV's copyMakeBorder fills with one value each.
_BORDER_CHANNELS = 4
Size = tuple[int, int]


def _code(table: dict[str, int], name: str, what: str) -> int:
    if name not in table:
        raise ValueError(f"{what} must be one of {', '.join(table)}, but got {name!r}")
    return table[name]


def _restore_axis(result: np.ndarray, like: np.ndarray) -> np.ndarray:
    # OpenCV drops a channel axis of length one.
    return result[..., None] if result.ndim == 2 and like.ndim == 3 else result


def imresize(
    img: np.ndarray,
    size: Size,
    return_scale: bool = False,
    interpolation: str = "bilinear",
    out: np.ndarray | None = None,
    backend: str | None = None,
) -> Any:
    """Resize an image.

    Args:
        img: (H, W) or (H, W, C).
        size: (width, height).
        return_scale: Also return the factors.
        interpolation: nearest, bilinear, bicubic, area or lanczos.
        out: Where to put the result.
        backend: 'cv2' or 'pillow'; the latter takes uint8.

    Returns:
        The image, or `(image, width factor, height factor)`.
    """
    height, width = img.shape[:2]
    if backend == "pillow":
        resized = _resize_pillow(img, size, interpolation)
    elif backend in (None, "cv2"):
        code = _code(INTERPOLATIONS, interpolation, "interpolation")
        resized = _restore_axis(cv2.resize(img, size, dst=out, interpolation=code), img)
    else:
        raise ValueError(f"backend must be 'cv2' or 'pillow', but got {backend!r}")
    if not return_scale:
        return resized
    return resized, size[0] / width, size[1] / height


def _resize_pillow(img: np.ndarray, size: Size, interpolation: str) -> np.ndarray:
    from PIL import Image

    if img.dtype != np.uint8:
        raise ValueError(f"backend 'pillow' resizes uint8 images, but got {img.dtype}")
    names = {
        "area": "BOX",
        "nearest": "NEAREST",
        "bilinear": "BILINEAR",
        "bicubic": "BICUBIC",
        "lanczos": "LANCZOS",
    }
    if interpolation not in names:
        raise ValueError(f"interpolation must be one of {', '.join(names)}, but got {interpolation!r}")
    plane = img[..., 0] if img.ndim == 3 and img.shape[2] == 1 else img
    resized = Image.fromarray(plane).resize(size, getattr(Image.Resampling, names[interpolation]))
    return _restore_axis(np.array(resized), img)


def rescale_size(
    old_size: Size, scale: float | Sequence[float], return_scale: bool = False
) -> Size | tuple[Size, float]:
    """The size after scaling with the aspect ratio kept.

    Args:
        old_size: (width, height).
        scale: A factor; or two lengths in any order, within which the longer and the shorter side are to fit.
        return_scale: Also return the factor.

    Returns:
        (width, height), each rounded half up; or that and the factor.

    Raises:
        ValueError: If the scale isn't positive.
    """
    width, height = old_size
    if isinstance(scale, numbers.Real):
        factor = float(scale)
        if factor <= 0:
            raise ValueError(f"scale must be positive, but got {scale}")
    elif isinstance(scale, Sequence):
        longest, shortest = max(scale), min(scale)
        factor = min(longest / max(height, width), shortest / min(height, width))
    else:
        raise TypeError(f"scale is a number or two lengths, but got {type(scale).__name__}")
    new_size = int(width * factor + 0.5), int(height * factor + 0.5)
    return (new_size, factor) if return_scale else new_size


def imrescale(
    img: np.ndarray,
    scale: float | Sequence[float],
    return_scale: bool = False,
    interpolation: str = "bilinear",
    backend: str | None = None,
) -> Any:
    """Resize an image with the aspect ratio kept; see `rescale_size` for `scale`.

    Returns:
        The image, or `(image, factor)`.
    """
    height, width = img.shape[:2]
    new_size, factor = rescale_size((width, height), scale, return_scale=True)
    resized = imresize(img, new_size, interpolation=interpolation, backend=backend)  # type: ignore[arg-type]
    return (resized, factor) if return_scale else resized


def imflip(img: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """Mirror an image (H, W[, C]): horizontal, vertical or diagonal (both). A new, contiguous array."""
    code = _code(_FLIPS, direction, "direction")
    if (img.ndim == 3 and img.shape[2] > _BORDER_CHANNELS) or img.dtype == bool:
        return np.ascontiguousarray(img[_FLIP_SLICES[direction]])
    return _restore_axis(cv2.flip(img, code), img)


def impad(
    img: np.ndarray,
    *,
    shape: Size | None = None,
    padding: int | Sequence[int] | None = None,
    pad_val: float | Sequence[float] = 0,
    padding_mode: str = "constant",
) -> np.ndarray:
    """Pad an image to a shape, or by given widths.

    Args:
        img: (H, W) or (H, W, C).
        shape: (height, width) to reach at the bottom and right; a side that is longer already stays.
        padding: Pixels on all sides; or (left and right, top and bottom); or (left, top, right, bottom).
        pad_val: Value, or one for each channel.
        padding_mode: constant, edge, reflect (without the border pixel) or symmetric (with it).

    Returns:
        A new array.

    Raises:
        ValueError: If not exactly one of `shape` and `padding` is given.
    """
    if (shape is None) == (padding is None):
        raise ValueError(f"impad takes shape or padding, one of them, but got {shape=}, {padding=}")
    if shape is not None:
        left, top = 0, 0
        right, bottom = max(shape[1] - img.shape[1], 0), max(shape[0] - img.shape[0], 0)
    else:
        left, top, right, bottom = _four_sides(padding)  # type: ignore[arg-type]
    mode = _code(_PADDINGS, padding_mode, "padding_mode")
    channels = img.shape[2] if img.ndim == 3 else 1
    # A scalar would stand for the first channel only in OpenCV.
    value = list(pad_val) if isinstance(pad_val, (Sequence, np.ndarray)) else [pad_val] * channels
    if len(value) != channels:
        raise ValueError(f"pad_val has {len(value)} values for {channels} channels")
    if channels > _BORDER_CHANNELS:
        parts = [
            impad(
                img[..., i],
                padding=(left, top, right, bottom),
                pad_val=value[i],
                padding_mode=padding_mode,
            )
            for i in range(channels)
        ]
        return np.stack(parts, axis=-1)
    return _restore_axis(cv2.copyMakeBorder(img, top, bottom, left, right, mode, value=value), img)


def _four_sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    if isinstance(padding, numbers.Integral):
        side = int(padding)
        return side, side, side, side
    if len(padding) == 2:  # type: ignore[arg-type]
        across, down = padding  # type: ignore[misc]
        return across, down, across, down
    if len(padding) == 4:  # type: ignore[arg-type]
        return tuple(padding)  # type: ignore[arg-type,return-value]
    raise ValueError(f"padding is one, two or four numbers, but got {padding!r}")


def impad_to_multiple(img: np.ndarray, divisor: int, pad_val: float | Sequence[float] = 0) -> np.ndarray:
    """Pad at the bottom and right until height and width are multiples of `divisor`."""
    height, width = (-(-side // divisor) * divisor for side in img.shape[:2])
    return impad(img, shape=(height, width), pad_val=pad_val)


def imcrop(
    img: np.ndarray, bboxes: np.ndarray, scale: float = 1.0, pad_fill: float | Sequence[float] | None = None
) -> Any:
    """Cut boxes out of an image.

    Args:
        img: (H, W) or (H, W, C).
        bboxes: (4,) or (N, 4): x1, y1, x2, y2, both corners inside the box.
        scale: Boxes are scaled about their centre first.
        pad_fill: Fill what lies outside of the image with this; by default boxes are clipped.

    Returns:
        One array for a box of shape (4,), a list for (N, 4).
    """
    boxes = np.asarray(bboxes)
    crops = [_crop(img, box, scale, pad_fill) for box in boxes.reshape(-1, 4)]
    return crops[0] if boxes.ndim == 1 else crops


def _crop(img: np.ndarray, box: np.ndarray, scale: float, pad_fill: Any) -> np.ndarray:
    x1, y1, x2, y2 = box.tolist()
    if scale != 1.0:
        grow_x, grow_y = (x2 - x1 + 1) * (scale - 1) / 2, (y2 - y1 + 1) * (scale - 1) / 2
        x1, y1, x2, y2 = x1 - grow_x, y1 - grow_y, x2 + grow_x, y2 + grow_y
    x1, y1, x2, y2 = int(x1), int(y1), int(x2), int(y2)
    height, width = img.shape[:2]
    patch = img[max(y1, 0) : min(y2, height - 1) + 1, max(x1, 0) : min(x2, width - 1) + 1]
    outside = max(-x1, 0), max(-y1, 0), max(x2 - width + 1, 0), max(y2 - height + 1, 0)
    if pad_fill is None or not any(outside):
        return patch.copy()
    return impad(patch, padding=outside, pad_val=pad_fill)


def _converter(code: int) -> Any:
    def convert(img: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(img, code)

    return convert


bgr2rgb = _converter(cv2.COLOR_BGR2RGB)
rgb2bgr = _converter(cv2.COLOR_RGB2BGR)
bgr2hsv = _converter(cv2.COLOR_BGR2HSV)
hsv2bgr = _converter(cv2.COLOR_HSV2BGR)
bgr2hls = _converter(cv2.COLOR_BGR2HLS)
hls2bgr = _converter(cv2.COLOR_HLS2BGR)


def bgr2gray(img: np.ndarray, keepdim: bool = False) -> np.ndarray:
    """(H, W, 3) BGR to grey: (H, W), or (H, W, 1) with `keepdim`."""
    gray = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    return gray[..., None] if keepdim else gray


def rgb2gray(img: np.ndarray, keepdim: bool = False) -> np.ndarray:
    """(H, W, 3) RGB to grey: (H, W), or (H, W, 1) with `keepdim`."""
    gray = cv2.cvtColor(img, cv2.COLOR_RGB2GRAY)
    return gray[..., None] if keepdim else gray


def gray2bgr(img: np.ndarray) -> np.ndarray:
    """Grey (H, W) or (H, W, 1) to (H, W, 3)."""
    return cv2.cvtColor(img, cv2.COLOR_GRAY2BGR)


def imnormalize(
    img: np.ndarray, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True
) -> np.ndarray:
    """`(img - mean) / std` in float32; channels of a BGR image are reversed before, with `to_rgb`."""
    image = img.astype(np.float32)
    if to_rgb:
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, image)
    image -= np.asarray(mean, dtype=np.float32)
    image *= 1 / np.asarray(std, dtype=np.float32)
    return image
