"""Detections of several views of an image, merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.layers import batched_nms
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseTTAModel
from toolkit.structures import InstanceData
from toolkit.utils import DataError

_TTA_CFG = {"nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 100}
# Which axes of (..., H, W) a direction of flipping turns round.
_AXES = {"horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}


@MODELS.register_module()
class DetTTAModel(BaseTTAModel):
    """Maps the detections of all views back to the original image, where they suppress each other.

    The scale of views is undone by the detector itself, which predicts in pixels of the original image; flips
    are undone here. Masks go with their boxes.

    Args:
        tta_cfg: ``nms``, see `batched_nms`, and ``max_per_img``.
        **kwargs: Those of `BaseTTAModel`: ``module``, the detector.
    """

    def __init__(self, tta_cfg: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tta_cfg: Mapping[str, Any] = _TTA_CFG if tta_cfg is None else tta_cfg

    def merge_preds(self, data_samples_list: Sequence[Sequence[DetDataSample]]) -> list[DetDataSample]:
        """One sample an image out of those of its views, with ``pred_instances`` best first."""
        return [self._merge_single_sample(views) for views in data_samples_list]

    def merge_aug_bboxes(
        self,
        aug_bboxes: Sequence[Tensor],
        aug_scores: Sequence[Tensor] | None,
        img_metas: Sequence[Mapping[str, Any]],
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The boxes (and scores) of all views, in pixels of the image as it was.

        Args:
            aug_bboxes: (N, 4) for each view, in pixels of the original, maybe flipped image.
            aug_scores: (N,) for each view, or None.
            img_metas: ``ori_shape``, ``flip`` and ``flip_direction`` of each view.
        """
        boxes = torch.cat(
            [_unflipped_boxes(one, meta) for one, meta in zip(aug_bboxes, img_metas, strict=True)]
        )
        return boxes if aug_scores is None else (boxes, torch.cat(list(aug_scores)))

    def _merge_single_sample(self, data_samples: Sequence[DetDataSample]) -> DetDataSample:
        metas = [sample.metainfo for sample in data_samples]
        found = [sample.pred_instances for sample in data_samples]
        boxes, scores = self.merge_aug_bboxes(
            [one.bboxes for one in found], [one.scores for one in found], metas
        )
        labels = torch.cat([one.labels for one in found])
        # the view whose annotations and size are the original's
        merged = next((one for one in data_samples if not one.metainfo.get("flip")), data_samples[0])
        dets, keep = batched_nms(boxes, scores, labels, self.tta_cfg["nms"])
        most = self.tta_cfg.get("max_per_img", -1)
        if most >= 0:
            dets, keep = dets[:most], keep[:most]
        results = InstanceData(bboxes=dets[:, :4], scores=dets[:, 4], labels=labels[keep])
        if "masks" in found[0]:
            masks = [_unflipped_masks(one.masks, meta) for one, meta in zip(found, metas, strict=True)]
            results.masks = torch.cat(masks)[keep]
        merged.pred_instances = results
        return merged


def _direction(meta: Mapping[str, Any]) -> str | None:
    """How a view was flipped, or None."""
    if "flip" not in meta:
        raise DataError(
            "test-time augmentation needs to know how a view was flipped: let PackDetInputs keep it, with "
            "meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', "
            "'flip_direction')"
        )
    return str(meta["flip_direction"]) if meta["flip"] else None


def _unflipped_boxes(boxes: Tensor, meta: Mapping[str, Any]) -> Tensor:
    direction = _direction(meta)
    if direction is None:
        return boxes
    height, width = meta["ori_shape"][:2]
    x1, y1, x2, y2 = boxes.unbind(-1)
    if -1 in _AXES[direction]:
        x1, x2 = width - x2, width - x1
    if -2 in _AXES[direction]:
        y1, y2 = height - y2, height - y1
    return torch.stack((x1, y1, x2, y2), dim=-1)


def _unflipped_masks(masks: Tensor, meta: Mapping[str, Any]) -> Tensor:
    direction = _direction(meta)
    return masks if direction is None else masks.flip(_AXES[direction])
