"""Heads of more than logits and offsets: ATSS, GFL, VFNet, TOOD, FreeAnchor, YOLOF."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from toolkit.detection.models.dense_heads import Integral
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.logging import MessageHub
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

ANCHORS = {
    "type": "AnchorGenerator",
    "ratios": [1.0],
    "octave_base_scale": 4,
    "scales_per_octave": 1,
    "center_offset": 0.0,
    "strides": [8, 16],
}
ATSS = {"type": "ATSSAssigner", "topk": 4}
TRAIN_CFG = {"assigner": ATSS, "allowed_border": -1, "pos_weight": -1}
TEST_CFG = {
    "nms_pre": 50,
    "min_bbox_size": 0,
    "score_thr": 0.001,
    "nms": {"type": "nms", "iou_threshold": 0.6},
    "max_per_img": 10,
}
GIOU = {"type": "GIoULoss", "loss_weight": 2.0}


def make(kind: str, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    cfg: dict[str, Any] = {
        "num_classes": 3,
        "in_channels": 8,
        "feat_channels": 8,
        "anchor_generator": ANCHORS,
        "train_cfg": TRAIN_CFG,
        "test_cfg": TEST_CFG,
    }
    head = MODELS.build({"type": kind, **cfg, **kwargs})
    head.init_weights()
    return head


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6)]


def samples(empty: bool = False) -> list[DetDataSample]:
    found = []
    for boxes in ([[5.0, 5, 40, 40], [50, 20, 90, 60]], [[10.0, 8, 34, 38]]):
        meta = {"img_shape": (64, 96), "pad_shape": (64, 96), "scale_factor": (1.0, 1.0)}
        sample = DetDataSample(metainfo=meta)
        kept = torch.tensor(boxes)[: 0 if empty else None]
        sample.gt_instances = InstanceData(bboxes=kept, labels=torch.arange(len(kept)))
        found.append(sample)
    return found


HEADS: dict[str, dict[str, Any]] = {
    "VFNetHead": {
        "stacked_convs": 1,
        "strides": [8, 16],
        "regress_ranges": ((-1, 64), (64, 128)),
        "norm_cfg": None,
    },
    "TOODHead": {
        "stacked_convs": 2,
        "norm_cfg": {"type": "GN", "num_groups": 2},
        "loss_cls": {"type": "QualityFocalLoss", "use_sigmoid": True, "activated": True},
        "loss_bbox": GIOU,
        "train_cfg": {
            "initial_epoch": 4,
            "initial_assigner": ATSS,
            "assigner": {"type": "TaskAlignedAssigner", "topk": 5},
            "alpha": 1,
            "beta": 6,
            "allowed_border": -1,
            "pos_weight": -1,
        },
    },
    "GFLHead": {
        "stacked_convs": 1,
        "norm_cfg": None,
        "loss_cls": {"type": "QualityFocalLoss", "use_sigmoid": True},
        "loss_bbox": GIOU,
    },
    "ATSSHead": {
        "stacked_convs": 1,
        "norm_cfg": None,
        "loss_cls": {"type": "FocalLoss", "use_sigmoid": True},
        "loss_bbox": GIOU,
    },
    "FreeAnchorRetinaHead": {"stacked_convs": 1, "pre_anchor_topk": 6},
}


@pytest.mark.parametrize("kind", HEADS)
def test_trains_and_detects(kind: str) -> None:
    head = make(kind, **HEADS[kind])
    head.train()
    losses = head.loss(features(), samples())
    assert all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    assert all(param.grad is not None for param in head.parameters())
    head.eval()
    for result in head.predict(features(), samples()):
        assert (result.scores[:-1] >= result.scores[1:]).all()
        assert len(result) <= 10


@pytest.mark.parametrize("kind", HEADS)
def test_images_without_objects(kind: str) -> None:
    head = make(kind, **HEADS[kind])
    losses = head.loss(features(), samples(empty=True))
    assert all(torch.isfinite(value) for value in losses.values())
    for name, value in losses.items():
        if "cls" not in name and "negative" not in name:
            assert value == 0
    sum(losses.values()).backward()
    assert any(param.grad is not None for param in head.parameters())


def test_integral_is_the_mean_of_the_distribution() -> None:
    logits = torch.randn(3, 4 * 9)
    expected = (logits.view(3, 4, 9).softmax(-1) * torch.arange(9.0)).sum(-1)
    torch.testing.assert_close(Integral(8)(logits), expected)
    assert list(Integral(8).state_dict()) == ["project"]


def test_centerness_of_atss() -> None:
    head = make("ATSSHead", **HEADS["ATSSHead"])
    anchors = torch.tensor([[0.0, 0, 20, 20], [10, 0, 20, 20]])
    goals = torch.tensor([[0.0, 0, 20, 20], [0.0, 0, 20, 20]])
    found = head.centerness_target(anchors, goals)
    torch.testing.assert_close(found, torch.tensor([1.0, (5 / 15) ** 0.5]))


def test_star_of_vfnet_is_on_the_box() -> None:
    head = make("VFNetHead", **HEADS["VFNetHead"])
    sides = torch.tensor([16.0, 8.0, 24.0, 40.0]).view(1, 4, 1, 1).requires_grad_()
    offset = head.star_dcn_offset(sides, 0.1, 8).view(9, 2)
    taps = torch.tensor([[y, x] for y in (-1.0, 0, 1) for x in (-1.0, 0, 1)])
    expected = [[y, x] for y in (-1.0, 0, 5) for x in (-2.0, 0, 3)]
    torch.testing.assert_close(offset + taps, torch.tensor(expected))
    offset.sum().backward()
    torch.testing.assert_close(sides.grad.flatten().abs(), torch.full((4,), 0.1 * 3 / 8))
    with pytest.raises(BuildError, match="bbox_norm_type"):
        make("VFNetHead", **HEADS["VFNetHead"], bbox_norm_type="size")


def test_vfnet_finds_objects_as_fcos_too() -> None:
    head = make("VFNetHead", **HEADS["VFNetHead"], use_atss=False, use_vfl=False)
    losses = head.loss(features(), samples())
    assert losses["loss_bbox"] > 0
    head.eval()
    assert len(head(features())) == 2
    head.train()
    assert len(head(features())) == 3


def test_tood_aligns_after_the_first_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    head = make("TOODHead", **HEADS["TOODHead"])
    first = head.loss(features(), samples())
    hub = MessageHub.get_current_instance()
    monkeypatch.setitem(hub.runtime_info, "epoch", 4)
    later = head.loss(features(), samples())
    assert first["loss_cls"] != later["loss_cls"]
    scores, boxes = head(features())
    assert scores[0].min() >= 0
    assert scores[0].max() <= 1
    # an object's best prediction is worth its largest overlap
    sizes = [(8, 12), (4, 6)]
    flat = torch.cat([one.flatten(2) for one in scores], 2).transpose(1, 2)
    strides = torch.cat((torch.full((96,), 8.0), torch.full((24,), 16.0)))[:, None]
    whole = torch.cat([one.flatten(2) for one in boxes], 2).transpose(1, 2) * strides
    found = [InstanceData(scores=s.detach(), bboxes=b.detach()) for s, b in zip(flat, whole, strict=True)]
    gts, metas = [one.gt_instances for one in samples()], [one.metainfo for one in samples()]
    targets = head.get_targets(sizes, gts, metas, None, torch.device("cpu"), found)
    weight = head._alignment(targets, 3)
    overlaps = targets.of_objects([one.max_overlaps for one in targets.assigned])
    for owner in targets.pos_gt_inds.unique():
        mine = targets.pos_gt_inds == owner
        torch.testing.assert_close(weight[mine].max(), overlaps[mine].max(), rtol=1e-2, atol=1e-4)
    based = make("TOODHead", **HEADS["TOODHead"], anchor_type="anchor_based")
    assert based.loss(features(), samples())["loss_bbox"] > 0
    with pytest.raises(BuildError, match="anchor_type"):
        make("TOODHead", **HEADS["TOODHead"], anchor_type="free")


def test_free_anchor_is_least_for_perfect_predictions() -> None:
    head = make("FreeAnchorRetinaHead", **HEADS["FreeAnchorRetinaHead"])
    anchors = torch.cat(head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu"))
    gts = [one.gt_instances for one in samples()]
    scores, boxes = torch.full((2, 120, 3), -12.0), torch.zeros(2, 120, 4)
    before = None
    for perfect in (False, True):
        if perfect:
            for b, gt in enumerate(gts):
                for box, label in zip(gt.bboxes, gt.labels, strict=True):
                    best = int(((anchors - box).abs().sum(1)).argmin())
                    scores[b, best, label] = 12.0
                    boxes[b, best] = head.bbox_coder.encode(anchors[best], box)
        maps = [
            [x[:, :96].transpose(1, 2).reshape(2, -1, 8, 12), x[:, 96:].transpose(1, 2).reshape(2, -1, 4, 6)]
            for x in (scores, boxes)
        ]
        losses = head.loss_by_feat(*maps, gts, [{}, {}])
        if before is not None:
            assert losses["positive_bag_loss"] < 0.1 < before["positive_bag_loss"]
            assert losses["negative_bag_loss"] < 1e-3
        before = losses


def test_objectness_of_yolof_is_part_of_the_logits() -> None:
    head = make(
        "YOLOFHead",
        anchor_generator={"type": "AnchorGenerator", "ratios": [1.0], "scales": [2, 4], "strides": [16]},
        loss_cls={"type": "FocalLoss", "use_sigmoid": True},
        loss_bbox={"type": "GIoULoss"},
        reg_decoded_bbox=True,
        train_cfg={
            "assigner": {"type": "UniformAssigner", "pos_ignore_thr": 0.15, "neg_ignore_thr": 0.7},
            "allowed_border": -1,
            "pos_weight": -1,
        },
    ).eval()
    x = features()[1]
    scores, _ = head.forward_single(x)
    classes = head.cls_score(head.cls_subnet(x)).view(2, 2, 3, 4, 6).sigmoid()
    sure = head.object_pred(head.bbox_subnet(x)).view(2, 2, 1, 4, 6).sigmoid()
    torch.testing.assert_close(F.sigmoid(scores).view(2, 2, 3, 4, 6), classes * sure, rtol=1e-4, atol=1e-6)
    losses = head.loss([x], samples())
    assert losses["loss_bbox"] > 0
    sum(losses.values()).backward()
    assert head.bbox_pred.weight.grad is not None
    assert head.loss([x], samples(empty=True))["loss_bbox"] == 0
