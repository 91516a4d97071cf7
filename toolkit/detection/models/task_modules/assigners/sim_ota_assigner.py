"""The assigner of YOLOX."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners.dynamic_k import EPS, DynamicKAssigner, side_distances
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData

_INF = 100000.0
# Where binary cross entropy cuts off logarithms.
_LEAST_LOG = -100.0


@TASK_UTILS.register_module()
class SimOTAAssigner(DynamicKAssigner):
    """Optimal transport, simplified (Ge et al., "YOLOX", 2021, section 2.1).

    A prior may stand for a ground truth that it is in, or near whose centre it is; both are wanted, one is
    accepted where there is nothing better.

    Args:
        center_radius: How near, in strides.
        candidate_topk: How many overlaps say how many priors a ground truth gets.
        iou_weight: Weight of the overlap's cost.
        cls_weight: Weight of the class's cost.
        iou_calculator: Config of the calculator of overlaps.
    """

    unmatched = -_INF

    def __init__(
        self,
        center_radius: float = 2.5,
        candidate_topk: int = 10,
        iou_weight: float = 3.0,
        cls_weight: float = 1.0,
        iou_calculator: dict[str, Any] = {"type": "BboxOverlaps2D"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(candidate_topk, iou_calculator)
        self.center_radius = center_radius
        self.iou_weight, self.cls_weight = iou_weight, cls_weight

    def _inside_and_central(self, priors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Which priors are in boxes, and which are near their centres, (N, G) bool each."""
        center = (boxes[:, :2] + boxes[:, 2:]) / 2
        reach = self.center_radius * priors[:, None, 2:]
        low, high = center - reach, center + reach  # (N, G, 2)
        points = priors[:, None, :2]
        central = torch.minimum(points - low, high - points).amin(-1) > 0
        return side_distances(priors, boxes) > 0, central

    def _candidates(self, priors: Tensor, boxes: Tensor) -> Tensor:
        inside, central = self._inside_and_central(priors, boxes)
        return (inside | central).any(1)

    def _cost(
        self, priors: Tensor, scores: Tensor, overlaps: Tensor, boxes: Tensor, gt_instances: InstanceData
    ) -> Tensor:
        inside, central = self._inside_and_central(priors, boxes)
        # The cross entropy with a class is that with none, but for the one class: (V, C) and not (V, G, C).
        scores = scores.float()
        present = -scores.log().clamp(min=_LEAST_LOG)
        absent = -(1 - scores).log().clamp(min=_LEAST_LOG)
        classes = (present - absent)[:, gt_instances.labels] + absent.sum(1, keepdim=True)
        overlap_cost = -torch.log(overlaps + EPS)
        return (
            classes.to(overlaps.dtype) * self.cls_weight
            + overlap_cost * self.iou_weight
            + ~(inside & central) * _INF
        )
