from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import batched_nms

from toolkit.detection.models.task_modules import AssignResult, SamplingResult
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

SMALL = {"in_channels": 4, "roi_feat_size": 3, "num_classes": 3}
META = {"img_shape": (60, 80), "scale_factor": (2.0, 2.0)}


def head(kind: str = "Shared2FCBBoxHead", **kwargs: Any) -> Any:
    torch.manual_seed(0)
    if kind.startswith("Shared"):
        kwargs.setdefault("fc_out_channels", 8)
    return MODELS.build({"type": kind, **SMALL, **kwargs})


def sampled(num_pos: int, num_neg: int, seed: int) -> SamplingResult:
    torch.manual_seed(seed)
    total = num_pos + num_neg
    low = torch.rand(total, 2) * 30
    priors = torch.cat((low, low + 5 + torch.rand(total, 2) * 20), dim=1)
    gts = torch.tensor([[5.0, 5, 30, 30], [20, 10, 50, 40]])
    gt_inds = torch.tensor([1 + i % 2 for i in range(num_pos)] + [0] * num_neg)
    labels = torch.tensor([i % 2 + 1 for i in range(num_pos)] + [-1] * num_neg)
    assigned = AssignResult(2, gt_inds, torch.rand(total), labels)
    flags = torch.zeros(total, dtype=torch.uint8)
    return SamplingResult(torch.arange(num_pos), torch.arange(num_pos, total), priors, gts, assigned, flags)


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("pos_weight", [-1, 3.0])
def test_losses_one_region_at_a_time(agnostic: bool, pos_weight: float) -> None:
    box_head = head(reg_class_agnostic=agnostic, loss_bbox={"type": "L1Loss"})
    results = [sampled(3, 5, 0), sampled(0, 4, 1), sampled(2, 2, 2)]
    rois = torch.cat([F.pad(result.priors, (1, 0), value=i) for i, result in enumerate(results)])
    scores, boxes = torch.randn(16, 4), torch.randn(16, 4 if agnostic else 12)
    cfg = {"pos_weight": pos_weight}
    losses = box_head.loss_and_target(scores, boxes, rois, results, cfg)["loss_bbox"]
    weight = max(pos_weight, 1.0)
    cls, reg, right, row = 0.0, 0.0, 0, 0
    for result in results:
        for j in range(len(result.priors)):
            label = int(result.pos_gt_labels[j]) if j < len(result.pos_inds) else 3
            cls += F.cross_entropy(scores[row], torch.tensor(label)) * (weight if label < 3 else 1)
            right += int(scores[row].argmax()) == label
            if label < 3:
                goal = box_head.bbox_coder.encode(result.pos_priors[j], result.pos_gt_bboxes[j])
                mine = boxes[row] if agnostic else boxes[row].view(3, 4)[label]
                reg += (mine - goal).abs().sum()
            row += 1
    torch.testing.assert_close(losses["loss_cls"], cls / 16)
    torch.testing.assert_close(losses["loss_bbox"], reg / 16)
    assert losses["acc"].item() == pytest.approx(100 * right / 16)
    # the rows that are objects are found from the labels too
    targets = box_head.get_targets(results, cfg)
    again = box_head.loss(scores, boxes, rois, *targets)
    torch.testing.assert_close(again["loss_bbox"], losses["loss_bbox"])
    assert [len(one) for one in box_head.get_targets(results, cfg, concat=False)[0]] == [8, 4, 4]


def test_loss_of_decoded_boxes_is_zero_for_the_truth() -> None:
    box_head = head(reg_decoded_bbox=True, reg_class_agnostic=True, loss_bbox={"type": "L1Loss"})
    result = sampled(4, 0, 0)
    rois = F.pad(result.priors, (1, 0))
    truth = box_head.bbox_coder.encode(result.pos_priors, result.pos_gt_bboxes)
    losses = box_head.loss_and_target(torch.zeros(4, 4), truth, rois, [result], {})["loss_bbox"]
    assert losses["loss_bbox"].item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("agnostic", [False, True])
