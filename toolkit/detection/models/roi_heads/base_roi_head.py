"""The template of RoI heads: the second stage of two-stage detectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from toolkit.detection.models.task_modules import SamplingResult
from toolkit.detection.models.utils import unpack_gt_instances
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseModule
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfg = dict[str, Any]
Metas = Sequence[Mapping[str, Any]]


class BaseRoIHead(BaseModule):
    """Base of RoI heads.

    A subclass says how boxes and masks are computed; that masks follow boxes, in pixels of the network's
    input, is here.

    Args:
        bbox_roi_extractor: Config of what pools the features of regions.
        bbox_head: Config of what classifies them and regresses boxes.
        mask_roi_extractor: Config of what pools features for masks. Without it masks share the features of
            boxes.
        mask_head: Config of what gives masks of regions.
        shared_head: Config of layers between the two.
        train_cfg: ``assigner``, ``sampler``, ``pos_weight``, ``mask_size``.
        test_cfg: ``score_thr``, ``nms``, ``max_per_img``, ``mask_thr_binary``.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: There is a box head without an extractor.
    """

    bbox_assigner: Any
    bbox_sampler: Any

    def __init__(
        self,
        bbox_roi_extractor: Any = None,
        bbox_head: Any = None,
        mask_roi_extractor: Any = None,
        mask_head: Any = None,
        shared_head: Cfg | None = None,
        train_cfg: Any = None,
        test_cfg: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if shared_head is not None:
            self.shared_head = MODELS.build(shared_head)
        if bbox_head is not None:
            if bbox_roi_extractor is None:
                raise BuildError(f"{type(self).__name__} with a bbox_head needs a bbox_roi_extractor")
            self.init_bbox_head(bbox_roi_extractor, bbox_head)
        if mask_head is not None:
            self.init_mask_head(mask_roi_extractor, mask_head)
        self.init_assigner_sampler()

    @property
    def with_bbox(self) -> bool:
        """Whether there is a box head."""
        return hasattr(self, "bbox_head")

    @property
    def with_mask(self) -> bool:
        """Whether there is a mask head."""
        return hasattr(self, "mask_head")

    @property
    def with_shared_head(self) -> bool:
        """Whether there are layers between the pooling and the heads."""
        return hasattr(self, "shared_head")

    @abstractmethod
    def init_bbox_head(self, bbox_roi_extractor: Any, bbox_head: Any) -> None:
        """Make ``bbox_roi_extractor`` and ``bbox_head``."""

    @abstractmethod
    def init_mask_head(self, mask_roi_extractor: Any, mask_head: Any) -> None:
        """Make ``mask_roi_extractor`` and ``mask_head``."""

    @abstractmethod
    def init_assigner_sampler(self) -> None:
        """Make ``bbox_assigner`` and ``bbox_sampler`` from ``train_cfg``, where there is one."""

    @abstractmethod
    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """Losses of a batch.

        Args:
            x: Feature maps, (B, channels, H_l, W_l) each.
            rpn_results_list: Proposals of each image: ``bboxes`` (K, 4).
            batch_data_samples: Ground truth of each image.
        """

    @abstractmethod
    def predict_bbox(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        rpn_results_list: list[InstanceData],
        rcnn_test_cfg: Cfg | None,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Boxes of detections, an item an image; see `BBoxHead.predict_by_feat`."""

    @abstractmethod
    def predict_mask(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Add masks to detections, whose boxes are in pixels of the network's input."""

    def predict(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Detections, an item an image; `rescale`: in pixels of the original image."""
        metas = [sample.metainfo for sample in batch_data_samples]
        results = self.predict_bbox(
            x, metas, rpn_results_list, self.test_cfg, rescale=rescale and not self.with_mask
        )
        return self.predict_mask(x, metas, results, rescale) if self.with_mask else results

    def sample(
        self,
        x: Sequence[Tensor],
        proposals: list[InstanceData],
        samples: Sequence[DetDataSample],
        assigner: Any = None,
        sampler: Any = None,
    ) -> list[SamplingResult]:
        """The proposals that train, of each image.

        Args:
            x: Feature maps, for samplers that look at them.
            proposals: ``bboxes`` (K, 4) of each image, and what else the sampler looks at.
            samples: Ground truth.
            assigner: In place of the head's own.
            sampler: In place of the head's own.
        """
        assigner, sampler = assigner or self.bbox_assigner, sampler or self.bbox_sampler
        gts, ignored, _ = unpack_gt_instances(samples)
        results = []
        for i, (proposal, gt, ignore) in enumerate(zip(proposals, gts, ignored, strict=True)):
            fields = {"priors" if key == "bboxes" else key: value for key, value in proposal.items()}
            priors = InstanceData(**fields)
            assigned = assigner.assign(priors, gt, ignore)
            results.append(sampler.sample(assigned, priors, gt, feats=[level[i : i + 1] for level in x]))
        return results
