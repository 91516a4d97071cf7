from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from toolkit.detection.models.task_modules import ATSSAssigner
from toolkit.structures import InstanceData
from toolkit.utils import TrainingError


def pyramid() -> tuple[torch.Tensor, list[int]]:
    """One square anchor a place on two levels of an image of 64 x 96."""
    boxes, counts = [], []
    for stride in (8, 16):
        y, x = torch.meshgrid(
            torch.arange(0, 64, stride) + stride / 2, torch.arange(0, 96, stride) + stride / 2, indexing="ij"
        )
        centre = torch.stack((x, y), -1).reshape(-1, 2)
        boxes.append(torch.cat((centre - stride * 2, centre + stride * 2), 1))
        counts.append(len(centre))
    return torch.cat(boxes), counts


def ground_truth(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * torch.tensor([60.0, 35.0])
    return torch.cat((low, low + torch.rand(count, 2, generator=generator) * 28 + 6), 1)


def by_the_rules(priors: torch.Tensor, counts: list[int], gts: torch.Tensor, topk: int) -> list[int]:
    """Algorithm 1 of the paper, one ground truth at a time."""
    overlaps = box_iou(gts, priors)
    centres = (priors[:, :2] + priors[:, 2:]) / 2
    owner, best = [0] * len(priors), [0.0] * len(priors)
    for g, gt in enumerate(gts):
        distance = (centres - (gt[:2] + gt[2:]) / 2).norm(dim=1)
        candidates: list[int] = []
        start = 0
        for count in counts:
            level = range(start, start + count)
            candidates += sorted(level, key=lambda i: float(distance[i]))[:topk]
            start += count
        values = overlaps[g, candidates]
        threshold = values.mean() + values.std()
        for i in candidates:
            inside = bool((centres[i] > gt[:2] + 0.01).all() and (centres[i] < gt[2:] - 0.01).all())
            if overlaps[g, i] >= threshold and inside and float(overlaps[g, i]) > best[i]:
                owner[i], best[i] = g + 1, float(overlaps[g, i])
    return owner


def assign(assigner: ATSSAssigner, gts: torch.Tensor, **kwargs: Any) -> Any:
    priors, counts = pyramid()
    gt = InstanceData(bboxes=gts, labels=torch.arange(len(gts)) + 10)
    return assigner.assign(InstanceData(priors=priors, **kwargs), counts, gt)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([3, 9]))
def test_follows_the_paper(count: int, seed: int, topk: int) -> None:
    gts = ground_truth(count, seed)
    priors, counts = pyramid()
    result = assign(ATSSAssigner(topk), gts)
    expected = by_the_rules(priors, counts, gts, topk)
    assert result.gt_inds.tolist() == expected
    objects = result.gt_inds > 0
    assert (result.labels[objects] == result.gt_inds[objects] + 9).all()
    assert (result.labels[~objects] == -1).all()
    overlaps = box_iou(gts, priors)
    own = overlaps[(result.gt_inds[objects] - 1), objects.nonzero().squeeze(1)]
    torch.testing.assert_close(result.max_overlaps[objects], own)


def test_nothing_to_find() -> None:
    result = assign(ATSSAssigner(9), torch.zeros(0, 4))
    assert result.num_gts == 0
    assert (result.gt_inds == 0).all()


def test_ignored_regions() -> None:
    priors, counts = pyramid()
    gts = torch.tensor([[4.0, 4, 40, 40]])
    regions = InstanceData(bboxes=torch.tensor([[40.0, 0, 96, 64]]))
    gt = InstanceData(bboxes=gts, labels=torch.tensor([1]))
    assigner = ATSSAssigner(9, ignore_iof_thr=0.5)
    result = assigner.assign(InstanceData(priors=priors), counts, gt, regions)
    inside = (priors[:, 2].clamp(max=96) - priors[:, 0].clamp(min=40)).clamp(min=0)
    inside *= (priors[:, 3].clamp(max=64) - priors[:, 1].clamp(min=0)).clamp(min=0)
    ignored = inside / (priors[:, 2:] - priors[:, :2]).prod(1) > 0.5
    assert (result.gt_inds[ignored] == -1).all()
    assert (result.gt_inds == 1).any()


def test_costs_of_predictions() -> None:
    priors, _ = pyramid()
    gts = ground_truth(3, 0)
    with pytest.raises(TrainingError, match="predictions"):
        assign(ATSSAssigner(9, alpha=0.8), gts)
    # a good prediction counts more than a good anchor
    scores = torch.full((len(priors), 13), -6.0)
    scores[:, 10:] = 6.0
    plain = assign(ATSSAssigner(9), gts)
    same = assign(ATSSAssigner(9, alpha=1.0), gts, scores=scores, bboxes=priors)
    assert same.gt_inds.tolist() == plain.gt_inds.tolist()
    other = assign(ATSSAssigner(9, alpha=0.8), gts, scores=scores, bboxes=priors.roll(3, 0))
    assert other.gt_inds.tolist() != plain.gt_inds.tolist()
