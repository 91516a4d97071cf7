from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from toolkit.detection.models.dense_heads import FoveaHead
from toolkit.structures import InstanceData

SIZES = [(8, 12), (4, 6)]
BOXES = [[5.0, 5, 40, 40], [10, 10, 30, 26], [50, 20, 90, 60]]


def make(**kwargs: Any) -> FoveaHead:
    torch.manual_seed(0)
    return FoveaHead(
        3,
        8,
        feat_channels=8,
        stacked_convs=1,
        strides=(8, 16),
        base_edge_list=(16, 32),
        scale_ranges=((1, 32), (20, 64)),
        loss_bbox={"type": "SmoothL1Loss", "beta": 0.11},
        test_cfg={"nms_pre": 50, "score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 0.6}},
        **kwargs,
    )


def painted(boxes: list[list[float]]) -> tuple[list[int], list[list[float]]]:
    """Labels of all points and targets of objects: large boxes painted first, 0.8 of each."""
    labels, targets = [], []
    for (height, width), stride, unit, (low, high) in zip(
        SIZES, (8, 16), (16, 32), ((1, 32), (20, 64)), strict=True
    ):
        level = [[-1] * width for _ in range(height)]
        order = sorted(
            range(len(boxes)), key=lambda i: -(boxes[i][2] - boxes[i][0]) * (boxes[i][3] - boxes[i][1])
        )
        for index in order:
            x1, y1, x2, y2 = boxes[index]
            if not low <= math.sqrt((x2 - x1) * (y2 - y1)) <= high:
                continue
            spans = []
            for a, b, count in ((x1, x2, width), (y1, y2, height)):
                half = (b - a) / 2 / stride
                first = math.ceil(a / stride + 0.2 * half - 0.5)
                last = math.floor(a / stride + 1.8 * half - 0.5)
                spans.append(range(min(max(first, 0), count - 1), min(max(last, 0), count - 1) + 1))
            for i in spans[1]:
                for j in spans[0]:
                    level[i][j] = index
        for i, row in enumerate(level):
            for j, index in enumerate(row):
                labels.append(index % 3 if index >= 0 else 3)
                if index >= 0:
                    x1, y1, x2, y2 = boxes[index]
                    x, y = (j + 0.5) * stride, (i + 0.5) * stride
                    sides = (x - x1, y - y1, x2 - x, y2 - y)
                    targets.append([math.log(min(max(side / unit, 1 / 16), 16)) for side in sides])
    return labels, targets


def test_targets_are_those_of_painting() -> None:
    batch = [BOXES, BOXES[:1], []]
    gts = [
        InstanceData(bboxes=torch.tensor(one).reshape(-1, 4), labels=torch.arange(len(one)) % 3)
        for one in batch
    ]
    targets, goal = make(sigma=0.8).get_targets(SIZES, gts, torch.device("cpu"))
    expected = [painted(one) for one in batch]
    assert targets.labels.tolist() == [labels for labels, _ in expected]
    sides = [side for _, targets in expected for side in targets]
    assert len(sides) > 8
    torch.testing.assert_close(goal, torch.tensor(sides), rtol=1e-5, atol=1e-5)


def test_losses_and_boxes() -> None:
    head = make()
    feats = [torch.randn(1, 8, *size) for size in SIZES]
    gt = InstanceData(bboxes=torch.tensor(BOXES), labels=torch.arange(3))
    cls, reg = head(feats)
    losses = head.loss_by_feat(cls, reg, [gt], [{}])
    sum(losses.values()).backward()
    empty = head.loss_by_feat(cls, reg, [gt[:0]], [{}])
    assert empty["loss_bbox"] == 0
    (found,) = head.predict_by_feat(cls, reg, batch_img_metas=[{"img_shape": (64, 96)}])
    assert found.bboxes.min() >= 0
    # the last pixel, not the border
    assert found.bboxes[:, 2].max() <= 95
    assert found.bboxes[:, 3].max() <= 63


@pytest.mark.parametrize("with_deform", [False, True])
def test_classes_may_look_at_aligned_features(with_deform: bool) -> None:
    head = make(with_deform=with_deform, deform_groups=2)
    x = torch.randn(1, 8, 5, 5)
    cls, reg = head.forward_single(x)
    feat = head.feature_adaption(x, reg.exp()) if with_deform else x
    for layer in head.cls_convs:
        feat = layer(feat)
    torch.testing.assert_close(cls, head.conv_cls(feat))
