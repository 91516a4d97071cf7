from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.models.layers.dynamic_masks import DynamicMasks
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData

BOXES = [[5.0, 5, 40, 40], [50, 20, 90, 60]]


def make(kind: str, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    cfg = {
        "type": kind,
        "num_classes": 3,
        "in_channels": 8,
        "feat_channels": 8,
        "stacked_convs": 2,
        "norm_cfg": {"type": "BN"},
        "anchor_generator": {"type": "MlvlPointGenerator", "offset": 0, "strides": [8, 16]},
        "bbox_coder": {"type": "DistancePointBBoxCoder"},
        "loss_cls": {"type": "QualityFocalLoss", "use_sigmoid": True, "beta": 2.0},
        "loss_bbox": {"type": "GIoULoss", "loss_weight": 2.0},
        "train_cfg": {
            "assigner": {"type": "DynamicSoftLabelAssigner", "topk": 13},
            "allowed_border": -1,
            "pos_weight": -1,
        },
        "test_cfg": {
            "nms_pre": 50,
            "score_thr": 0.1,
            "nms": {"type": "nms", "iou_threshold": 0.6},
            "max_per_img": 10,
            "min_bbox_size": 0,
            "mask_thr_binary": 0.5,
        },
        **kwargs,
    }
    head = MODELS.build(cfg)
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head.eval()


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6)]


def samples(count: int = 2) -> list[DetDataSample]:
    out = []
    for boxes in (BOXES[:count], BOXES[:0]):
        shape = {"img_shape": (64, 96), "pad_shape": (64, 96), "ori_shape": (30, 48)}
        sample = DetDataSample(metainfo={**shape, "scale_factor": (2.0, 2.0)})
        masks = torch.zeros(len(boxes), 64, 96, dtype=torch.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
            mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.arange(len(boxes)),
            masks=BitmapMasks(masks.numpy(), 64, 96),
        )
        out.append(sample)
    return out


@pytest.mark.parametrize("kind", ["RTMDetHead", "RTMDetSepBNHead"])
def test_losses_weight_objects_by_their_overlap(kind: str) -> None:
    head = make(kind, with_objectness=False)
    cls, reg = head(features())
    batch = samples()
    for sample in batch:
        sample.gt_instances.pop("masks")
    losses = head.loss(features(), batch)
    priors = torch.cat(head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu", with_stride=True))
    logits = torch.cat([x.flatten(2) for x in cls], dim=2).transpose(1, 2)
    d = torch.cat([x.flatten(2) for x in reg], dim=2).transpose(1, 2)
    boxes = torch.cat((priors[:, :2] - d[..., :2], priors[:, :2] + d[..., 2:]), dim=-1)
    predicted = InstanceData(priors=priors, bboxes=boxes[0], scores=logits[0])
    result = head.assigner.assign(predicted, batch[0].gt_instances)
    pos = result.gt_inds > 0
    goal = torch.zeros_like(logits)
    goal[0, pos, result.labels[pos]] = result.max_overlaps[pos]
    total = max(float(result.max_overlaps[pos].sum()), 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits, goal, reduction="none")
    expected = (entropy * (goal - logits.sigmoid()).square()).sum() / total
    assert pos.sum() >= 2
    torch.testing.assert_close(losses["loss_cls"], expected)
    owner = batch[0].gt_instances.bboxes[result.gt_inds[pos] - 1]
    each = head.loss_bbox(boxes[0][pos], owner, reduction_override="none")
    torch.testing.assert_close(losses["loss_bbox"], (each * result.max_overlaps[pos]).sum() / total)


def test_levels_share_convolutions_but_no_norms() -> None:
    head = make("RTMDetSepBNHead")
    assert head.cls_convs[0][1].conv is head.cls_convs[1][1].conv
    assert head.cls_convs[0][1].bn is not head.cls_convs[1][1].bn
    assert head.cls_convs[0][0].conv is not head.reg_convs[0][0].conv
    own = make("RTMDetSepBNHead", share_conv=False)
    assert own.cls_convs[0][1].conv is not own.cls_convs[1][1].conv


@pytest.mark.parametrize(
    ("kind", "kwargs", "least"),
    [
        ("RTMDetSepBNHead", {"exp_on_reg": True}, 0),
        ("RTMDetSepBNHead", {"exp_on_reg": False}, None),
        ("RTMDetInsSepBNHead", {}, 0),
    ],
)
def test_how_distances_are_made(kind: str, kwargs: dict[str, Any], least: int | None) -> None:
    lowest = min(x.min() for x in make(kind, **kwargs)(features())[1])
    assert lowest < 0 if least is None else lowest >= least


def test_objectness_is_a_geometric_mean() -> None:
    head, plain = make("RTMDetHead"), make("RTMDetHead", with_objectness=False)
    plain.load_state_dict(head.state_dict(), strict=False)
    objectness = head.rtm_obj(head.reg_convs[1](head.reg_convs[0](features()[0])))
    expected = (plain(features())[0][0].sigmoid() * objectness.sigmoid()).sqrt()
    torch.testing.assert_close(head(features())[0][0].sigmoid(), expected, rtol=1e-4, atol=1e-5)


def test_weights_start_small_and_logits_at_one_percent() -> None:
    head = make("RTMDetInsSepBNHead")
    head.init_weights()
    for level in range(2):
        torch.testing.assert_close(head.rtm_cls[level].bias.sigmoid(), torch.full((3,), 0.01))
        assert (head.rtm_reg[level].bias == 1).all()
    assert head.cls_convs[0][0].conv.weight.std() < 0.02
    assert head.is_init


def grouped_convolutions(
    prototypes: torch.Tensor, params: torch.Tensor, coords: torch.Tensor, points: torch.Tensor, unit: float
) -> torch.Tensor:
    """The networks as CondInst's paper draws them: each with its own input, in one grouped convolution."""
    count, (_, height, width) = len(params), prototypes.shape
    relative = (points[:, :, None, None] - coords.permute(2, 0, 1)) / unit
    x = torch.cat((relative, prototypes.expand(count, -1, -1, -1)), dim=1).flatten(0, 1)[None]
    first, second, third = params[:, :60], params[:, 60:96], params[:, 96:102]
    biases = params[:, 102:108], params[:, 108:114], params[:, 114:115]
    x = F.conv2d(x, first.reshape(-1, 10, 1, 1), biases[0].flatten(), groups=count).relu()
    x = F.conv2d(x, second.reshape(-1, 6, 1, 1), biases[1].flatten(), groups=count).relu()
    x = F.conv2d(x, third.reshape(-1, 6, 1, 1), biases[2].flatten(), groups=count)
    return x.view(count, height, width)


def test_small_networks_draw_masks() -> None:
    masks = DynamicMasks(8, 6, 3)
    assert masks.num_params == 115
    prototypes, params = torch.randn(8, 7, 9), torch.randn(4, 115)
    coords = torch.stack(torch.meshgrid(torch.arange(9.0), torch.arange(7.0), indexing="xy"), dim=-1) * 8
    points = torch.rand(4, 2) * 60
    drawn = masks(prototypes, params, coords, points, torch.full((4,), 64.0))
    expected = grouped_convolutions(prototypes, params, coords, points, 64.0)
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)
    assert masks(prototypes, params[:0], coords, points[:0], torch.ones(0)).shape == (0, 7, 9)


