from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou, sigmoid_focal_loss

from toolkit.detection.models.task_modules import (
    BBoxL1Cost,
    BinaryFocalLossCost,
    ClassificationCost,
    CrossEntropyLossCost,
    DiceCost,
    FocalLossCost,
    IoUCost,
)
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

META = {"img_shape": (40, 60)}
LAYERS, IMAGES, QUERIES, OBJECTS, CLASSES = 2, 3, 5, 4, 6


def boxes(*shape: int) -> torch.Tensor:
    low = torch.rand(*shape, 2) * 20
    return torch.cat((low, low + torch.rand(*shape, 2) * 20 + 1), dim=-1)


def instances() -> tuple[InstanceData, InstanceData]:
    torch.manual_seed(0)
    pred = InstanceData(scores=torch.randn(QUERIES, CLASSES), bboxes=boxes(QUERIES))
    pred.masks = torch.randn(QUERIES, 3, 7)
    gt = InstanceData(labels=torch.randint(0, CLASSES, (OBJECTS,)), bboxes=boxes(OBJECTS))
    gt.masks = torch.rand(OBJECTS, 3, 7) > 0.5
    return pred, gt


def test_l1_of_relative_boxes() -> None:
    pred, gt = instances()
    size = torch.tensor([60.0, 40, 60, 40])
    expected = (pred.bboxes[:, None] / size - gt.bboxes / size).abs().sum(-1)
    torch.testing.assert_close(BBoxL1Cost(weight=2)(pred, gt, META), 2 * expected)
    both = [(b[:, :2] + b[:, 2:]) / 2 for b in (pred.bboxes, gt.bboxes)]
    sizes = [b[:, 2:] - b[:, :2] for b in (pred.bboxes, gt.bboxes)]
    expected = sum(((one[:, None] - two) / size[:2]).abs().sum(-1) for one, two in (both, sizes))
    torch.testing.assert_close(BBoxL1Cost("xywh")(pred, gt, META), expected)
    with pytest.raises(BuildError, match="cxcywh"):
        BBoxL1Cost("cxcywh")


def test_overlap_is_torchvisions() -> None:
    pred, gt = instances()
    torch.testing.assert_close(IoUCost(weight=3)(pred, gt), -3 * generalized_box_iou(pred.bboxes, gt.bboxes))


def test_class_costs() -> None:
    pred, gt = instances()
    torch.testing.assert_close(ClassificationCost()(pred, gt), -F.softmax(pred.scores, -1)[:, gt.labels])
    logits = pred.scores[:, gt.labels]
    losses = [sigmoid_focal_loss(logits, torch.full_like(logits, t)) for t in (1.0, 0.0)]
    torch.testing.assert_close(FocalLossCost(weight=2)(pred, gt), 2 * (losses[0] - losses[1]))


def test_mask_costs() -> None:
    pred, gt = instances()
    costs = {
        "focal": FocalLossCost(binary_input=True)(pred, gt),
        "dice": DiceCost(pred_act=True, eps=1.0)(pred, gt),
        "squares": DiceCost(pred_act=True, naive_dice=False)(pred, gt),
        "entropy": CrossEntropyLossCost()(pred, gt),
    }
    for q in range(QUERIES):
        for k in range(OBJECTS):
            logits, target = pred.masks[q], gt.masks[k].float()
            prob = logits.sigmoid()
            common = 2 * float((prob * target).sum())
            expected = {
                "focal": sigmoid_focal_loss(logits, target, reduction="mean"),
                "dice": 1 - (common + 1) / float(prob.sum() + target.sum() + 1),
                "squares": 1 - (common + 1e-3) / float((prob**2).sum() + (target**2).sum() + 1e-3),
                "entropy": F.binary_cross_entropy_with_logits(logits, target),
            }
            for name, value in expected.items():
                assert float(costs[name][q, k]) == pytest.approx(float(value), abs=1e-5), name
    with pytest.raises(BuildError, match="use_sigmoid"):
        CrossEntropyLossCost(use_sigmoid=False)


def test_words_of_a_text() -> None:
    pred, gt = instances()
    gt.positive_maps = torch.tensor([[1.0, 0, 0, 0, 0, 0]] * OBJECTS)
    gt.text_token_mask = torch.tensor([[True, True, False, False, False, True]] * OBJECTS)
    words = pred.scores[:, [0, 1, 5]]
    loss = sigmoid_focal_loss(words, torch.tensor([[1.0, 0, 0]] * QUERIES)).sum(1)
    torch.testing.assert_close(BinaryFocalLossCost()(pred, gt), loss[:, None].expand(-1, OBJECTS))


@pytest.mark.parametrize("cost", [BBoxL1Cost("xywh"), IoUCost(), ClassificationCost(), FocalLossCost()])
def test_layers_and_images_at_once(cost: Any) -> None:
    torch.manual_seed(0)
    assert cost.batched
    scores, found = torch.randn(LAYERS, IMAGES, QUERIES, CLASSES), boxes(LAYERS, IMAGES, QUERIES)
    labels, wanted = torch.randint(0, CLASSES, (IMAGES, OBJECTS)), boxes(IMAGES, OBJECTS)
    sizes = torch.tensor([[60.0, 40, 60, 40], [30, 20, 30, 20], [50, 50, 50, 50]])

    class Many:
        def __init__(self, **fields: Any) -> None:
            self.__dict__ = fields

    together = cost(
        Many(scores=scores, bboxes=found), Many(labels=labels, bboxes=wanted), {"box_scale": sizes[:, None]}
    )
    for layer in range(LAYERS):
        for i in range(IMAGES):
            pred = InstanceData(scores=scores[layer, i], bboxes=found[layer, i])
            gt = InstanceData(labels=labels[i], bboxes=wanted[i])
            meta = {"img_shape": (int(sizes[i, 1]), int(sizes[i, 0]))}
            torch.testing.assert_close(together[layer, i], cost(pred, gt, meta))
