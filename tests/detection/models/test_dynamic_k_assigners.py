"""SimOTA and the assigner of RTMDet, against plain second implementations of their papers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from toolkit.detection.models.task_modules import (
    DynamicSoftLabelAssigner,
    MlvlPointGenerator,
    SimOTAAssigner,
    dynamic_k_matching,
)
from toolkit.detection.models.task_modules.assigners.dynamic_soft_label_assigner import center_of_mass
from toolkit.structures import InstanceData


def match_one_by_one(cost: Tensor, overlaps: Tensor, topk: int) -> list[int]:
    """Section 2.1 of YOLOX's paper, one ground truth after the other."""
    owners: dict[int, list[int]] = {}
    for gt in range(cost.size(1)):
        count = max(1, int(overlaps[:, gt].sort(descending=True).values[:topk].sum()))
        for prior in cost[:, gt].argsort()[:count].tolist():
            owners.setdefault(prior, []).append(gt)
    return [
        -1
        if prior not in owners
        else (owners[prior][0] if len(owners[prior]) == 1 else int(cost[prior].argmin()))
        for prior in range(len(cost))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_matching_of_all_at_once_is_that_of_one_by_one(seed: int) -> None:
    torch.manual_seed(seed)
    overlaps = torch.rand(17, 6)
    cost = torch.rand(17, 6)
    cost[3] = 0.01 * cost[3]  # a prior that everyone wants
    assert dynamic_k_matching(cost, overlaps, 5).tolist() == match_one_by_one(cost, overlaps, 5)


def test_fewer_priors_than_candidates() -> None:
    cost, overlaps = torch.rand(2, 3), torch.ones(2, 3)
    assert dynamic_k_matching(cost, overlaps, 10).tolist() == match_one_by_one(cost, overlaps, 10)


def scene(offset: float) -> tuple[InstanceData, InstanceData]:
    """What a network predicts on an image of 96 x 64 with three ground truths, one of them tiny."""
    torch.manual_seed(3)
    priors = torch.cat(
        MlvlPointGenerator([8, 16], offset).grid_priors([(8, 12), (4, 6)], device="cpu", with_stride=True)
    )
    size = torch.rand(len(priors), 4) * 24
    boxes = torch.cat((priors[:, :2] - size[:, :2], priors[:, :2] + size[:, 2:]), dim=1)
    gts = torch.tensor([[4.0, 6, 50, 44], [30, 20, 90, 60], [61, 1, 64, 3]])
    predicted = InstanceData(priors=priors, bboxes=boxes, scores=torch.rand(len(priors), 4))
    return predicted, InstanceData(bboxes=gts, labels=torch.tensor([1, 3, 1]))


def expected_result(cost: Tensor, overlaps: Tensor, able: Tensor, topk: int) -> tuple[list[int], list[float]]:
    places = able.nonzero().squeeze(1)
    owners = match_one_by_one(cost[places], overlaps[places], topk)
    gt_inds, best = [0] * len(cost), [0.0] * len(cost)
    for place, owner in zip(places.tolist(), owners, strict=True):
        gt_inds[place] = owner + 1
        best[place] = float(overlaps[place, owner]) if owner >= 0 else 0.0
    return gt_inds, best


def compare(result: Any, expected: tuple[list[int], list[float]], labels: Tensor) -> None:
    assert result.gt_inds.tolist() == expected[0]
    found = result.gt_inds > 0
    assert 3 <= found.sum() < len(found)
    assert result.labels[found].tolist() == labels[result.gt_inds[found] - 1].tolist()
    assert (result.labels[~found] == -1).all()
    torch.testing.assert_close(result.max_overlaps[found], torch.tensor(expected[1])[found])


def test_sim_ota() -> None:
    predicted, gts = scene(0.5)
    overlaps = box_iou(predicted.bboxes, gts.bboxes)
    able, cost = torch.zeros(len(overlaps), dtype=torch.bool), torch.zeros_like(overlaps)
    for i, (x, y, stride, _) in enumerate(predicted.priors.tolist()):
        for j, (x1, y1, x2, y2) in enumerate(gts.bboxes.tolist()):
            inside = x1 < x < x2 and y1 < y < y2
            near = abs(x - (x1 + x2) / 2) < 2.5 * stride and abs(y - (y1 + y2) / 2) < 2.5 * stride
            able[i] |= inside or near
            goal = F.one_hot(gts.labels[j], 4).float()
            entropy = F.binary_cross_entropy(predicted.scores[i], goal, reduction="sum")
            cost[i, j] = entropy - 3 * torch.log(overlaps[i, j] + 1e-7) + 1e5 * (not (inside and near))
    result = SimOTAAssigner(center_radius=2.5).assign(predicted, gts)
    compare(result, expected_result(cost, overlaps, able, 10), gts.labels)


@pytest.mark.parametrize("with_masks", [False, True])
def test_dynamic_soft_labels(with_masks: bool) -> None:
    predicted, gts = scene(0)
    predicted.scores = predicted.scores * 6 - 3  # logits
    overlaps = box_iou(predicted.bboxes, gts.bboxes)
    centers = (gts.bboxes[:, :2] + gts.bboxes[:, 2:]) / 2
    if with_masks:
        gts.masks = torch.zeros(3, 64, 96, dtype=torch.bool)
        gts.masks[0, 6:12, 4:20] = gts.masks[1, 20:60, 30:90] = gts.masks[2, 1:3, 61:64] = True
        centers = torch.tensor([[11.5, 8.5], [59.5, 39.5], [62.0, 1.5]])
        torch.testing.assert_close(center_of_mass(gts.masks), centers)
    able, cost = torch.zeros(len(overlaps), dtype=torch.bool), torch.zeros_like(overlaps)
    for i, (x, y, stride, _) in enumerate(predicted.priors.tolist()):
        for j, (x1, y1, x2, y2) in enumerate(gts.bboxes.tolist()):
            able[i] |= x1 < x < x2 and y1 < y < y2
            goal = F.one_hot(gts.labels[j], 4) * overlaps[i, j]
            logits = predicted.scores[i]
            focal = F.binary_cross_entropy_with_logits(logits, goal, reduction="none")
            focal = (focal * (goal - logits.sigmoid()) ** 2).sum()
            steps = torch.dist(torch.tensor([x, y]), centers[j]) / stride
            cost[i, j] = focal - 3 * torch.log(overlaps[i, j] + 1e-7) + 10 ** (steps - 3)
    result = DynamicSoftLabelAssigner(topk=13).assign(predicted, gts)
    compare(result, expected_result(cost, overlaps, able, 13), gts.labels)


@pytest.mark.parametrize("assigner", [SimOTAAssigner(), DynamicSoftLabelAssigner()])
@pytest.mark.parametrize("boxes", [torch.zeros(0, 4), torch.tensor([[500.0, 500, 501, 501]])])
def test_nothing_to_match(assigner: Any, boxes: Tensor) -> None:
    predicted, _ = scene(0.5)
    gts = InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long))
    result = assigner.assign(predicted, gts)
    assert result.gt_inds.abs().sum() == 0
    assert (result.labels == -1).all()
