from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from toolkit.detection.models.dense_heads import FCOSHead
from toolkit.detection.models.dense_heads.point_targets import padded_gts
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData

RANGES = ((-1, 24), (24, 1e8))
STRIDES = (8, 16)
TEST_CFG = {"nms_pre": 50, "score_thr": 0.02, "nms": {"type": "nms", "iou_threshold": 0.6}, "max_per_img": 20}


def make(**kwargs: Any) -> FCOSHead:
    torch.manual_seed(0)
    head = FCOSHead(
        3,
        8,
        feat_channels=8,
        stacked_convs=1,
        strides=STRIDES,
        regress_ranges=RANGES,
        norm_cfg={"type": "GN", "num_groups": 2},
        loss_bbox={"type": "GIoULoss"},
        test_cfg=TEST_CFG,
        **kwargs,
    )
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head


def samples(*boxes: list[list[float]]) -> list[DetDataSample]:
    out = []
    for one in boxes:
        sample = DetDataSample(metainfo={"img_shape": (64, 96), "scale_factor": (2.0, 2.0)})
        tensor = torch.tensor(one).reshape(-1, 4)
        sample.gt_instances = InstanceData(bboxes=tensor, labels=torch.arange(len(tensor)) % 3)
        out.append(sample)
    return out


BATCH = ([[5.0, 5, 40, 40], [10, 10, 30, 26], [50, 20, 90, 60]], [[0.0, 0, 96, 64]])


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 8, 64 // stride, 96 // stride) for stride in STRIDES]


def owner_of(x: float, y: float, level: int, boxes: list[list[float]], radius: float | None) -> int | None:
    """The smallest box that a point may stand for, as the paper says it."""
    best, smallest = None, 1e8
    low, high = RANGES[level]
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        sides = (x - x1, y - y1, x2 - x, y2 - y)
        inside = min(sides) > 0
        if radius is not None:
            reach = radius * STRIDES[level]
            inside = inside and abs(x - (x1 + x2) / 2) < reach and abs(y - (y1 + y2) / 2) < reach
        area = (x2 - x1) * (y2 - y1)
        if inside and low <= max(sides) <= high and area < smallest:
            best, smallest = index, area
    return best


@pytest.mark.parametrize("norm_on_bbox", [False, True])
@pytest.mark.parametrize("radius", [None, 1.5])
def test_losses_are_those_of_the_paper(norm_on_bbox: bool, radius: float | None) -> None:
    head = make(norm_on_bbox=norm_on_bbox, center_sampling=radius is not None, centerness_on_reg=norm_on_bbox)
    cls, reg, ctr = head(features())
    logits, goals, boxes, targets, centers, central = [], [], [], [], [], []
    for b, gts in enumerate(BATCH):
        for level, stride in enumerate(STRIDES):
            for i in range(cls[level].shape[2]):
                for j in range(cls[level].shape[3]):
                    x, y = (j + 0.5) * stride, (i + 0.5) * stride
                    logits.append(cls[level][b, :, i, j])
                    owner = owner_of(x, y, level, gts, radius)
                    goals.append(torch.zeros(3))
                    if owner is None:
                        continue
                    goals[-1][owner % 3] = 1
                    x1, y1, x2, y2 = gts[owner]
                    left, top, right, bottom = x - x1, y - y1, x2 - x, y2 - y
                    unit = stride if norm_on_bbox else 1
                    d = reg[level][b, :, i, j]
                    boxes.append(torch.stack((-d[0], -d[1], d[2], d[3])))
                    targets.append(torch.tensor([-left, -top, right, bottom]) / unit)
                    across = min(left, right) / max(left, right)
                    central.append((across * min(top, bottom) / max(top, bottom)) ** 0.5)
                    centers.append(ctr[level][b, 0, i, j])
    assert len(boxes) > 5
    losses = head.loss(features(), samples(*BATCH))
    weight = torch.tensor(central)
    expected = sigmoid_focal_loss(torch.stack(logits), torch.stack(goals), reduction="sum") / len(boxes)
    torch.testing.assert_close(losses["loss_cls"], expected)
    each = generalized_box_iou_loss(torch.stack(boxes), torch.stack(targets))
    torch.testing.assert_close(
        losses["loss_bbox"], (each * weight).sum() / weight.sum(), rtol=1e-4, atol=1e-5
    )
    expected = F.binary_cross_entropy_with_logits(torch.stack(centers), weight)
    torch.testing.assert_close(losses["loss_centerness"], expected)


def test_distances_are_in_strides_while_training_and_in_pixels_otherwise() -> None:
    head = make(norm_on_bbox=True)
    training = head.train()(features())[1]
    for one, other, stride in zip(training, head.eval()(features())[1], STRIDES, strict=True):
        torch.testing.assert_close(other, one * stride)
        assert one.min() >= 0


def test_images_without_ground_truth_train_as_background() -> None:
    head = make()
    losses = head.loss(features(), samples([], []))
    assert losses["loss_bbox"] == losses["loss_centerness"] == 0
    sum(losses.values()).backward()
    assert all(param.grad is not None for param in head.parameters())


def test_ground_truths_are_padded_to_one_table() -> None:
    gts = [sample.gt_instances for sample in samples(*BATCH, [])]
    boxes, labels = padded_gts(gts)
    assert boxes.shape == (3, 3, 4)
    assert labels.tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 0]]
    assert boxes[1, 1:].abs().sum() == boxes[2].abs().sum() == 0


def test_scores_are_products_with_centerness() -> None:
    head = make().eval()
    (cls, reg, ctr), batch = head(features()), samples(*BATCH)
    found = head.predict(features(), batch, rescale=True)
    for b, result in enumerate(found):
        rows = [torch.cat([x[b].permute(1, 2, 0).flatten(0, 1) for x in maps]) for maps in (cls, reg, ctr)]
        scores = (rows[0].sigmoid() * rows[2].sigmoid()).flatten()
        assert len(result) > 3
        torch.testing.assert_close(result.scores[0], scores.max())
        place, label = divmod(int(scores.argmax()), 3)
        assert result.labels[0] == label
        points = torch.cat(head.prior_generator.grid_priors([x.shape[-2:] for x in cls], device="cpu"))
        d, (x, y) = rows[1][place], points[place]
        box = torch.stack((x - d[0], y - d[1], x + d[2], y + d[3])).clamp(min=0)
        limit = torch.tensor([96.0, 64, 96, 64])
        torch.testing.assert_close(result.bboxes[0], torch.minimum(box, limit) / 2)


def test_checkpoints_with_older_names_load() -> None:
    head = make()
    state = {key.replace("conv_cls", "fcos_cls"): value for key, value in head.state_dict().items()}
    state = {key.replace("conv_centerness", "fcos_centerness"): value for key, value in state.items()}
    other = make()
    torch.nn.init.zeros_(other.conv_cls.weight)
    other.load_state_dict(state)
    torch.testing.assert_close(other.conv_cls.weight, head.conv_cls.weight)


def test_predictor_of_another_kind_and_deformable_towers() -> None:
    head = MODELS.build(
        {
            "type": "FCOSHead",
            "num_classes": 4,
            "in_channels": 8,
            "feat_channels": 32,
            "stacked_convs": 2,
            "dcn_on_last_conv": True,
            "conv_bias": True,
            "cls_predictor_cfg": {"type": "Conv2d"},
        }
    )
    assert head.conv_cls.kernel_size == (1, 1)
    assert type(head.cls_convs[1].conv).__name__ == "ModulatedDeformConv2dPack"
    assert head.cls_convs[0].conv.bias is not None
