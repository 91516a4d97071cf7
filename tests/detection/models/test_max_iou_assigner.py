from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from toolkit.detection.models.task_modules import MaxIoUAssigner
from toolkit.detection.models.task_modules.assigners import max_iou_assigner
from toolkit.detection.models.task_modules.assigners.repeated_boxes import told_apart
from toolkit.structures import InstanceData
from toolkit.utils import BuildError


def boxes(count: int, seed: int) -> torch.Tensor:
    # whole numbers, so that overlaps tie
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(0, 12, (count, 2), generator=generator)
    return torch.cat((low, low + torch.randint(2, 9, (count, 2), generator=generator)), dim=1).float()


def assign(assigner: MaxIoUAssigner, priors: torch.Tensor, gts: torch.Tensor, **kwargs: Any) -> Any:
    labels = torch.arange(len(gts)) + 10
    return assigner.assign(InstanceData(priors=priors), InstanceData(bboxes=gts, labels=labels), **kwargs)


def by_the_rules(
    priors: torch.Tensor, gts: torch.Tensor, pos: float, neg: float, least: float, every: bool
) -> list[int]:
    """The rules, one prior and one ground truth at a time."""
    overlaps = box_iou(gts, priors)
    result = []
    for j in range(len(priors)):
        best = max(range(len(gts)), key=lambda i: float(overlaps[i, j]))
        top = float(overlaps[best, j])
        result.append(best + 1 if top >= pos else 0 if top < neg else -1)
    for i in range(len(gts)):
        most = float(overlaps[i].max())
        if most >= least:
            tied = [j for j in range(len(priors)) if float(overlaps[i, j]) == most]
            for j in tied if every else tied[:1]:
                result[j] = i + 1
    return result


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 7), st.integers(0, 10_000), st.booleans())
def test_follows_the_rules(num_priors: int, num_gts: int, seed: int, every: bool) -> None:
    priors, gts = boxes(num_priors, seed), boxes(num_gts, seed + 1)
    assigner = MaxIoUAssigner(0.5, 0.3, min_pos_iou=0.2, gt_max_assign_all=every)
    result = assign(assigner, priors, gts)
    overlaps = box_iou(gts, priors)
    expected = by_the_rules(priors, gts, 0.5, 0.3, 0.2, every)
    for j, (found, wanted) in enumerate(zip(result.gt_inds.tolist(), expected, strict=True)):
        # where a prior overlaps two ground truths equally, it may be either
        tie = found > 0 and wanted > 0 and overlaps[found - 1, j] == overlaps[wanted - 1, j]
        assert found == wanted or tie
    torch.testing.assert_close(result.max_overlaps, overlaps.amax(0))
    chosen = result.gt_inds > 0
    assert torch.equal(result.labels[chosen], result.gt_inds[chosen] + 9)
    assert (result.labels[~chosen] == -1).all()


def test_equals_torchvisions_matcher() -> None:
    priors, gts = torch.rand(500, 4).cumsum(1) * 50, torch.rand(9, 4).cumsum(1) * 50
    for low_quality in (True, False):
        theirs = Matcher(0.7, 0.3, allow_low_quality_matches=low_quality)(box_iou(gts, priors))
        # torchvision gives a low-quality match the ground truth it overlaps most, so only who matches is
        # compared
        ours = assign(MaxIoUAssigner(0.7, 0.3, match_low_quality=low_quality), priors, gts).gt_inds
        assert torch.equal(ours > 0, theirs >= 0)
        assert torch.equal(ours == 0, theirs == Matcher.BELOW_LOW_THRESHOLD)


def test_in_chunks_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    priors, gts = boxes(60, 5), boxes(11, 6)
    assigner = MaxIoUAssigner(0.5, 0.4, min_pos_iou=0.1)
    whole = assign(assigner, priors, gts)
    monkeypatch.setattr(max_iou_assigner, "_CHUNK", 120)  # two ground truths at a time
    parts = assign(assigner, priors, gts)
    assert torch.equal(whole.gt_inds, parts.gt_inds)
    assert torch.equal(whole.max_overlaps, parts.max_overlaps)


def test_ignored_regions() -> None:
    priors = torch.tensor([[0.0, 0, 4, 4], [10, 10, 14, 14], [20, 20, 24, 24]])
    gts, regions = torch.tensor([[0.0, 0, 4, 4]]), InstanceData(bboxes=torch.tensor([[9.0, 9, 15, 15]]))
    plain = MaxIoUAssigner(0.5, 0.5)
    assert assign(plain, priors, gts, gt_instances_ignore=regions).gt_inds.tolist() == [1, 0, 0]
    of_prior = MaxIoUAssigner(0.5, 0.5, ignore_iof_thr=0.5)
    assert assign(of_prior, priors, gts, gt_instances_ignore=regions).gt_inds.tolist() == [1, -1, 0]
    of_region = MaxIoUAssigner(0.5, 0.5, ignore_iof_thr=0.5, ignore_wrt_candidates=False)
    assert assign(of_region, priors, gts, gt_instances_ignore=regions).gt_inds.tolist() == [1, 0, 0]


def test_two_bounds_of_background() -> None:
    priors, gts = (
        torch.tensor([[0.0, 0, 10, 1], [0, 0, 10, 4], [50, 50, 60, 60]]),
        torch.tensor([[0.0, 0, 10, 10]]),
    )
    assigner = MaxIoUAssigner(0.5, (0.05, 0.3), match_low_quality=False)
    assert assign(assigner, priors, gts).gt_inds.tolist() == [0, -1, -1]
    with pytest.raises(BuildError, match="neg_iou_thr"):
        MaxIoUAssigner(0.5, (0.1, 0.2, 0.3))  # type: ignore[arg-type]


def test_nothing_to_assign() -> None:
    assigner = MaxIoUAssigner(0.5, 0.5)
    no_gts = assign(assigner, boxes(5, 0), torch.zeros(0, 4))
    assert no_gts.gt_inds.tolist() == [0] * 5
    assert no_gts.labels.tolist() == [-1] * 5
    assert assign(assigner, torch.zeros(0, 4), boxes(2, 0)).gt_inds.shape == (0,)


def test_boxes_of_several_classes_share_their_priors() -> None:
    torch.manual_seed(0)
    gts = torch.tensor([[10.0, 20, 60, 90], [100, 20, 140, 50], [10, 20, 60, 90], [10, 20, 60, 90]])
    moved = told_apart(gts, iou_thr=0.9, perm_range=0.02)
    assert torch.equal(moved[1], gts[1])
    assert (moved[[0, 2, 3]] != gts[[0, 2, 3]]).any(dim=1).all()
    assert (box_iou(moved, gts).diagonal() >= 0.9).all()
    assert torch.equal(told_apart(gts, iou_thr=1.0), gts)
    priors = gts[0] + torch.rand(200, 4) * 4
    plain = assign(MaxIoUAssigner(0.5, 0.5, 0.3), priors, gts)
    assert set(plain.gt_inds.tolist()) <= {1, 4}  # the first, and the last as a low-quality match
    shared = assign(MaxIoUAssigner(0.5, 0.5, 0.3, perm_repeat_gt_cfg={"perm_range": 0.02}), priors, gts)
    assert {1, 3, 4} <= set(shared.gt_inds.tolist())
