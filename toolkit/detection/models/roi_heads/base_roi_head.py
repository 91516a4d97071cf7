"""The template of RoI heads: the second stage of two-stage detectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseModule
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfg = dict[str, Any]


class BaseRoIHead(BaseModule):
    """Base of RoI heads.

    Args:
        bbox_roi_extractor: Config of what pools the features of regions.
        bbox_head: Config of what classifies them and regresses boxes.
        shared_head: Config of layers between the two.
        train_cfg: ``assigner``, ``sampler``, ``pos_weight``.
        test_cfg: ``score_thr``, ``nms``, ``max_per_img``.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        bbox_roi_extractor: Cfg | None = None,
        bbox_head: Cfg | None = None,
        shared_head: Cfg | None = None,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
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
        self.init_assigner_sampler()

    @property
    def with_bbox(self) -> bool:
        """Whether there is a box head."""
        return hasattr(self, "bbox_head")

    @property
    def with_shared_head(self) -> bool:
        """Whether there are layers between the pooling and the heads."""
        return hasattr(self, "shared_head")

    @abstractmethod
    def init_bbox_head(self, bbox_roi_extractor: Cfg, bbox_head: Cfg) -> None:
        """Make ``bbox_roi_extractor`` and ``bbox_head``."""

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
    def predict(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Detections, an item an image; `rescale`: in pixels of the original image."""
