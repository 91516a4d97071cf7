from __future__ import annotations

import math

import pytest
import torch
import torchvision
from torchvision.ops import box_iou

from toolkit.detection.models.layers import batched_nms, multiclass_nms, soft_nms
from toolkit.detection.models.layers.nms import moved_apart, nms
from toolkit.utils import BuildError


def crowd(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat((low, low + 10 + torch.rand(count, 2, generator=generator) * 20), dim=1)
    return boxes, torch.rand(count, generator=generator), torch.randint(0, 4, (count,), generator=generator)


def test_equals_torchvisions_batched_nms() -> None:
    boxes, scores, groups = crowd(300)
    dets, keep = batched_nms(boxes, scores, groups, {"type": "nms", "iou_threshold": 0.4})
    expected = torchvision.ops.batched_nms(boxes, scores, groups, 0.4)
    assert torch.equal(keep, expected)
    torch.testing.assert_close(dets, torch.cat((boxes, scores[:, None]), 1)[expected])


def test_groups_that_are_moved_apart_suppress_as_if_alone() -> None:
    boxes, scores, groups = crowd(300)
    boxes = boxes - 40  # some lie left of and above the image
    keep = torchvision.ops.nms(moved_apart(boxes, groups), scores, 0.4)
    assert torch.equal(keep, batched_nms(boxes, scores, groups, {"iou_threshold": 0.4})[1])


@pytest.mark.parametrize("agnostic", [True, False])
def test_equal_scores_are_ranked_as_all_are_sorted(agnostic: bool) -> None:
    # so MMDetection's operators do it; `Tensor.sort` is not stable, and scores that saturate are many
    boxes, scores, groups = crowd(300)
    scores[scores > 0.5] = 1
    expected: list[int] = []
    for i in scores.sort(descending=True).indices.tolist():
        rivals = [j for j in expected if agnostic or groups[j] == groups[i]]
        if not rivals or box_iou(boxes[i : i + 1], boxes[rivals]).max() <= 0.4:
            expected.append(i)
    cfg = {"type": "nms", "iou_threshold": 0.4, "class_agnostic": agnostic}
    assert batched_nms(boxes, scores, groups, cfg)[1].tolist() == expected
    if agnostic:
        assert nms(boxes, scores, 0.4)[1].tolist() == expected


def test_options() -> None:
    boxes, scores, groups = crowd(200)
    agnostic = {"type": "nms", "iou_threshold": 0.4, "class_agnostic": True, "max_num": 7}
    keep = batched_nms(boxes, scores, groups, agnostic)[1]
    assert torch.equal(keep, torchvision.ops.nms(boxes, scores, 0.4)[:7])
    assert len(batched_nms(boxes, scores, groups, None)[1]) == 200
    assert batched_nms(boxes[:0], scores[:0], groups[:0], {"iou_threshold": 0.4})[0].shape == (0, 5)
    with pytest.raises(BuildError, match="soft_nms"):
        batched_nms(boxes, scores, groups, {"type": "softnms"})


def soft_by_the_paper(
    boxes: torch.Tensor, scores: torch.Tensor, threshold: float, sigma: float, least: float, gaussian: bool
) -> list[tuple[int, float]]:
    """Figure 2 of Soft-NMS, one pair at a time."""
    left = {i: float(score) for i, score in enumerate(scores)}
    kept = []
    while left:
        best = max(left, key=lambda i: left[i])
        kept.append((best, left.pop(best)))
        for i in list(left):
            iou = float(box_iou(boxes[best : best + 1], boxes[i : i + 1]))
            left[i] *= math.exp(-iou * iou / sigma) if gaussian else 1 - iou if iou > threshold else 1
            if left[i] < least:
                del left[i]
    return kept


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_nms_follows_the_paper(method: str) -> None:
    boxes, scores, _ = crowd(40, 1)
    found, keep = soft_nms(boxes, scores, iou_threshold=0.3, sigma=0.5, min_score=0.05, method=method)
    expected = soft_by_the_paper(boxes, scores, 0.3, 0.5, 0.05, method == "gaussian")
    # the first step may start below the least score
    expected = [one for one in expected if one[1] >= 0.05]
    assert keep.tolist() == [i for i, _ in expected]
    torch.testing.assert_close(found, torch.tensor([score for _, score in expected]))


def test_naive_soft_nms_is_hard() -> None:
    boxes, scores, _ = crowd(100, 2)
    keep = soft_nms(boxes, scores, iou_threshold=0.4, min_score=1e-6, method="naive")[1]
    assert torch.equal(keep, torchvision.ops.nms(boxes, scores, 0.4))
    assert soft_nms(boxes[:0], scores[:0])[1].shape == (0,)
    with pytest.raises(BuildError, match="cubic"):
        soft_nms(boxes, scores, method="cubic")


def test_soft_nms_in_groups_is_ordered_by_the_new_scores() -> None:
    boxes, scores, groups = crowd(120, 3)
    dets, keep = batched_nms(
        boxes, scores, groups, {"type": "soft_nms", "iou_threshold": 0.3, "min_score": 0.05}
    )
    assert (dets[1:, 4] <= dets[:-1, 4]).all()
    for group in range(4):
        mine = (groups == group).nonzero().squeeze(1)
        alone = mine[soft_nms(boxes[mine], scores[mine], 0.3, min_score=0.05)[1]]
        assert set(alone.tolist()) == set(keep[groups[keep] == group].tolist())


@pytest.mark.parametrize("boxes_a_class", [False, True])
def test_multiclass(boxes_a_class: bool) -> None:
    boxes, _, _ = crowd(50, 4)
    torch.manual_seed(0)
    scores = torch.rand(50, 4).softmax(1)
    table = boxes.repeat(1, 3) + (torch.arange(3).repeat_interleave(4) if boxes_a_class else 0)
    given = table if boxes_a_class else boxes
    factors = torch.rand(50)
    cfg = {"type": "nms", "iou_threshold": 0.5}
    dets, labels, inds = multiclass_nms(given, scores, 0.2, cfg, 20, factors, return_inds=True)
    flat_boxes, flat_scores = table.view(-1, 4), (scores[:, :3] * factors[:, None]).flatten()
    passed = (scores[:, :3] > 0.2).flatten().nonzero().squeeze(1)
    keep = torchvision.ops.batched_nms(flat_boxes[passed], flat_scores[passed], passed % 3, 0.5)[:20]
    assert torch.equal(inds, passed[keep])
    assert torch.equal(labels, passed[keep] % 3)
    torch.testing.assert_close(dets, torch.cat((flat_boxes, flat_scores[:, None]), 1)[passed[keep]])