@pytest.mark.parametrize("kind", ["RTMDetInsHead", "RTMDetInsSepBNHead"])
def test_masks_of_detections(kind: str) -> None:
    head = make(kind)
    full = head.predict(features(), samples(), rescale=False)
    small = head.predict(features(), samples(), rescale=True)
    assert len(full[0]) == len(small[0]) > 0
    assert full[0].masks.shape == (len(full[0]), 64, 96)
    assert small[0].masks.shape == (len(small[0]), 30, 48)
    assert full[0].masks.dtype == torch.bool
    # of the strongest detection, from what the network gives at its place
    cls, _, kernels, prototypes = head(features())
    scores = torch.cat([x[0].flatten(1) for x in cls], dim=1).max(0).values
    place = int(scores.argmax())
    priors = torch.cat(head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu", with_stride=True))
    params = torch.cat([x[0].flatten(1) for x in kernels], dim=1)[:, place][None]
    coords = priors[: 8 * 12, :2].view(8, 12, 2)
    unit = priors[place : place + 1, 2] * 8
    logits = head.dynamic_masks(prototypes[0], params, coords, priors[place : place + 1, :2], unit)
    expected = F.interpolate(logits[None], scale_factor=8, mode="bilinear")[0, 0] > 0
    assert (full[0].masks[0] == expected).float().mean() > 0.999


def test_no_detections_have_no_masks() -> None:
    head = make("RTMDetInsSepBNHead")
    head.test_cfg = {**head.test_cfg, "score_thr": 1.0}
    (found, _) = head.predict(features(), samples(), rescale=True)
    assert found.masks.shape == (0, 30, 48)


def test_masks_train() -> None:
    head = make("RTMDetInsSepBNHead").train()
    batch = samples()
    losses = head.loss(features(), batch)
    assert set(losses) == {"loss_cls", "loss_bbox", "loss_mask"}
    assert 0 < losses["loss_mask"] < 2
    sum(losses.values()).backward()
    assert head.rtm_kernel[0].weight.grad.abs().sum() > 0
    assert isinstance(batch[0].gt_instances.masks, BitmapMasks)
    nothing = head.loss(features(), samples(0))
    assert nothing["loss_mask"] == 0
