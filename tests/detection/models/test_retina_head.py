from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import batched_nms, box_iou, sigmoid_focal_loss

from toolkit.detection.models.dense_heads import AnchorHead
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

ANCHORS = {
    "type": "AnchorGenerator",
    "octave_base_scale": 3,
    "scales_per_octave": 2,
    "ratios": [0.5, 1.0],
    "strides": [8, 16],
}
ASSIGNER = {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0}
TRAIN_CFG = {
    "assigner": ASSIGNER,
    "allowed_border": -1,
    "pos_weight": -1,
    "sampler": {"type": "PseudoSampler"},
}
TEST_CFG = {
    "nms_pre": 50,
    "min_bbox_size": 0,
    "score_thr": 0.05,
    "nms": {"type": "nms", "iou_threshold": 0.5},
    "max_per_img": 20,
}
FOCAL = {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0}


def make(kind: str = "RetinaHead", **kwargs: Any) -> Any:
    torch.manual_seed(0)
    cfg: dict[str, Any] = {
        "num_classes": 3,
        "in_channels": 8,
        "feat_channels": 8,
        "stacked_convs": 1,
        "anchor_generator": ANCHORS,
        "loss_cls": FOCAL,
        "loss_bbox": {"type": "L1Loss"},
        "train_cfg": TRAIN_CFG,
        "test_cfg": TEST_CFG,
    }
    head = MODELS.build({"type": kind, **cfg, **kwargs})
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6)]


def samples() -> list[DetDataSample]:
    """Two images; the second is smaller, so that some anchors are outside of it."""
    found = []
    for shape, pad, boxes in (
        ((64, 96), (64, 96), [[5.0, 5, 40, 40], [50, 20, 90, 60]]),
        ((50, 60), (56, 64), [[5.0, 5, 40, 40]]),
    ):
        sample = DetDataSample(metainfo={"img_shape": shape, "pad_shape": pad, "scale_factor": (1.0, 1.0)})
        sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.arange(len(boxes)) + 1)
        found.append(sample)
    return found


def rows(maps: list[torch.Tensor], image: int, channels: int) -> torch.Tensor:
    return torch.cat([one[image].permute(1, 2, 0).reshape(-1, channels) for one in maps])


