"""`type='torchvision/NAME'`: any class of `torchvision.transforms.v2` as a step of a pipeline."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from toolkit.transforms.base import BaseTransform
from toolkit.utils.errors import BuildError, DataError
from toolkit.utils.suggest import did_you_mean

PREFIX = "torchvision/"
_NOT_STEPS = ("AutoAugmentPolicy", "InterpolationMode", "Transform", "MixUp", "CutMix")
# Keys with one entry an object; a transform that drops boxes drops these entries with them.
_PER_OBJECT = ("gt_bboxes_labels", "gt_ignore_flags", "gt_instances_ids")


def names() -> list[str]:
    """The classes that `torchvision/NAME` may name."""
    public = [name for name in dir(v2) if not name.startswith("_") and name not in _NOT_STEPS]
    return [name for name in public if inspect.isclass(getattr(v2, name))]


@functools.cache
def resolve(name: str) -> type[TorchvisionTransform] | None:
    """The step that wraps a class of `torchvision.transforms.v2`.

    Args:
        name: `torchvision/NAME`.

    Returns:
        A class with NAME's arguments; None for a name without the prefix.

    Raises:
        BuildError: torchvision has no such class, or it works on batches.
    """
    if not name.startswith(PREFIX):
        return None
    short = name.removeprefix(PREFIX)
    known = names()
    if short not in known:
        raise BuildError(f"torchvision.transforms.v2 has no transform {short!r}{did_you_mean(short, known)}")
    wrapped = getattr(v2, short)

    def init(self: TorchvisionTransform, *args: Any, **kwargs: Any) -> None:
        TorchvisionTransform.__init__(self, *args, **kwargs)

    # What checks a config's arguments reads the signature.
    init.__signature__ = inspect.signature(wrapped.__init__)  # type: ignore[attr-defined]
    return type(
        short, (TorchvisionTransform,), {"__init__": init, "wrapped": wrapped, "__doc__": wrapped.__doc__}
    )


def _rebuild(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return resolve(name)(*args, **kwargs)  # type: ignore[misc]


def _plain_argument(key: str, value: Any) -> Any:
    """What a config can't spell: enums, dtypes and inner transforms, from names and dicts."""
    if key == "interpolation" and isinstance(value, str):
        return v2.InterpolationMode(value)
    if key == "dtype" and isinstance(value, str):
        return getattr(torch, value.removeprefix("torch."))
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        settings = {inner: item for inner, item in value.items() if inner != "type"}
        name = value["type"]
        return _rebuild(name if name.startswith(PREFIX) else PREFIX + name, (), settings).inner
    if key == "transforms" and isinstance(value, Sequence):
        return [_plain_argument("transform", item) for item in value]
    return value


class TorchvisionTransform(BaseTransform):
    """A `torchvision.transforms.v2` transform, applied to image, boxes, masks and semantic map together.

    The image passes as an RGB `tv_tensors.Image`, `gt_bboxes` (N, 4) as `BoundingBoxes`, `gt_masks` and
    `gt_seg_map` as `Mask`s, so that all are changed by the same draw. Afterwards they are arrays as before
    (the image in BGR), and labels and flags of dropped boxes are dropped.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`.

    Args:
        *args: Of the wrapped class.
        **kwargs: Of the wrapped class; `interpolation` and `dtype` may be names, and inner transforms dicts.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", *_PER_OBJECT, "gt_masks", "gt_seg_map")
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape")
    wrapped: ClassVar[Any] = v2.Identity

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args, self._kwargs = args, kwargs
        self.inner = self.wrapped(
            *args, **{key: _plain_argument(key, value) for key, value in kwargs.items()}
        )

    def __reduce__(self) -> Any:
        return _rebuild, (PREFIX + type(self).__name__, self._args, self._kwargs)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample after the wrapped transform."""
        output = self.inner(_to_tensors(results))
        results["img"] = _to_array(output["image"])
        results["img_shape"] = results["img"].shape[:2]
        _write_objects(results, output)
        if "seg_map" in output:
            results["gt_seg_map"] = output["seg_map"].numpy()
        return results


def _to_tensors(results: dict[str, Any]) -> dict[str, Any]:
    image = results["img"]
    sample: dict[str, Any] = {"image": _to_image(image)}
    if results.get("gt_bboxes") is not None:
        boxes = torch.as_tensor(np.asarray(results["gt_bboxes"], dtype=np.float32).reshape(-1, 4))
        sample["boxes"] = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=image.shape[:2])
        sample["labels"] = torch.arange(len(boxes))  # says afterwards which boxes are left
    if results.get("gt_masks") is not None:
        sample["masks"] = tv_tensors.Mask(torch.as_tensor(results["gt_masks"].to_ndarray()))
    if results.get("gt_seg_map") is not None:
        sample["seg_map"] = tv_tensors.Mask(torch.as_tensor(results["gt_seg_map"]))
    return sample


def _to_image(image: np.ndarray) -> tv_tensors.Image:
    if image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    planes = torch.from_numpy(np.ascontiguousarray(image if image.ndim == 3 else image[..., None]))
    return tv_tensors.Image(planes.permute(2, 0, 1))


def _to_array(image: Any) -> np.ndarray:
    if isinstance(image, (tuple, list)):
        raise DataError(
            "a transform that makes several images of one (FiveCrop, TenCrop) doesn't fit a pipeline"
        )
    if isinstance(image, Tensor):
        array = image.permute(1, 2, 0).contiguous().numpy()
    else:
        array = np.array(image)  # a PIL image, from ToPILImage
    if array.ndim == 3 and array.shape[2] == 3:
        return cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
    return np.ascontiguousarray(array)


def _write_objects(results: dict[str, Any], output: dict[str, Any]) -> None:
    if "boxes" in output:
        results["gt_bboxes"] = output["boxes"].as_subclass(Tensor).numpy()
        kept = output["labels"].numpy()
        for key in _PER_OBJECT:
            if results.get(key) is not None and len(results[key]) != len(kept):
                results[key] = results[key][kept]
    if "masks" in output:
        masks = output["masks"].as_subclass(Tensor).numpy()
        results["gt_masks"] = type(results["gt_masks"])(masks, *masks.shape[-2:])
