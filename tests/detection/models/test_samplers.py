from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.models.task_modules import AssignResult, PseudoSampler, RandomSampler, SamplingResult
from toolkit.structures import InstanceData


def problem(
    num_pos: int, num_neg: int, num_ignored: int = 3
) -> tuple[AssignResult, InstanceData, InstanceData]:
    gt_inds = torch.tensor([1 + i % 2 for i in range(num_pos)] + [0] * num_neg + [-1] * num_ignored)
    labels = torch.where(gt_inds > 0, gt_inds + 4, -1)
    priors = torch.arange(len(gt_inds) * 4.0).view(-1, 4)
    gt = InstanceData(bboxes=torch.tensor([[0.0, 0, 1, 1], [5, 5, 6, 6]]), labels=torch.tensor([5, 6]))
    return AssignResult(2, gt_inds, torch.rand(len(gt_inds)), labels), InstanceData(priors=priors), gt


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 40),
    st.integers(0, 60),
    st.integers(1, 50),
    st.sampled_from([0.25, 0.5]),
    st.integers(-1, 3),
)
def test_numbers(num_pos: int, num_neg: int, num: int, fraction: float, bound: int) -> None:
    assigned, priors, gt = problem(num_pos, num_neg)
    sampler = RandomSampler(num, fraction, neg_pos_ub=bound, add_gt_as_proposals=False)
    result = sampler.sample(assigned, priors, gt)
    wanted_pos = min(num_pos, int(num * fraction))
    wanted_neg = min(num_neg, num - wanted_pos)
    if bound >= 0:
        wanted_neg = min(wanted_neg, bound * max(1, wanted_pos))
    assert (len(result.pos_inds), len(result.neg_inds)) == (wanted_pos, wanted_neg)
    assert (assigned.gt_inds[result.pos_inds] > 0).all()
    assert (assigned.gt_inds[result.neg_inds] == 0).all()
    assert len(set(result.pos_inds.tolist() + result.neg_inds.tolist())) == wanted_pos + wanted_neg
    assert result.avg_factor == max(wanted_pos, 1) + max(wanted_neg, 1)


def test_draws_from_torchs_generator() -> None:
    def draw(seed: int) -> list[int]:
        torch.manual_seed(seed)
        result = RandomSampler(20, 0.5, add_gt_as_proposals=False).sample(*problem(50, 100))
        return result.pos_inds.tolist() + result.neg_inds.tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_every_candidate_has_the_same_chance() -> None:
    torch.manual_seed(0)
    sampler = RandomSampler(4, 0.0, add_gt_as_proposals=False)
    counts = torch.zeros(10)
    for _ in range(2000):
        counts[sampler.sample(*problem(0, 10, 0)).neg_inds] += 1
    assert (counts / 2000 - 0.4).abs().max() < 0.05


def test_ground_truths_join_the_priors() -> None:
    assigned, priors, gt = problem(3, 5)
    result = RandomSampler(100, 0.5).sample(assigned, priors, gt)
    assert len(result.pos_inds) == 5
    assert result.pos_is_gt.tolist() == [1, 1, 0, 0, 0]
    torch.testing.assert_close(result.pos_priors[:2], gt.bboxes)
    assert result.pos_assigned_gt_inds.tolist() == [0, 1, 0, 1, 0]
    assert result.pos_gt_labels.tolist() == [5, 6, 5, 6, 5]
    torch.testing.assert_close(result.pos_gt_bboxes, gt.bboxes[[0, 1, 0, 1, 0]])
    assert len(result.priors) == 10
    assert torch.equal(result.bboxes, result.priors)
    assert torch.equal(result.pos_bboxes, result.pos_priors)


def test_pseudo_sampler_takes_all() -> None:
    result = PseudoSampler().sample(*problem(3, 5))
    assert isinstance(result, SamplingResult)
    assert (len(result.pos_inds), len(result.neg_inds), result.avg_factor) == (3, 5, 3)


def test_without_ground_truth() -> None:
    assigned, priors, _ = problem(0, 6)
    empty = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    result = RandomSampler(4, 0.5).sample(assigned, priors, empty)
    assert result.pos_gt_bboxes.shape == (0, 4)
    assert result.priors.shape == (4, 4)
