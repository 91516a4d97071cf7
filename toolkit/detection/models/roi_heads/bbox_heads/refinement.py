"""Boxes of one stage as the regions of the next, for cascades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules import SamplingResult
from toolkit.structures import InstanceData

Metas = Sequence[Mapping[str, Any]]


class BoxRefinement:
    """What a box head has for cascades. All images go together. Shapes: R regions, C classes."""

    num_classes: int
    reg_class_agnostic: bool
    bbox_coder: Any
    loss_cls: Any

    @property
    def custom_activation(self) -> bool:
        """Whether the loss of classes turns logits into scores itself (``get_activation``)."""
        return getattr(self.loss_cls, "custom_activation", False)

    @torch.no_grad()
    def refine_bboxes(
        self,
        sampling_results: Sequence[SamplingResult],
        bbox_results: Mapping[str, Any],
        batch_img_metas: Metas,
    ) -> list[InstanceData] | None:
        """The boxes of the sampled regions, less those of ground truths that were put among them.

        Args:
            sampling_results: Of each image.
            bbox_results: ``rois`` (R, 5), ``cls_score`` (R, C + 1), ``bbox_pred`` and ``bbox_targets``, whose
                first are the labels (R,): background takes the class of its best score.
            batch_img_metas: ``img_shape`` of each image.

        Returns:
            ``bboxes`` (K, 4) of each image; None where there are no regions.
        """
        rois, labels = bbox_results["rois"], bbox_results["bbox_targets"][0]
        if not bbox_results["cls_score"].numel():
            return None
        labels = torch.where(labels == self.num_classes, self._best_class(bbox_results["cls_score"]), labels)
        boxes = self._regressed(rois, labels, bbox_results["bbox_pred"], batch_img_metas)
        flags = [
            (one.pos_is_gt == 0, torch.ones_like(one.neg_inds, dtype=torch.bool)) for one in sampling_results
        ]
        keep = torch.cat([flag for pair in flags for flag in pair])
        totals = [len(one.pos_inds) + len(one.neg_inds) for one in sampling_results]
        counts = torch.stack([part.sum() for part in keep.split(totals)]).tolist()
        return [InstanceData(bboxes=part) for part in boxes[keep].split(counts)]

    @torch.no_grad()
    def refine_rois(self, rois: Tensor, cls_score: Tensor, bbox_pred: Any, batch_img_metas: Metas) -> Tensor:
        """Regions (R, 5) moved to the boxes of the classes with the best scores.

        Args:
            rois: (R, 5), as image index, x1, y1, x2, y2.
            cls_score: Logits, (R, C + 1).
            bbox_pred: Regressions, (R, C·4) or (R, 4).
            batch_img_metas: ``img_shape`` of each image.
        """
        boxes = self._regressed(rois, self._best_class(cls_score), bbox_pred, batch_img_metas)
        return torch.cat((rois[:, :1], boxes), dim=1)

    def _best_class(self, cls_score: Tensor) -> Tensor:
        """The class (R,) with the best of the scores (R, C) or (R, C + 1), background left out."""
        scores = self.loss_cls.get_activation(cls_score) if self.custom_activation else cls_score
        return scores[:, : self.num_classes].argmax(dim=1)

    def _regressed(self, rois: Tensor, labels: Tensor, bbox_pred: Any, metas: Metas) -> Tensor:
        """Boxes (R, 4) of regions (R, 5) of several images, cut to their images."""
        shapes = [tuple(meta["img_shape"][:2]) for meta in metas]
        limit: Any = shapes[0]
        if len(set(shapes)) > 1:
            limit = rois.new_tensor(shapes)[rois[:, 0].long()]
        return self.regress_by_class(rois[:, 1:], labels, bbox_pred, {"img_shape": limit})

    def regress_by_class(
        self, priors: Tensor, label: Tensor, bbox_pred: Tensor, img_meta: Mapping[str, Any]
    ) -> Tensor:
        """The boxes of classes.

        Args:
            priors: (R, 4).
            label: The class of each, (R,); not looked at where regressions have none.
            bbox_pred: Regressions, (R, C·4) or (R, 4).
            img_meta: ``img_shape`` that boxes are cut to: two numbers, or (R, 2).

        Returns:
            (R, 4).
        """
        if not self.reg_class_agnostic:
            size = self.bbox_coder.encode_size
            rows = torch.arange(len(label), device=label.device)
            bbox_pred = bbox_pred.unflatten(1, (-1, size))[rows, label]
        return self.bbox_coder.decode(priors, bbox_pred, max_shape=img_meta["img_shape"])
