"""One-to-one assignment of least cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.task_modules.assigners.match_cost import BaseMatchCost
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

# In place of costs that are no numbers. The loss of such predictions is none either, and is reported there.
_INVALID = 1e8


@dataclass(frozen=True)
class Matches:
    """Pairs of predictions and ground truths of a batch, the same number P in each layer."""

    pred: Tensor
    """Predictions, counted over all images, (L, P) int64."""
    gt: Tensor
    """Their ground truths, counted over all images, (L, P) int64."""


@dataclass
class _Batch:
    """Predictions or ground truths of a batch, as a cost looks at them."""

    bboxes: Tensor
    scores: Tensor | None = None
    labels: Tensor | None = None


@TASK_UTILS.register_module()
class HungarianAssigner(BaseAssigner):
    """Each ground truth gets one prediction, each prediction at most one ground truth, and the sum of the
    costs is as small as can be (Kuhn, "The Hungarian Method for the Assignment Problem", 1955).

    Args:
        match_costs: Configs of the costs, which are added up; one or a list.

    Raises:
        BuildError: There is no cost.
    """

    def __init__(self, match_costs: Mapping[str, Any] | Sequence[Any]) -> None:
        cfgs = [match_costs] if isinstance(match_costs, Mapping) else list(match_costs)
        if not cfgs:
            raise BuildError("match_costs of HungarianAssigner is empty; it needs at least one cost")
        self.match_costs: list[BaseMatchCost] = [
            TASK_UTILS.build(cfg) if isinstance(cfg, Mapping) else cfg for cfg in cfgs
        ]

    def assign(  # type: ignore[override]
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        img_meta: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Assign in one image.

        Args:
            pred_instances: What the costs look at: ``scores`` (Q, C) logits, ``bboxes`` (Q, 4) in pixels,
                ``masks``.
            gt_instances: ``labels`` (K,), and what the costs look at: ``bboxes`` (K, 4), ``masks``.
            img_meta: ``img_shape``.
            **kwargs: Not used.
        """
        labels = gt_instances.labels
        gt_inds = labels.new_zeros(len(pred_instances))
        classes = labels.new_full((len(pred_instances),), -1)
        if len(pred_instances) and len(labels):
            cost = self.cost(pred_instances, gt_instances, img_meta).cpu()
            rows, cols = (torch.from_numpy(one).to(labels.device) for one in self._solve(cost.numpy()))
            gt_inds[rows] = cols + 1
            classes[rows] = labels[cols]
        overlaps = torch.zeros(len(pred_instances), device=labels.device)
        return AssignResult(len(labels), gt_inds, overlaps, classes)

    @torch.no_grad()
    def match(
        self,
        scores: Tensor,
        bboxes: Tensor,
        gts: Sequence[InstanceData],
        metas: Sequence[Mapping[str, Any]],
        valid: Tensor | None = None,
    ) -> Matches:
        """Assign in all images of a batch, for the predictions of several layers.

        All costs are computed at once and there is one transfer from the device and one back to it.

        Args:
            scores: Logits, (L, B, Q, C).
            bboxes: In pixels, (L, B, Q, 4).
            gts: ``labels`` and ``bboxes`` of each image.
            metas: ``img_shape`` of each image.
            valid: Which predictions may match, (L, B, Q) bool; all that may not match only where there are
                more ground truths than predictions that may.
        """
        counts = [len(gt.labels) for gt in gts]
        layers, _, queries = scores.shape[:3]
        pairs = sum(self._num_pairs(queries, count) for count in counts)
        found = np.zeros((2, layers, pairs), dtype=np.int64)
        if pairs:
            cost = self._batch_costs(scores, bboxes, gts, metas)
            if valid is not None:
                cost = cost.masked_fill(~valid.unsqueeze(-1), _INVALID)
            costs = cost.cpu().numpy()
            starts = np.cumsum([0, *counts])
            for layer in range(layers):
                solved = [self._solve(costs[layer, i, :, :n]) for i, n in enumerate(counts)]
                found[0, layer] = np.concatenate([row + i * queries for i, (row, _) in enumerate(solved)])
                found[1, layer] = np.concatenate([col + starts[i] for i, (_, col) in enumerate(solved)])
        pred, gt = torch.from_numpy(found).to(scores.device)
        return Matches(pred, gt)

    def _num_pairs(self, num_preds: int, num_gts: int) -> int:
        """How many pairs `_solve` finds."""
        return min(num_preds, num_gts)

    def _solve(self, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of least cost (Q, K), as predictions and ground truths."""
        # Imported here, as it takes longer than all the rest and few models need it.
        from scipy.optimize import linear_sum_assignment

        return linear_sum_assignment(cost)

    def cost(self, pred: Any, gt: Any, img_meta: Mapping[str, Any] | None) -> Tensor:
        """The sum of the costs, (..., Q, K), without gradients and of numbers only."""
        total = sum(
            cost(pred_instances=pred, gt_instances=gt, img_meta=img_meta) for cost in self.match_costs
        )
        assert isinstance(total, Tensor)
        return total.detach().float().nan_to_num(_INVALID, _INVALID, -_INVALID)

    def _batch_costs(
        self,
        scores: Tensor,
        bboxes: Tensor,
        gts: Sequence[InstanceData],
        metas: Sequence[Mapping[str, Any]],
    ) -> Tensor:
        """(L, B, Q, K), where K is the most ground truths of an image; values beyond its own mean nothing."""
        if all(cost.batched for cost in self.match_costs):
            labels = torch.nn.utils.rnn.pad_sequence([gt.labels for gt in gts], batch_first=True)
            boxes = torch.nn.utils.rnn.pad_sequence([gt.bboxes for gt in gts], batch_first=True)
            meta = {"box_scale": image_scales(metas, bboxes)[:, None]}
            return self.cost(_Batch(bboxes, scores=scores), _Batch(boxes, labels=labels), meta)
        costs = scores.new_zeros(*scores.shape[:3], max(len(gt.labels) for gt in gts), dtype=torch.float32)
        for layer, index in np.ndindex(*scores.shape[:2]):
            pred = InstanceData(scores=scores[layer, index], bboxes=bboxes[layer, index])
            if len(gts[index].labels):
                cost = self.cost(pred, gts[index], metas[index])
                costs[layer, index, :, : cost.size(1)] = cost
        return costs


def image_scales(metas: Sequence[Mapping[str, Any]], like: Tensor) -> Tensor:
    """Width, height, width, height of each image, (B, 4), as a tensor like another."""
    shapes = [meta["img_shape"][:2] for meta in metas]
    return like.new_tensor([(width, height, width, height) for height, width in shapes])