def test_detections_one_class_at_a_time(agnostic: bool) -> None:
    torch.manual_seed(3)
    box_head = head(reg_class_agnostic=agnostic)
    low = torch.rand(40, 2) * 40
    rois = F.pad(torch.cat((low, low + 10 + torch.rand(40, 2) * 20), dim=1), (1, 0))
    scores, boxes = torch.randn(40, 4) * 2, torch.randn(40, 4 if agnostic else 12)
    cfg = {"score_thr": 0.2, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 15}
    found = box_head.predict_by_feat([rois], [scores], [boxes], [META], cfg, rescale=True)[0]
    probs = scores.softmax(1)
    all_boxes, all_scores, all_labels = [], [], []
    for label in range(3):
        rows = (probs[:, label] > 0.2).nonzero().squeeze(1)
        deltas = boxes if agnostic else boxes[:, 4 * label : 4 * label + 4]
        all_boxes.append(box_head.bbox_coder.decode(rois[rows, 1:], deltas[rows], (60, 80)) / 2)
        all_scores.append(probs[rows, label])
        all_labels.append(torch.full((len(rows),), label))
    every, points, labels = torch.cat(all_boxes), torch.cat(all_scores), torch.cat(all_labels)
    keep = batched_nms(every, points, labels, 0.5)[:15]
    torch.testing.assert_close(found.bboxes, every[keep])
    torch.testing.assert_close(found.scores, points[keep])
    assert torch.equal(found.labels, labels[keep])
    raw = box_head.predict_by_feat([rois], [scores], [boxes], [META])[0]
    assert raw.bboxes.shape == boxes.shape
    assert raw.scores.shape == (40, 4)


def test_nothing_in_nothing_out() -> None:
    box_head = head()
    cfg = {"score_thr": 0.2, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 15}
    nothing = (torch.zeros(0, 5), torch.zeros(0, 4), torch.zeros(0, 12))
    found = box_head.predict_by_feat(*[[one] for one in nothing], [META], cfg, rescale=True)[0]
    assert len(found) == 0
    assert found.bboxes.shape == (0, 4)
    assert found.labels.dtype == torch.int64
    # a head that doesn't regress gives the regions, clipped
    only_cls = head("BBoxHead", with_reg=False)
    rois, scores = torch.tensor([[0.0, -5, 10, 100, 50]]), torch.tensor([[9.0, 0, 0, 0]])
    found = only_cls.predict_by_feat([rois], [scores], [None], [META], cfg)[0]
    assert found.bboxes.tolist() == [[0, 10, 80, 50]]


def test_shapes_and_keys_of_the_heads() -> None:
    feats = torch.randn(5, 4, 3, 3)
    shared = head()
    assert [x.shape for x in shared(feats)] == [(5, 4), (5, 12)]
    names = [key.rsplit(".", 1)[0] for key in shared.state_dict() if key.endswith("weight")]
    assert names == ["fc_cls", "fc_reg", "shared_fcs.0", "shared_fcs.1"]
    convs = head("Shared4Conv1FCBBoxHead", conv_out_channels=6, norm_cfg={"type": "GN", "num_groups": 2})
    assert [x.shape for x in convs(feats)] == [(5, 4), (5, 12)]
    assert convs.shared_fcs[0].in_features == 6 * 9
    apart = head(
        "ConvFCBBoxHead",
        num_cls_convs=1,
        num_reg_convs=1,
        num_reg_fcs=1,
        conv_out_channels=6,
        fc_out_channels=7,
    )
    assert [x.shape for x in apart(feats)] == [(5, 4), (5, 12)]
    assert (apart.fc_cls.in_features, apart.fc_reg.in_features) == (6 * 9, 7)
    pooled = head("BBoxHead", with_avg_pool=True)
    assert pooled.fc_cls.in_features == 4
    assert [x.shape for x in pooled(feats)] == [(5, 4), (5, 12)]
    deep = head("ConvFCBBoxHead", with_avg_pool=True, num_shared_convs=1, num_cls_fcs=1, conv_out_channels=6)
    assert [x.shape for x in deep(feats)] == [(5, 4), (5, 12)]


def test_initial_weights() -> None:
    box_head = head(fc_out_channels=512)
    box_head.init_weights()
    assert box_head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert box_head.fc_reg.weight.std().item() == pytest.approx(0.001, rel=0.1)
    fc = box_head.shared_fcs[0]
    bound = (6 / (fc.in_features + fc.out_features)) ** 0.5
    assert fc.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
    assert fc.bias.abs().max() == 0


def test_wrong_use_is_told() -> None:
    with pytest.raises(BuildError, match="with_cls"):
        head("BBoxHead", with_cls=False, with_reg=False)
    with pytest.raises(BuildError, match="can't follow"):
        head("ConvFCBBoxHead", num_shared_fcs=1, num_cls_convs=1)
    with pytest.raises(BuildError, match="bbox_roi_extractor"):
        MODELS.build({"type": "StandardRoIHead", "bbox_head": {"type": "BBoxHead"}})
