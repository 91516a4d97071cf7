"""The data sample that travels between the parts of a detector."""

from __future__ import annotations

from typing import Any

from toolkit.structures import BaseDataElement, InstanceData, PixelData


class DetDataSample(BaseDataElement):
    """Annotations and predictions of one image.

    Its metainfo holds what `PackDetInputs` was told to keep (`img_id`, `img_path`, `ori_shape` and
    `img_shape` as (h, w), `scale_factor` as (w, h), `flip`, `flip_direction`). Its data fields:

    ==================== ============= =====================================================
    field                type          content
    ==================== ============= =====================================================
    proposals            InstanceData  regions from an RPN: `bboxes` (N, 4), `scores` (N,)
    gt_instances         InstanceData  ground truth: `bboxes` (N, 4) float32 xyxy, `labels` (N,)
                                       int64, and `masks` where loaded
    ignored_instances    InstanceData  ground truth that neither trains nor counts
    pred_instances       InstanceData  detections: `bboxes`, `labels`, `scores`
    pred_track_instances InstanceData  tracks
    gt_sem_seg           PixelData     semantic ground truth
    pred_sem_seg         PixelData     semantic prediction
    gt_panoptic_seg      PixelData     panoptic ground truth
    pred_panoptic_seg    PixelData     panoptic prediction
    ==================== ============= =====================================================

    Further fields may be set as they are needed. Assigning a value of another type raises `TypeError`.

    Examples:
        >>> import torch
        >>> from toolkit.structures import InstanceData
        >>> sample = DetDataSample(metainfo=dict(img_shape=(240, 320)))
        >>> sample.gt_instances = InstanceData(bboxes=torch.rand(2, 4), labels=torch.tensor([0, 1]))
        >>> "gt_instances" in sample, len(sample.gt_instances)
        (True, 2)
    """

    proposals: InstanceData
    gt_instances: InstanceData
    pred_instances: InstanceData
    pred_track_instances: InstanceData
    ignored_instances: InstanceData
    gt_panoptic_seg: PixelData
    pred_panoptic_seg: PixelData
    gt_sem_seg: PixelData
    pred_sem_seg: PixelData

    def set_field(self, value: Any, name: str, dtype: Any = None, field_type: str = "data") -> None:
        """Set a field; those of the table above must be of the type that stands there.

        Raises:
            TypeError: The value is of another type.
        """
        super().set_field(value, name, dtype or _FIELD_TYPES.get(name), field_type)


_FIELD_TYPES: dict[str, type] = {
    "proposals": InstanceData,
    "gt_instances": InstanceData,
    "pred_instances": InstanceData,
    "pred_track_instances": InstanceData,
    "ignored_instances": InstanceData,
    "gt_panoptic_seg": PixelData,
    "pred_panoptic_seg": PixelData,
    "gt_sem_seg": PixelData,
    "pred_sem_seg": PixelData,
}

SampleList = list[DetDataSample]
OptSampleList = SampleList | None
