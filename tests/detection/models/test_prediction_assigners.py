"""Assigners that look at predictions or at cells: TaskAlignedAssigner, UniformAssigner, GridAssigner."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from toolkit.detection.models.task_modules.assigners import (
    GridAssigner,
    TaskAlignedAssigner,
    UniformAssigner,
)
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

seeds = st.integers(0, 10**6)


def boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 50
    return torch.cat((low, low + torch.rand(count, 2, generator=generator) * 40 + 8), 1)


def truth(count: int, seed: int) -> InstanceData:
    return InstanceData(bboxes=boxes(count, seed), labels=torch.arange(count) % 3)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 5))
def test_task_aligned_takes_the_best_of_both(seed: int, count: int) -> None:
    priors, predicted, gt = boxes(60, seed), boxes(60, seed + 1), truth(count, seed + 2)
    scores = torch.rand(60, 3, generator=torch.Generator().manual_seed(seed))
    found = TaskAlignedAssigner(topk=4).assign(
        InstanceData(priors=priors, scores=scores, bboxes=predicted), gt, alpha=1, beta=2
    )
    overlaps = box_iou(gt.bboxes, predicted)
    owner, best, metric = [0] * 60, [0.0] * 60, [0.0] * 60
    for g, box in enumerate(gt.bboxes):
        values = [float(scores[i, gt.labels[g]]) * float(overlaps[g, i]) ** 2 for i in range(60)]
        for i in sorted(range(60), key=lambda i: -values[i])[:4]:
            centre = (priors[i, :2] + priors[i, 2:]) / 2
            inside = bool((centre > box[:2] + 0.01).all() and (centre < box[2:] - 0.01).all())
            if values[i] > 0 and inside and float(overlaps[g, i]) > best[i]:
                owner[i], best[i], metric[i] = g + 1, float(overlaps[g, i]), values[i]
    assert found.gt_inds.tolist() == owner
    torch.testing.assert_close(found.get_extra_property("assign_metrics"), torch.tensor(metric))


def test_uniform_gives_every_object_the_same_number() -> None:
    priors, predicted, gt = boxes(60, 0), boxes(60, 1), truth(3, 2)
    assigner = UniformAssigner(pos_ignore_thr=0.15, neg_ignore_thr=0.7, match_times=4)
    found = assigner.assign(InstanceData(priors=priors, decoder_priors=predicted), gt)
    places, keeps = found.get_extra_property("pos_places"), found.get_extra_property("pos_idx")
    goals = found.get_extra_property("target_boxes")
    assert places.shape == keeps.shape == (2 * 3 * 4,)

    def encoded(one: torch.Tensor) -> torch.Tensor:
        return torch.cat(((one[:, :2] + one[:, 2:]) / 2, one[:, 2:] - one[:, :2]), 1)

    for g, box in enumerate(gt.bboxes):
        mine = set(places[(goals == box).all(1)].tolist())
        for candidates in (priors, predicted):
            cost = (encoded(candidates) - encoded(box[None])).abs().sum(1)
            assert set(cost.argsort()[:4].tolist()) <= mine
        for place in mine:
            if found.gt_inds[place] == g + 1:
                assert box_iou(priors[place][None], box[None]) >= 0.15
    much = box_iou(predicted, gt.bboxes).amax(1) > 0.7
    others = torch.ones(60, dtype=torch.bool)
    others[places] = False
    assert (found.gt_inds[others & much] == -1).all()
    assert (found.gt_inds[others & ~much] == 0).all()
    assert found.labels[found.gt_inds > 0].min() >= 0


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 5), st.booleans(), st.sampled_from([0.4, (0.1, 0.4)]))
def test_grid_follows_its_rules(seed: int, count: int, every: bool, neg: float | tuple[float, float]) -> None:
    priors, gt = boxes(40, seed).round(), truth(count, seed + 1)
    flags = torch.rand(40, generator=torch.Generator().manual_seed(seed)) < 0.4
    found = GridAssigner(0.5, neg, min_pos_iou=0.1, gt_max_assign_all=every).assign(
        InstanceData(priors=priors, responsible_flags=flags), gt
    )
    overlaps = box_iou(gt.bboxes, priors)
    low, high = (-1.0, neg) if isinstance(neg, float) else neg
    expected = []
    for i in range(40):
        most = float(overlaps[:, i].max())
        expected.append(0 if low < most <= high else -1)
        if flags[i] and most > 0.5:
            expected[i] = int(overlaps[:, i].argmax()) + 1
    if flags.any():
        for g in range(count):
            row = overlaps[g].masked_fill(~flags, -1)
            if row.max() > 0.1:
                for i in (row == row.max()).nonzero().flatten().tolist() if every else [int(row.argmax())]:
                    expected[i] = g + 1
    assert found.gt_inds.tolist() == expected


def test_nothing_to_find_and_wrong_arguments() -> None:
    none = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    every = InstanceData(
        priors=boxes(5, 0),
        scores=torch.rand(5, 3),
        bboxes=boxes(5, 1),
        decoder_priors=boxes(5, 1),
        responsible_flags=torch.ones(5),
    )
    for assigner in (TaskAlignedAssigner(3), UniformAssigner(0.1, 0.7), GridAssigner(0.5, 0.5)):
        result = assigner.assign(every, none)  # type: ignore[attr-defined]
        assert (result.gt_inds == 0).all()
        assert (result.labels == -1).all()
    with pytest.raises(BuildError, match="topk"):
        TaskAlignedAssigner(0)
    with pytest.raises(BuildError, match="neg_iou_thr"):
        GridAssigner(0.5, (0.1, 0.2, 0.3))  # type: ignore[arg-type]
