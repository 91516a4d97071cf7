"""The template of detectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseModel
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_MODES = ("loss", "predict", "tensor")


class BaseDetector(BaseModel):
    """Base of detectors.

    Args:
        data_preprocessor: See `BaseModel`.
        init_cfg: See `BaseModule`.
    """

    backbone: nn.Module
    neck: nn.Module

    def __init__(self, data_preprocessor: Any = None, init_cfg: Any = None) -> None:
        super().__init__(data_preprocessor, init_cfg)

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return getattr(self, "neck", None) is not None

    @property
    def with_bbox(self) -> bool:
        """Whether there is a box head, its own or its RoI head's."""
        roi_head = getattr(self, "roi_head", None)
        return getattr(self, "bbox_head", None) is not None or bool(getattr(roi_head, "with_bbox", False))

    def upgrade_weights(self, weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The weights of a checkpoint as this version has them, where more than their names changed.

        Args:
            weights: By key.
            meta: What the checkpoint says of itself, such as `mmdet_version`.
        """
        return weights

    def forward(
        self, inputs: Tensor, data_samples: Sequence[DetDataSample] | None = None, mode: str = "tensor"
    ) -> Any:
        """What a mode gives of a preprocessed batch.

        Args:
            inputs: Images, (N, C, H, W).
            data_samples: An item an image; ground truth is needed for 'loss', metainfo for 'predict'.
            mode: 'loss' for a dict of losses, 'predict' for the data samples with ``pred_instances``,
                'tensor' for the raw output of the network.

        Raises:
            BuildError: The mode is another.
        """
        if mode == "loss":
            return self.loss(inputs, data_samples or ())
        if mode == "predict":
            return self.predict(inputs, data_samples or ())
        if mode == "tensor":
            return self._forward(inputs, data_samples)
        raise BuildError(f"mode of a detector must be one of {_MODES}, got {mode!r}")

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of images (N, C, H, W), finest first: the neck's, or without one the backbone's."""
        x = self.backbone(batch_inputs)
        return self.neck(x) if self.with_neck else x

    @property
    def with_mask(self) -> bool:
        """Whether there is a mask head, its own or its RoI head's."""
        roi_head = getattr(self, "roi_head", None)
        return getattr(self, "mask_head", None) is not None or bool(getattr(roi_head, "with_mask", False))

    @abstractmethod
    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample]) -> dict[str, Any]:
        """Losses by name."""

    @abstractmethod
    def predict(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample], rescale: bool = True
    ) -> Sequence[DetDataSample]:
        """The samples with ``pred_instances``; with `rescale` in pixels of the original image."""

    @abstractmethod
    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample] | None = None
    ) -> Any:
        """The raw output of the network."""

    def add_pred_to_datasample(
        self, data_samples: Sequence[DetDataSample], results_list: Sequence[InstanceData]
    ) -> Sequence[DetDataSample]:
        """Put detections into the data samples, as ``pred_instances``."""
        for sample, result in zip(data_samples, results_list, strict=True):
            sample.pred_instances = result
        return data_samples


def class_agnostic(samples: Sequence[DetDataSample]) -> list[DetDataSample]:
    """Samples whose ground truths are all of class 0, for heads that tell objects from background only.

    The given samples are left as they were; boxes are shared.
    """
    plain = []
    for sample in samples:
        gt = sample.gt_instances
        copy = DetDataSample(metainfo=sample.metainfo)
        copy.gt_instances = InstanceData(bboxes=gt.bboxes, labels=gt.labels.new_zeros(len(gt.labels)))
        if "ignored_instances" in sample:
            copy.ignored_instances = sample.ignored_instances
        plain.append(copy)
    return plain


def renamed_keys(state_dict: dict[str, Any], prefix: str, old: str, new: str) -> None:
    """Rename a head in a checkpoint, in place, where it has a head `old` and none called `new`."""
    old, new = f"{prefix}{old}.", f"{prefix}{new}."
    if any(key.startswith(new) for key in state_dict):
        return
    for key in [key for key in state_dict if key.startswith(old)]:
        state_dict[new + key[len(old) :]] = state_dict.pop(key)
