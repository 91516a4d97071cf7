"""RoI heads beyond that of Faster R-CNN, each small and whole: losses, gradients and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.models.task_modules import AssignResult, SamplingResult
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData, PixelData
from toolkit.utils import BuildError

C, SHAPE = 4, (48, 64)
EXTRACTOR = {
    "type": "SingleRoIExtractor",
    "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0},
    "out_channels": C,
    "featmap_strides": [4, 8],
    "finest_scale": 16,
}
MASK_EXTRACTOR = {**EXTRACTOR, "roi_layer": {"type": "RoIAlign", "output_size": 14, "sampling_ratio": 0}}
BBOX = {"type": "Shared2FCBBoxHead", "in_channels": C, "fc_out_channels": 8, "num_classes": 3}
MASK = {"type": "FCNMaskHead", "num_convs": 1, "in_channels": C, "conv_out_channels": C, "num_classes": 3}
TRAIN = {
    "assigner": {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": 0.5,
        "neg_iou_thr": 0.5,
        "match_low_quality": False,
    },
    "sampler": {"type": "RandomSampler", "num": 16, "pos_fraction": 0.25},
    "mask_size": 28,
    "pos_weight": -1,
}
TEST = {
    "score_thr": 0.0,
    "nms": {"type": "nms", "iou_threshold": 0.5},
    "max_per_img": 5,
    "mask_thr_binary": 0.5,
}


def feats() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, C, SHAPE[0] // s, SHAPE[1] // s, requires_grad=True) for s in (4, 8)]


def samples() -> list[DetDataSample]:
    found = []
    for i in range(2):
        sample = DetDataSample(metainfo={"img_shape": SHAPE, "ori_shape": SHAPE, "scale_factor": (1.0, 1.0)})
        boxes = torch.tensor([[4.0, 4, 24, 28], [30, 10, 60, 40]])[: 2 - i]
        masks = np.zeros((2 - i, *SHAPE), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        sample.gt_instances = InstanceData(
            bboxes=boxes, labels=torch.tensor([2, 0])[: 2 - i], masks=BitmapMasks(masks, *SHAPE)
        )
        sample.gt_sem_seg = PixelData(sem_seg=torch.randint(0, 5, (1, *SHAPE)))
        found.append(sample)
    return found


def proposals() -> list[InstanceData]:
    torch.manual_seed(1)
    low = torch.rand(2, 20, 2) * 30
    boxes = torch.cat((low, low + 4 + torch.rand(2, 20, 2) * 20), dim=2)
    truth = torch.tensor([[5.0, 5, 24, 28], [30, 12, 58, 40]])
    return [InstanceData(bboxes=torch.cat((one, truth)), scores=torch.rand(22)) for one in boxes]


def roi_head(kind: str, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    cfg = {
        "type": kind,
        "bbox_roi_extractor": EXTRACTOR,
        "bbox_head": BBOX,
        "train_cfg": TRAIN,
        "test_cfg": TEST,
    }
    head = MODELS.build({**cfg, **kwargs})
    head.init_weights()
    return head


def cascade(kind: str, **kwargs: Any) -> Any:
    bbox = {**BBOX, "reg_class_agnostic": True}
    sizes = {"num_stages": 2, "stage_loss_weights": [1, 0.5], "train_cfg": [TRAIN, TRAIN], "bbox_head": bbox}
    masks = {"mask_roi_extractor": MASK_EXTRACTOR, "mask_head": MASK}
    return roi_head(kind, **{**sizes, **masks, **kwargs})


IOU_HEAD = {
    "type": "MaskIoUHead",
    "in_channels": C,
    "conv_out_channels": C,
    "fc_out_channels": 8,
    "num_classes": 3,
}
DOUBLE = {
    "type": "DoubleConvFCBBoxHead",
    "num_convs": 1,
    "num_fcs": 1,
    "in_channels": C,
    "conv_out_channels": 8,
    "fc_out_channels": 8,
    "num_classes": 3,
}
SEMANTIC = {
    "type": "FusedSemanticHead",
    "num_ins": 2,
    "fusion_level": 0,
    "seg_scale_factor": 1 / 4,
    "num_convs": 1,
    "in_channels": C,
    "conv_out_channels": C,
    "num_classes": 5,
}
HEADS = {
    "mask": lambda: roi_head("StandardRoIHead", mask_roi_extractor=MASK_EXTRACTOR, mask_head=MASK),
    "shared features": lambda: roi_head(
        "StandardRoIHead", mask_head=MASK, train_cfg={**TRAIN, "mask_size": 14}
    ),
    "mask scoring": lambda: roi_head(
        "MaskScoringRoIHead",
        mask_roi_extractor=MASK_EXTRACTOR,
        mask_head=MASK,
        mask_iou_head=IOU_HEAD,
        train_cfg={**TRAIN, "mask_thr_binary": 0.5},
    ),
    "double": lambda: roi_head("DoubleHeadRoIHead", reg_roi_scale_factor=1.3, bbox_head=DOUBLE),
    "cascade": lambda: cascade("CascadeRoIHead"),
    "htc": lambda: cascade(
        "HybridTaskCascadeRoIHead",
        mask_head=[{**MASK, "type": "HTCMaskHead", "with_conv_res": i > 0} for i in range(2)],
        semantic_head=SEMANTIC,
        semantic_roi_extractor={**MASK_EXTRACTOR, "featmap_strides": [4]},
    ),
    "all levels": lambda: roi_head("StandardRoIHead", bbox_roi_extractor=generic()),
}


def generic(**kwargs: Any) -> dict[str, Any]:
    cfg = {key: value for key, value in EXTRACTOR.items() if key != "finest_scale"}
    return {**cfg, "type": "GenericRoIExtractor", **kwargs}


@pytest.mark.parametrize("name", HEADS)
def test_it_trains_and_predicts(name: str) -> None:
    head, x = HEADS[name](), feats()
    losses = head.loss(x, proposals(), samples())
    total = sum(value.sum() for key, value in losses.items() if "loss" in key)
    assert total.isfinite()
    total.backward()
    without = [key for key, value in head.named_parameters() if value.requires_grad and value.grad is None]
    assert without == []
    assert all(level.grad is not None for level in x)
    head.eval()
    with torch.no_grad():
        results = head.predict(x, proposals(), samples(), rescale=True)
    assert [len(result) for result in results] == [5, 5]
    assert all("masks" in result for result in results) == head.with_mask
    for result in results:
        if head.with_mask:
            assert result.masks.shape == (5, *SHAPE)


@pytest.mark.parametrize("name", HEADS)
def test_images_without_objects_or_proposals(name: str) -> None:
    head, x, none = HEADS[name](), feats(), samples()
    for sample in none:
        sample.gt_instances = sample.gt_instances[torch.zeros(0, dtype=torch.long)]
    losses = head.loss(x, proposals(), none)
    assert all(value.isfinite().all() for value in losses.values())
    sum(value.sum() for key, value in losses.items() if "loss" in key).backward()
    empty = [InstanceData(bboxes=torch.zeros(0, 4), scores=torch.zeros(0)) for _ in range(2)]
    head.eval()
    with torch.no_grad():
        results = head.predict(x, empty, none)
    assert [len(result) for result in results] == [0, 0]


def test_stages_have_their_weights() -> None:
    plain, weighted = cascade("CascadeRoIHead", stage_loss_weights=[1, 1]), cascade("CascadeRoIHead")
    weighted.load_state_dict(plain.state_dict())
    everything = {**TRAIN, "sampler": {**TRAIN["sampler"], "num": 1000}}
    for head in (plain, weighted):
        head.train_cfg = [everything, everything]
        head.init_assigner_sampler()
    one, half = (head.loss(feats(), proposals(), samples()) for head in (plain, weighted))
    torch.testing.assert_close(half["s1.loss_cls"], one["s1.loss_cls"] * 0.5)
    torch.testing.assert_close(half["s1.acc"], one["s1.acc"])
    torch.testing.assert_close(half["s0.loss_mask"], one["s0.loss_mask"])
    with pytest.raises(BuildError, match="bbox_head has 1 items, and num_stages is 2"):
        cascade("CascadeRoIHead", bbox_head=[BBOX])


@pytest.mark.parametrize("shapes", [[(40, 50)] * 2, [(40, 50), (30, 20)]])
@pytest.mark.parametrize("agnostic", [False, True])
def test_refined_boxes_one_at_a_time(agnostic: bool, shapes: list[tuple[int, int]]) -> None:
    head = MODELS.build({**BBOX, "reg_class_agnostic": agnostic})
    torch.manual_seed(2)
    low = torch.rand(10, 2) * 20
    priors = torch.cat((low, low + 5 + torch.rand(10, 2) * 20), dim=1)
    results, labels = [], torch.tensor([1, 2, 3, 3, 3, 0, 3, 3, 3, 3])
    for start, num_pos in ((0, 2), (5, 1)):
        gt_inds = torch.tensor([1] * num_pos + [0] * (5 - num_pos))
        assigned = AssignResult(1, gt_inds, torch.rand(5), gt_inds)
        flags = torch.tensor([1, 0, 0, 0, 0], dtype=torch.uint8)
        args = (torch.arange(num_pos), torch.arange(num_pos, 5), priors[start : start + 5], priors[:1])
        results.append(SamplingResult(*args, assigned, flags))
    rois = torch.cat((torch.tensor([0.0] * 5 + [1] * 5)[:, None], priors), dim=1)
    scores, preds = torch.randn(10, 4), torch.randn(10, 4 if agnostic else 12)
    metas = [{"img_shape": shape} for shape in shapes]
    found = {"rois": rois, "bbox_targets": (labels,), "cls_score": scores, "bbox_pred": preds}
    refined = head.refine_bboxes(results, found, metas)
    for i, result in enumerate(refined):
        expected = []
        for row in range(5 * i + 1, 5 * i + 5):  # the first is a ground truth itself
            label = int(labels[row]) if labels[row] < 3 else int(scores[row, :3].argmax())
            delta = preds[row] if agnostic else preds[row, 4 * label : 4 * label + 4]
            expected.append(head.bbox_coder.decode(priors[row], delta, max_shape=shapes[i]))
        torch.testing.assert_close(result.bboxes, torch.stack(expected))


def test_mask_heads_get_the_features_of_the_ones_before() -> None:
    head = MODELS.build({**MASK, "type": "HTCMaskHead"})
    x, before = torch.randn(2, C, 14, 14), torch.randn(2, C, 14, 14)
    logits, feat = head(x, before)
    assert (logits.shape, feat.shape) == ((2, 3, 28, 28), (2, C, 14, 14))
    torch.testing.assert_close(head(x + head.conv_res(before), return_feat=False), logits)
    torch.testing.assert_close(head(x, before, return_logits=False), feat)


def test_dynamic_thresholds_follow_the_proposals() -> None:
    dynamic = {
        "iou_topk": 2,
        "beta_topk": 2,
        "update_iter_interval": 2,
        "initial_iou": 0.4,
        "initial_beta": 1.0,
    }
    train = {**TRAIN, "dynamic_rcnn": dynamic}
    head = roi_head(
        "DynamicRoIHead", bbox_head={**BBOX, "loss_bbox": {"type": "SmoothL1Loss"}}, train_cfg=train
    )
    head.loss(feats(), proposals(), samples())
    assert head.bbox_assigner.pos_iou_thr == 0.5
    head.loss(feats(), proposals(), samples())
    # of each image the second best of all regions, among which its one or two objects are put
    assert head.bbox_assigner.pos_iou_thr == head.bbox_assigner.min_pos_iou > 0.5
    assert 0 <= head.bbox_head.loss_bbox.beta < 1
    assert head.iou_history == []
    with pytest.raises(BuildError, match="SmoothL1Loss"):
        roi_head("DynamicRoIHead", bbox_head={**BBOX, "loss_bbox": {"type": "L1Loss"}}, train_cfg=train)


def test_levels_are_summed_or_joined() -> None:
    x, rois = feats(), torch.tensor([[0.0, 4, 4, 24, 28], [1, 30, 10, 60, 40]])
    parts = [
        MODELS.build({**EXTRACTOR["roi_layer"], "spatial_scale": 1 / s})(level, rois)
        for s, level in zip((4, 8), x, strict=True)
    ]
    torch.testing.assert_close(MODELS.build(generic())(x, rois), parts[0] + parts[1])
    joined = MODELS.build(generic(aggregation="concat", out_channels=2 * C))(x, rois)
    torch.testing.assert_close(joined, torch.cat(parts, dim=1))
    with pytest.raises(BuildError, match="out_channels"):
        MODELS.build(generic(aggregation="concat"))(x, rois)
    with pytest.raises(BuildError, match="'mean'"):
        MODELS.build(generic(aggregation="mean"))


@pytest.mark.parametrize("wrong", [[4, 28, 24, 4], [4, 4, float("nan"), 28], [4, 4, float("inf"), 28]])
def test_a_region_that_is_none_has_no_features(wrong: list[float]) -> None:
    extractor = MODELS.build({**EXTRACTOR, "roi_layer": {**EXTRACTOR["roi_layer"], "sampling_ratio": 2}})
    rois = torch.tensor([[0.0, *wrong], [0, 4, 4, 24, 28]])
    pooled = extractor(feats(), rois)
    assert pooled[0].eq(0).all()
    assert pooled[1].ne(0).any()


def test_shared_heads_keep_their_statistics() -> None:
    layer = MODELS.build({"type": "ResLayer", "depth": 18, "stage": 1, "norm_eval": True})
    assert layer.train()(torch.randn(2, 64, 8, 8)).shape == (2, 128, 4, 4)
    assert not any(m.training for m in layer.modules() if isinstance(m, torch.nn.BatchNorm2d))
    with pytest.raises(BuildError, match="17"):
        MODELS.build({"type": "ResLayer", "depth": 17})


SPARSE_BBOX = {
    "type": "DIIHead",
    "num_classes": 3,
    "num_heads": 2,
    "in_channels": C,
    "feedforward_channels": 8,
    "dynamic_conv_cfg": {"type": "DynamicConv", "in_channels": C, "feat_channels": 2, "out_channels": C},
    "loss_bbox": {"type": "L1Loss", "loss_weight": 5.0},
    "loss_cls": {"type": "FocalLoss", "use_sigmoid": True, "loss_weight": 2.0},
    "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "clip_border": False, "target_stds": [0.5, 0.5, 1.0, 1.0]},
}
SPARSE_TRAIN = {
    "assigner": {
        "type": "HungarianAssigner",
        "match_costs": [
            {"type": "FocalLossCost", "weight": 2.0},
            {"type": "BBoxL1Cost", "box_format": "xyxy"},
        ],
    },
    "sampler": {"type": "PseudoSampler"},
    "pos_weight": 1,
}


def sparse(**kwargs: Any) -> Any:
    stages = {"num_stages": 2, "stage_loss_weights": [1, 1], "proposal_feature_channel": C}
    cfgs = {"bbox_head": SPARSE_BBOX, "train_cfg": [SPARSE_TRAIN] * 2, "test_cfg": {"max_per_img": 7}}
    return roi_head("SparseRoIHead", **{**stages, **cfgs, **kwargs})


def test_learned_proposals() -> None:
    rpn = MODELS.build({"type": "EmbeddingRPNHead", "num_proposals": 6, "proposal_feature_channel": C})
    rpn.init_weights()
    losses, found = rpn.loss_and_predict(feats(), samples())
    assert losses == {}
    assert found[1].bboxes.tolist() == [[0, 0, 64, 48]] * 6
    assert found[0].features.shape == (6, C)
    head, x = sparse(), feats()
    losses = head.loss(x, found, samples())
    sum(value for key, value in losses.items() if "loss" in key).backward()
    assert rpn.init_proposal_bboxes.weight.grad is not None
    assert rpn.init_proposal_features.weight.grad is not None
    assert {"s0.loss_cls", "s1.loss_bbox", "s1.loss_iou", "s1.pos_acc"} <= set(losses)
    results = head.predict(x, found, samples(), rescale=True)
    assert [len(result) for result in results] == [7, 7]
    assert torch.equal(results[0].scores, results[0].scores.sort(descending=True).values)
    with pytest.raises(BuildError, match="PseudoSampler, not RandomSampler"):
        sparse(train_cfg=[{**SPARSE_TRAIN, "sampler": TRAIN["sampler"]}] * 2)
    with pytest.raises(BuildError, match="1 items for 2 stages"):
        sparse(stage_loss_weights=[1])
