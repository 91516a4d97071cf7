from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import batched_nms

from toolkit.detection.models.dense_heads import AnchorHead, RPNHead
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError, TrainingError

ANCHORS = {"type": "AnchorGenerator", "scales": [4], "ratios": [0.5, 1.0, 2.0], "strides": [8, 16]}
ASSIGNER = {"type": "MaxIoUAssigner", "pos_iou_thr": 0.6, "neg_iou_thr": 0.3, "min_pos_iou": 0.2}
TEST_CFG = {
    "nms_pre": 60,
    "max_per_img": 30,
    "nms": {"type": "nms", "iou_threshold": 0.6},
    "min_bbox_size": 0,
}


def sample(
    shape: tuple[int, int] = (64, 96), pad: tuple[int, int] = (64, 96), boxes: Any = None
) -> DetDataSample:
    out = DetDataSample(metainfo={"img_shape": shape, "pad_shape": pad, "scale_factor": (2.0, 0.5)})
    boxes = torch.tensor([[5.0, 5, 40, 40], [50, 20, 90, 60]]) if boxes is None else boxes
    out.gt_instances = InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)))
    return out


def make(kind: str = "AnchorHead", sampler: Any = None, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    train_cfg = {"assigner": ASSIGNER, "allowed_border": -1, "pos_weight": kwargs.pop("pos_weight", -1)}
    if sampler:
        train_cfg["sampler"] = sampler
    cfg = {"type": kind, "in_channels": 8, "feat_channels": 8, "anchor_generator": ANCHORS, **kwargs}
    if kind == "AnchorHead":
        cfg.setdefault("num_classes", 3)
    head = MODELS.build({**cfg, "train_cfg": train_cfg, "test_cfg": cfg.get("test_cfg", TEST_CFG)})
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6)]


def dense_losses(
    head: AnchorHead, feats: list[torch.Tensor], samples: list[DetDataSample], pos_weight: float
) -> Any:
    """The losses as MMDetection writes them: all anchors, most of them with weight 0."""
    scores, boxes = head(feats)
    anchors = torch.cat(head.prior_generator.grid_priors([f.shape[-2:] for f in feats], device="cpu"))
    loss_cls, loss_bbox, avg_factor = 0.0, 0.0, 0
    for b, one in enumerate(samples):
        flags = torch.cat(
            head.prior_generator.valid_flags([f.shape[-2:] for f in feats], one.metainfo["pad_shape"], "cpu")
        )
        result = head.assigner.assign(InstanceData(priors=anchors[flags]), one.gt_instances)
        inds = torch.full((len(anchors),), -1)
        inds[flags] = result.gt_inds
        cls = torch.cat([s[b].permute(1, 2, 0).reshape(-1, head.cls_out_channels) for s in scores])
        reg = torch.cat([p[b].permute(1, 2, 0).reshape(-1, 4) for p in boxes])
        target = torch.zeros_like(cls)
        pos = inds > 0
        target[pos, one.gt_instances.labels[inds[pos] - 1]] = 1
        weight = (inds >= 0).float() + pos * (pos_weight - 1)
        each = F.binary_cross_entropy_with_logits(cls, target, reduction="none").sum(1)
        loss_cls = loss_cls + (each * weight).sum()
        goal = head.bbox_coder.encode(anchors[pos], one.gt_instances.bboxes[inds[pos] - 1])
        loss_bbox = loss_bbox + F.smooth_l1_loss(reg[pos], goal, beta=1 / 9, reduction="sum")
        avg_factor += max(int(pos.sum()), 1) + max(int((inds == 0).sum()), 1)
    return loss_cls / avg_factor, loss_bbox / avg_factor


@pytest.mark.parametrize("pos_weight", [-1, 2.5])
def test_losses_are_those_over_all_anchors(pos_weight: float) -> None:
    everything = {"type": "RandomSampler", "num": 10**6, "pos_fraction": 0.5, "add_gt_as_proposals": False}
    head = make(sampler=everything, pos_weight=pos_weight)
    # the second image is smaller than the batch, so that some anchors are not valid
    samples = [sample(), sample((50, 60), (56, 64), torch.tensor([[5.0, 5, 40, 40]]))]
    losses = head.loss(features(), samples)
    loss_cls, loss_bbox = dense_losses(head, features(), samples, max(pos_weight, 1.0))
    torch.testing.assert_close(losses["loss_cls"], loss_cls)
    torch.testing.assert_close(losses["loss_bbox"], loss_bbox)


