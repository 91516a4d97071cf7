"""From a sample's dict to what a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from toolkit.classification.registry import TRANSFORMS
from toolkit.classification.structures import DataSample
from toolkit.transforms import BaseTransform

META_KEYS = ("sample_idx", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")


@TRANSFORMS.register_module()
class PackInputs(BaseTransform):
    """Pack image and label for a classifier.

    Reads: `img`, and `gt_label`, `gt_score`, `mask` and those of the keys below that there are.

    Returns `{'inputs': (C, H, W) tensor of the image's own dtype, 'data_samples': DataSample}`. Pixels stay
    uint8: channel order and normalising are the data preprocessor's, on the device.

    Args:
        input_key: Key of the image.
        algorithm_keys: Keys that become data fields of the sample.
        meta_keys: Keys that become its metainfo.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ("inputs", "data_samples")

    def __init__(
        self, input_key: str = "img", algorithm_keys: Sequence[str] = (), meta_keys: Sequence[str] = META_KEYS
    ) -> None:
        self.input_key = input_key
        self.algorithm_keys = algorithm_keys
        self.meta_keys = meta_keys

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The packed sample."""
        packed: dict[str, Any] = {}
        if self.input_key in results:
            packed["inputs"] = to_input(results[self.input_key])
        sample = DataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if "gt_label" in results:
            sample.set_gt_label(results["gt_label"])
        if "gt_score" in results:
            sample.set_gt_score(results["gt_score"])
        if "mask" in results:
            sample.set_mask(results["mask"])
        for key in self.algorithm_keys:
            if key in results:
                sample.set_field(results[key], key)
        packed["data_samples"] = sample
        return packed


def to_input(image: np.ndarray | torch.Tensor) -> torch.Tensor:
    """A contiguous (C, H, W) tensor of an image (H, W, C) or (H, W); a tensor is passed through."""
    if isinstance(image, torch.Tensor):
        return image
    if image.ndim < 3:
        image = image[..., None]
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