def test_losses_are_of_all_anchors_but_the_ignored() -> None:
    """The loss as the paper has it, an anchor at a time."""
    head = make()
    scores, boxes = head(features())
    anchors = torch.cat(head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu"))
    loss_cls, loss_bbox, objects = torch.tensor(0.0), torch.tensor(0.0), 0
    for b, sample in enumerate(samples()):
        flags = head.prior_generator.valid_flags([(8, 12), (4, 6)], sample.metainfo["pad_shape"], "cpu")
        valid = torch.cat(flags)
        overlaps = box_iou(sample.gt_instances.bboxes, anchors).masked_fill(~valid, -1)
        most, owner = overlaps.max(0)
        positive = most >= 0.5
        for g, row in enumerate(overlaps):  # each object has its best anchor
            owner[row == row.max()], positive[row == row.max()] = g, True
        target = torch.zeros(len(anchors), 3)
        target[positive, sample.gt_instances.labels[owner[positive]]] = 1
        counts = valid & (positive | (most < 0.4))
        loss_cls = loss_cls + sigmoid_focal_loss(rows(scores, b, 3), target)[counts].sum()
        goal = head.bbox_coder.encode(anchors[positive], sample.gt_instances.bboxes[owner[positive]])
        loss_bbox = loss_bbox + (rows(boxes, b, 4)[positive] - goal).abs().sum()
        objects += int(positive.sum())
    losses = head.loss(features(), samples())
    torch.testing.assert_close(losses["loss_cls"], loss_cls / objects)
    torch.testing.assert_close(losses["loss_bbox"], loss_bbox / objects)


def test_images_without_objects_train_background() -> None:
    head = make()
    empty = samples()
    for sample in empty:
        sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    losses = head.loss(features(), empty)
    assert losses["loss_bbox"] == 0
    scores = head(features())[0]
    valid = torch.cat(head.prior_generator.valid_flags([(8, 12), (4, 6)], (56, 64), "cpu"))
    flat = torch.cat((rows(scores, 0, 3), rows(scores, 1, 3)[valid]))
    expected = sigmoid_focal_loss(flat, torch.zeros_like(flat), reduction="sum") / 2
    torch.testing.assert_close(losses["loss_cls"], expected)
    sum(losses.values()).backward()
    assert all(param.grad is not None for param in head.parameters())


def test_weight_of_objects_and_loss_of_decoded_boxes() -> None:
    plain = make().loss(features(), samples())
    heavy = make(train_cfg={**TRAIN_CFG, "pos_weight": 3.0}).loss(features(), samples())
    assert heavy["loss_cls"] > plain["loss_cls"]
    assert heavy["loss_bbox"] == plain["loss_bbox"]
    decoded = make(reg_decoded_bbox=True, loss_bbox={"type": "GIoULoss"})
    assert 0 < decoded.loss(features(), samples())["loss_bbox"] < 2 * 4


def test_losses_that_look_at_a_level_together() -> None:
    head = make(loss_cls={"type": "GHMC", "use_sigmoid": True}, loss_bbox={"type": "GHMR"})
    losses = head.loss(features(), samples())
    assert [len(value) for value in losses.values()] == [2, 2]
    # a level alone gives its own part
    sizes = [(8, 12), (4, 6)]
    targets = head.get_targets(
        sizes,
        [one.gt_instances for one in samples()],
        [one.metainfo for one in samples()],
        None,
        torch.device("cpu"),
    )
    first = torch.arange(8 * 12 * 4)
    inds = torch.cat((first, first + (8 * 12 + 4 * 6) * 4))
    scores = torch.cat([rows(head(features())[0][:1], b, 3) for b in range(2)])
    expected = head.loss_cls(scores, targets.labels[inds], targets.label_weights[inds])
    torch.testing.assert_close(losses["loss_cls"][0], expected)


@pytest.mark.parametrize("nms_pre", [50, 7, -1])
def test_detections(nms_pre: int) -> None:
    cfg = {**TEST_CFG, "nms_pre": nms_pre}
    head = make(test_cfg=cfg)
    scores, boxes = head(features())
    anchors = head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu")
    results = head.predict(features(), samples())
    for b, (sample, result) in enumerate(zip(samples(), results, strict=True)):
        found: list[tuple[torch.Tensor, ...]] = []
        for level in range(2):
            probs = rows(scores[level : level + 1], b, 3).sigmoid().flatten()
            best = probs.argsort(descending=True)[: nms_pre if nms_pre > 0 else None]
            best = best[probs[best] > 0.05]
            regressed = rows(boxes[level : level + 1], b, 4)[best // 3]
            shape = sample.metainfo["img_shape"]
            decoded = head.bbox_coder.decode(anchors[level][best // 3], regressed, max_shape=shape)
            found.append((decoded, probs[best], best % 3))
        decoded, probs, classes = (torch.cat(one) for one in zip(*found, strict=True))
        big = (decoded[:, 2:] > decoded[:, :2]).all(1)
        decoded, probs, classes = decoded[big], probs[big], classes[big]
        keep = batched_nms(decoded, probs, classes, 0.5)[:20]
        torch.testing.assert_close(result.scores, probs[keep])
        torch.testing.assert_close(result.bboxes, decoded[keep])
        assert result.labels.tolist() == classes[keep].tolist()


def test_soft_nms_and_no_classes_apart() -> None:
    maps = make()(features())
    metas = [one.metainfo for one in samples()]
    head = make()
    soft = head.predict_by_feat(*maps, batch_img_metas=metas, cfg={**TEST_CFG, "nms": {"type": "soft_nms"}})
    hard = head.predict_by_feat(*maps, batch_img_metas=metas)
    assert len(soft[0]) >= len(hard[0])
    nms = {"type": "nms", "iou_threshold": 0.5, "class_agnostic": True}
    apart = head.predict_by_feat(*maps, batch_img_metas=metas, cfg={**TEST_CFG, "nms": nms})[0].bboxes
    overlaps = box_iou(apart, apart)
    assert (overlaps - torch.eye(len(apart))).max() <= 0.5


def test_separate_norms_share_convolutions() -> None:
    head = make("RetinaSepBNHead", num_ins=2, norm_cfg={"type": "BN"})
    assert head.cls_convs[0][0].conv is head.cls_convs[1][0].conv
    assert head.cls_convs[0][0].bn is not head.cls_convs[1][0].bn
    keys = head.state_dict()
    assert "cls_convs.1.0.bn.running_mean" in keys
    assert "reg_convs.1.0.conv.weight" in keys
    head.init_weights()
    assert head.retina_cls.bias[0].item() == pytest.approx(-4.595, abs=1e-3)
    assert isinstance(head, AnchorHead)
    assert len(head(features())[0]) == 2
    with pytest.raises(BuildError, match="initialises itself"):
        make("RetinaSepBNHead", num_ins=2, init_cfg={"type": "Normal"})


def test_initialisation_is_of_rare_objects() -> None:
    head = make()
    head.init_weights()
    assert F.sigmoid(head.retina_cls.bias[0]).item() == pytest.approx(0.01)
    with pytest.raises(BuildError, match="stacked_convs"):
        make(stacked_convs=-1)