def test_loss_of_decoded_boxes() -> None:
    head = make(reg_decoded_bbox=True, loss_bbox={"type": "L1Loss"})
    sizes = [(8, 12), (4, 6)]
    gt, meta = [sample().gt_instances], [sample().metainfo]
    targets = head.get_targets(sizes, gt, meta, None, torch.device("cpu"))
    assert set(map(tuple, targets.pos_gt_bboxes.tolist())) == set(map(tuple, gt[0].bboxes.tolist()))
    assert head.loss(features(), [sample(), sample()])["loss_bbox"] > 0


def test_image_without_objects() -> None:
    head = make("RPNHead")
    losses = head.loss(features(), [sample(boxes=torch.zeros(0, 4)) for _ in range(2)])
    assert losses["loss_rpn_bbox"] == 0
    assert losses["loss_rpn_cls"] > 0
    sum(losses.values()).backward()
    assert all(param.grad is not None for param in head.parameters())


def test_proposals_of_each_image_one_level_at_a_time() -> None:
    head = make("RPNHead")
    samples = [sample(), sample((50, 60), (56, 64))]
    scores, boxes = head(features())
    results = head.predict(features(), samples)
    anchors = head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu")
    for b, (one, result) in enumerate(zip(samples, results, strict=True)):
        found, probs, levels = [], [], []
        for level in range(2):
            prob = scores[level][b].permute(1, 2, 0).reshape(-1).sigmoid()
            best = prob.argsort(descending=True)[:60]
            deltas = boxes[level][b].permute(1, 2, 0).reshape(-1, 4)[best]
            found.append(head.bbox_coder.decode(anchors[level][best], deltas, one.metainfo["img_shape"]))
            probs.append(prob[best])
            levels.append(torch.full((len(best),), level))
        found, probs, levels = torch.cat(found), torch.cat(probs), torch.cat(levels)
        big = ((found[:, 2:] - found[:, :2]) > 0).all(1)
        found, probs, levels = found[big], probs[big], levels[big]
        keep = batched_nms(found, probs, levels, 0.6)[:30]
        torch.testing.assert_close(result.bboxes, found[keep])
        torch.testing.assert_close(result.scores, probs[keep])
        assert (result.labels == 0).all()


@pytest.mark.parametrize("use_sigmoid", [True, False])
def test_detections_of_a_one_stage_head(use_sigmoid: bool) -> None:
    cfg = {**TEST_CFG, "score_thr": 0.3}
    head = make(loss_cls={"type": "CrossEntropyLoss", "use_sigmoid": use_sigmoid}, test_cfg=cfg)
    results = head.predict(features(), [sample(), sample()], rescale=True)
    for result in results:
        assert len(result) > 0
        assert (result.scores > 0.3).all()
        assert (result.scores[1:] <= result.scores[:-1]).all()
        assert set(result.labels.tolist()) <= {0, 1, 2}
        # scale factor is (2, 0.5): boxes are given in pixels of the original image
        assert result.bboxes[:, 2].max() <= 48
        assert result.bboxes[:, 3].max() > 64
    maps = head(features())
    factors = [torch.full((2, 3, *x.shape[-2:]), 0.0) for x in maps[0]]
    halved = head.predict_by_feat(*maps, score_factors=factors, batch_img_metas=[sample().metainfo] * 2)
    plain = head.predict_by_feat(*maps, batch_img_metas=[sample().metainfo] * 2)
    torch.testing.assert_close(halved[0].scores, plain[0].scores / 2)
    every = head.predict_by_feat(*maps, batch_img_metas=[sample().metainfo] * 2, with_nms=False)
    assert len(every[0]) > len(plain[0])


def test_losses_and_proposals_come_from_one_forward_pass() -> None:
    head = make("RPNHead")
    losses, proposals = head.loss_and_predict(
        features(), [sample(), sample()], {**TEST_CFG, "max_per_img": 5}
    )
    assert losses.keys() == {"loss_rpn_cls", "loss_rpn_bbox"}
    assert [len(one) for one in proposals] == [5, 5]
    assert not proposals[0].bboxes.requires_grad


def test_layers_and_older_names() -> None:
    assert set(make("RPNHead").state_dict()) == {
        f"rpn_{layer}.{part}" for layer in ("conv", "cls", "reg") for part in ("weight", "bias")
    }
    deep = make("RPNHead", num_convs=2)
    assert "rpn_conv.1.conv.weight" in deep.state_dict()
    assert make().num_anchors == make().num_base_priors == 3
    assert make().anchor_generator is not None


def test_wrong_use_is_told() -> None:
    with pytest.raises(BuildError, match="num_classes"):
        make(num_classes=0)
    with pytest.raises(BuildError, match="must be 1"):
        RPNHead(8, num_classes=2)
    head = make(anchor_generator={**ANCHORS, "scales": [100]})
    head.train_cfg = {**head.train_cfg, "allowed_border": 0}
    with pytest.raises(TrainingError, match="allowed_border"):
        head.loss(features(), [sample(), sample()])
