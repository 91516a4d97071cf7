"""From the `results` dict to what a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import torch

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData, PixelData
from toolkit.transforms import BaseTransform

_FIELDS = {"gt_bboxes": "bboxes", "gt_bboxes_labels": "labels", "gt_masks": "masks"}
_META_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")


@TRANSFORMS.register_module()
class PackDetInputs(BaseTransform):
    """Pack image and annotations for a detector.

    Reads: none.
    Changes: none.
    Writes: `inputs`, `data_samples`.

    It packs what there is of `img`, `gt_bboxes`, `gt_bboxes_labels`, `gt_masks`, `gt_ignore_flags`,
    `gt_seg_map` with `ignore_index`, `proposals` with `proposals_scores`, and the keys of `meta_keys`: into
    `{'inputs': (3, H, W) tensor of the image's own dtype, 'data_samples': DetDataSample}`. Objects whose
    ignore flag is set go to `ignored_instances`, the others to `gt_instances`. Pixels stay uint8: channel
    order, normalising and padding are the data preprocessor's, on the device.

    Args:
        meta_keys: Keys that become metainfo of the data sample, where present.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ("inputs", "data_samples")

    def __init__(self, meta_keys: Sequence[str] = _META_KEYS) -> None:
        self.meta_keys = meta_keys

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The packed sample."""
        packed: dict[str, Any] = {}
        if "img" in results:
            packed["inputs"] = _image_tensor(results["img"])
        sample = DetDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        fields = {field: results[key] for key, field in _FIELDS.items() if key in results}
        flags = results.get("gt_ignore_flags")
        sample.gt_instances = _instances(fields, None if flags is None else ~flags)
        sample.ignored_instances = _instances(fields if flags is not None else {}, flags)
        if "proposals" in results:
            sample.proposals = InstanceData(
                bboxes=torch.as_tensor(results["proposals"]),
                scores=torch.as_tensor(results["proposals_scores"]),
            )
        if "gt_seg_map" in results:
            seg = PixelData(sem_seg=torch.from_numpy(np.ascontiguousarray(results["gt_seg_map"][None])))
            if "ignore_index" in results:
                seg.set_metainfo({"ignore_index": results["ignore_index"]})
            sample.gt_sem_seg = seg
        packed["data_samples"] = sample
        return packed


def _image_tensor(image: np.ndarray) -> torch.Tensor:
    """(C, H, W) contiguous tensor of a (H, W, C) or (H, W) array."""
    if image.ndim < 3:
        image = image[..., None]
    if (
        image.shape[2] == 3
        and image.dtype in (np.uint8, np.float32)
        and image.size
        and min(image.strides) > 0
    ):
        planes = np.empty((3, *image.shape[:2]), image.dtype)
        cv2.split(image, list(planes))  # eight times as fast as NumPy's transposed copy
        return torch.from_numpy(planes)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _instances(fields: dict[str, Any], chosen: np.ndarray | None) -> InstanceData:
    instances = InstanceData()
    for name, value in fields.items():
        part = value if chosen is None else value[chosen]
        setattr(instances, name, torch.from_numpy(part) if isinstance(part, np.ndarray) else part)
    return instances
