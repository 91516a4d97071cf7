"""Samplers that are balanced, combined, or ask the head."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.detection.models.task_modules import AssignResult
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError


def build(kind: str, **kwargs: Any) -> Any:
    return TASK_UTILS.build(
        {"type": kind, "num": 24, "pos_fraction": 0.5, "add_gt_as_proposals": False, **kwargs}
    )


def assigned(owners: list[int], overlaps: torch.Tensor | None = None) -> AssignResult:
    gt_inds = torch.tensor(owners)
    overlaps = torch.rand(len(owners)) if overlaps is None else overlaps
    return AssignResult(3, gt_inds, overlaps, (gt_inds - 1).clamp(min=-1))


def test_objects_are_spread_over_ground_truths() -> None:
    torch.manual_seed(0)
    sampler = build("InstanceBalancedPosSampler")
    owners = [1] * 100 + [2] * 20 + [3] * 2 + [0] * 50
    chosen = sampler._sample_pos(assigned(owners), 12)
    counts = torch.bincount(torch.tensor(owners)[chosen], minlength=4).tolist()
    assert len(set(chosen.tolist())) == sum(counts) == 12
    assert counts[3] == 2  # all there are
    assert max(counts) <= 5  # 12 / 3 + 1
    few = sampler._sample_pos(assigned([1, 0, 2]), 12)
    assert few.tolist() == [0, 2]
    one_owner = sampler._sample_pos(assigned([1] * 40), 12)
    assert len(one_owner) == 12


def test_background_is_spread_over_overlaps() -> None:
    torch.manual_seed(0)
    overlaps = torch.cat((torch.rand(300) * 0.1, 0.1 + torch.rand(30) * 0.1, 0.2 + torch.rand(30) * 0.1))
    result = assigned([0] * 360, overlaps)
    chosen = build("IoUBalancedNegSampler")._sample_neg(result, 24)
    bins = torch.bincount((overlaps[chosen] / (overlaps.max() / 3)).long().clamp(max=2), minlength=3)
    assert len(set(chosen.tolist())) == 24
    assert bins.tolist() == [8, 8, 8]
    low = build("IoUBalancedNegSampler", floor_thr=0.1, floor_fraction=0.25)._sample_neg(result, 24)
    assert (overlaps[low] < 0.1).sum() == 6
    plain = build("IoUBalancedNegSampler", num_bins=1)._sample_neg(result, 24)
    assert len(plain) == 24
    nothing_overlaps = build("IoUBalancedNegSampler")._sample_neg(assigned([0] * 50, torch.zeros(50)), 24)
    assert len(set(nothing_overlaps.tolist())) == 24
    with pytest.raises(BuildError, match="num_bins"):
        build("IoUBalancedNegSampler", num_bins=0)


def test_one_sampler_for_objects_another_for_background() -> None:
    sampler = build(
        "CombinedSampler",
        pos_sampler={"type": "InstanceBalancedPosSampler"},
        neg_sampler={"type": "IoUBalancedNegSampler", "floor_thr": -1, "num_bins": 3},
    )
    assert sampler.pos_sampler.num == 24
    owners = [1] * 30 + [2] * 30 + [0] * 100
    priors = torch.rand(160, 4)
    gts = InstanceData(bboxes=torch.rand(3, 4), labels=torch.arange(3))
    found = sampler.sample(assigned(owners), InstanceData(priors=priors), gts)
    assert (len(found.pos_inds), len(found.neg_inds)) == (12, 12)


class Head:
    """A box head whose loss of a region is its left border."""

    num_classes = 7

    def loss(self, cls_score: torch.Tensor, **kwargs: Any) -> dict[str, torch.Tensor]:
        assert kwargs["reduction_override"] == "none"
        self.labels = kwargs["labels"]
        return {"loss_cls": cls_score}


@pytest.mark.parametrize("cascade", [False, True])
def test_hard_examples(cascade: bool) -> None:
    head = Head()
    context = SimpleNamespace(
        bbox_head=[None, head] if cascade else head,
        _bbox_forward=lambda *args: {"cls_score": args[-1][:, 1]},
    )
    if cascade:
        context.num_stages, context.current_stage = 2, 1
    sampler = build("OHEMSampler", context=context)
    owners = [1] * 30 + [0] * 50
    priors = torch.rand(80, 4)
    gts = InstanceData(bboxes=torch.rand(3, 4), labels=torch.arange(3))
    found = sampler.sample(assigned(owners), InstanceData(priors=priors), gts, feats=[])
    assert set(found.pos_inds.tolist()) == set(priors[:30, 0].topk(12).indices.tolist())
    assert set(found.neg_inds.tolist()) == set((priors[30:, 0].topk(12).indices + 30).tolist())
    assert head.labels.eq(7).all()
    few = sampler.sample(assigned([1, 0, 0]), InstanceData(priors=priors[:3]), gts, feats=[])
    assert (few.pos_inds.tolist(), few.neg_inds.tolist()) == ([0], [1, 2])
