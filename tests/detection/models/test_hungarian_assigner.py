from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.models.task_modules import BaseMatchCost, HungarianAssigner
from toolkit.detection.models.task_modules.assigners import TopkHungarianAssigner
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

COSTS = [
    {"type": "FocalLossCost", "weight": 2.0},
    {"type": "BBoxL1Cost", "weight": 5.0, "box_format": "xywh"},
    {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},
]


def instances(queries: int, objects: int, seed: int) -> tuple[InstanceData, InstanceData]:
    torch.manual_seed(seed)

    def boxes(count: int) -> torch.Tensor:
        low = torch.rand(count, 2) * 20
        return torch.cat((low, low + torch.rand(count, 2) * 20), dim=1)

    pred = InstanceData(scores=torch.randn(queries, 4), bboxes=boxes(queries))
    return pred, InstanceData(labels=torch.randint(0, 4, (objects,)), bboxes=boxes(objects))


def least(cost: torch.Tensor) -> float:
    """The least sum of any one-to-one matching, by trying all."""
    if cost.size(0) < cost.size(1):
        cost = cost.T
    rows = permutations(range(cost.size(0)), cost.size(1))
    return min(sum(float(cost[row, col]) for col, row in enumerate(chosen)) for chosen in rows)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
def test_no_matching_costs_less(queries: int, objects: int, seed: int) -> None:
    pred, gt = instances(queries, objects, seed)
    assigner, meta = HungarianAssigner(COSTS), {"img_shape": (40, 40)}
    cost = assigner.cost(pred, gt, meta)
    result = assigner.assign(pred, gt, meta)
    chosen = result.gt_inds.nonzero().squeeze(1)
    owners = result.gt_inds[chosen] - 1
    assert len(chosen) == min(queries, objects)
    assert len(set(owners.tolist())) == len(owners)
    assert float(cost[chosen, owners].sum()) == pytest.approx(least(cost), abs=1e-4)
    assert result.labels[chosen].tolist() == gt.labels[owners].tolist()
    assert bool((result.labels[result.gt_inds == 0] == -1).all())


class Blunt(BaseMatchCost):
    """A cost that knows one image at a time."""

    def __call__(self, pred_instances: Any, gt_instances: Any, img_meta: Any = None, **_: Any) -> Any:
        assert pred_instances.bboxes.dim() == 2
        assert img_meta["img_shape"] == (40, 40)
        return torch.cdist(pred_instances.bboxes, gt_instances.bboxes)


@pytest.mark.parametrize("costs", [COSTS, [*COSTS, Blunt()]], ids=["batched", "one image at a time"])
def test_a_batch_is_its_images_and_layers(costs: list[Any]) -> None:
    assigner, metas = HungarianAssigner(costs), [{"img_shape": (40, 40)}] * 3
    images = [instances(6, objects, seed) for seed, objects in enumerate((3, 0, 8))]
    later = [instances(6, 0, seed + 9)[0] for seed in range(3)]
    gts = [gt for _, gt in images]
    layers = [[pred for pred, _ in images], later]
    scores = torch.stack([torch.stack([pred.scores for pred in preds]) for preds in layers])
    boxes = torch.stack([torch.stack([pred.bboxes for pred in preds]) for preds in layers])
    matches = assigner.match(scores, boxes, gts, metas)
    assert matches.pred.shape == matches.gt.shape == (2, 3 + 0 + 6)
    starts = [0, 3, 3]
    for layer, preds in enumerate(layers):
        expected = set()
        for i, (pred, gt) in enumerate(zip(preds, gts, strict=True)):
            gt_inds = assigner.assign(pred, gt, metas[i]).gt_inds.tolist()
            expected |= {(i * 6 + q, starts[i] + k - 1) for q, k in enumerate(gt_inds) if k > 0}
        found = zip(matches.pred[layer].tolist(), matches.gt[layer].tolist(), strict=True)
        assert set(found) == expected


def test_predictions_that_are_no_numbers_do_not_stop_it() -> None:
    pred, gt = instances(4, 2, 0)
    pred.scores[0] = float("nan")
    result = HungarianAssigner(COSTS).assign(pred, gt, {"img_shape": (40, 40)})
    assert result.gt_inds[0] == 0
    assert int((result.gt_inds > 0).sum()) == 2


def test_needs_a_cost() -> None:
    assert len(HungarianAssigner(COSTS[0]).match_costs) == 1
    with pytest.raises(BuildError, match="at least one cost"):
        HungarianAssigner([])


def test_only_valid_predictions_match() -> None:
    assigner = HungarianAssigner(COSTS)
    pred, gt = instances(6, 2, 0)
    scores, boxes = pred.scores[None, None], pred.bboxes[None, None]
    valid = torch.tensor([False, True, False, False, True, False])[None, None]
    matches = assigner.match(scores, boxes, [gt], [{"img_shape": (40, 40)}], valid)
    assert set(matches.pred[0].tolist()) == {1, 4}


@pytest.mark.parametrize(("queries", "objects", "each"), [(9, 2, 3), (5, 2, 2), (2, 3, 0), (4, 0, 0)])
def test_several_predictions_for_each(queries: int, objects: int, each: int) -> None:
    pred, gt = instances(queries, objects, 1)
    assigner = TopkHungarianAssigner(topk=3)
    matches = assigner.match(
        pred.scores[None, None], pred.bboxes[None, None], [gt], [{"img_shape": (40, 40)}]
    )
    assert matches.gt[0].bincount(minlength=objects).tolist() == [each] * objects
    assert len(set(matches.pred[0].tolist())) == each * objects
    if each and queries <= 5:
        cost = assigner.cost(pred, gt, {"img_shape": (40, 40)})
        found = float(cost[matches.pred[0], matches.gt[0]].sum())
        assert found == pytest.approx(least(cost.repeat_interleave(each, dim=1)), abs=1e-4)
