"""Mask heads, and masks pasted onto images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.models.roi_heads.mask_heads import paste_masks
from toolkit.detection.models.task_modules import AssignResult, SamplingResult
from toolkit.detection.registry import MODELS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError


def head(**kwargs: Any) -> Any:
    torch.manual_seed(0)
    small = {"num_convs": 1, "in_channels": 4, "conv_out_channels": 4, "num_classes": 3}
    return MODELS.build({"type": "FCNMaskHead", **small, **kwargs})


def truth() -> InstanceData:
    masks = np.zeros((2, 40, 50), np.uint8)
    masks[0, 5:20, 5:25] = 1
    masks[1, 10:30, 20:45] = 1
    boxes = torch.tensor([[5.0, 5, 25, 20], [20, 10, 45, 30]])
    return InstanceData(bboxes=boxes, labels=torch.tensor([2, 0]), masks=BitmapMasks(masks, 40, 50))


def sampled(gt: InstanceData) -> SamplingResult:
    priors = torch.cat((gt.bboxes + 1, gt.bboxes[:1] - 2))
    assigned = AssignResult(2, torch.tensor([1, 2, 0]), torch.rand(3), torch.tensor([2, 0, -1]))
    flags = torch.zeros(3, dtype=torch.uint8)
    return SamplingResult(torch.tensor([0, 1]), torch.tensor([2]), priors, gt.bboxes, assigned, flags)


def by_grid_sample(mask: torch.Tensor, box: list[float], height: int, width: int) -> torch.Tensor:
    x = (torch.arange(width) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
    y = (torch.arange(height) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
    grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1)
    return F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]


def test_pasted_masks_are_those_of_grid_sample() -> None:
    torch.manual_seed(0)
    masks = torch.rand(6, 7, 9)
    boxes = torch.tensor(
        [
            [2.5, 3, 20, 18],
            [-5, -4, 12, 9.5],
            [30, 20, 61, 55],
            [10, 10, 10.4, 30],
            [0, 0, 50, 40],
            [60, 50, 70, 60.0],
        ]
    )
    found = paste_masks(masks, boxes, (40, 50), -1)
    expected = torch.stack([by_grid_sample(m, b, 40, 50) for m, b in zip(masks, boxes.tolist(), strict=True)])
    assert found.dtype == torch.uint8
    y, x = torch.arange(40)[:, None], torch.arange(50)
    for one, values, (x1, y1, x2, y2) in zip(
        found.int(), (expected * 255).int(), boxes.tolist(), strict=True
    ):
        # a mask fades by half a cell outside of its box, which is cut after a pixel
        near = (x >= x1 - 1) & (x < x2 + 1) & (y >= y1 - 1) & (y < y2 + 1)
        assert ((one - values).abs() * near).max() <= 1
    inside = paste_masks(masks, boxes, (40, 50), 0.5)
    clear = (expected - 0.5).abs() > 1e-4
    assert torch.equal(inside[clear], (expected >= 0.5)[clear])
    assert paste_masks(masks[:0], boxes[:0], (40, 50)).shape == (0, 40, 50)


def test_a_box_without_extent_is_no_error() -> None:
    pasted = paste_masks(torch.ones(1, 4, 4), torch.tensor([[5.0, 5, 5, 9]]), (12, 12))
    assert pasted.shape == (1, 12, 12)


UPSAMPLING = [
    ({"type": "deconv", "scale_factor": 2}, 28),
    ({"type": "nearest", "scale_factor": 2}, 28),
    ({"type": "bilinear", "scale_factor": 2}, 28),
    ({"type": None}, 14),
]


@pytest.mark.parametrize(("cfg", "size"), UPSAMPLING)
def test_sizes_of_masks(cfg: dict[str, Any], size: int) -> None:
    assert head(upsample_cfg=cfg)(torch.randn(2, 4, 14, 14)).shape == (2, 3, size, size)
    assert head(upsample_cfg=cfg, class_agnostic=True, num_convs=0)(torch.randn(2, 4, 14, 14)).size(1) == 1


def test_it_initialises_itself() -> None:
    mask_head = head(conv_out_channels=64)
    mask_head.init_weights()
    assert mask_head.conv_logits.bias.eq(0).all()
    # kaiming, fan out: 3 classes
    assert mask_head.conv_logits.weight.std().item() == pytest.approx((2 / 3) ** 0.5, rel=0.2)
    with pytest.raises(BuildError, match="init_cfg"):
        head(init_cfg={"type": "Xavier"})
    with pytest.raises(BuildError, match="'deconf'"):
        head(upsample_cfg={"type": "deconf", "scale_factor": 2})


@pytest.mark.parametrize("agnostic", [False, True])
def test_the_loss_is_that_of_each_objects_own_class(agnostic: bool) -> None:
    mask_head, gt = head(class_agnostic=agnostic), truth()
    preds = torch.randn(2, 1 if agnostic else 3, 28, 28)
    found = mask_head.loss_and_target(preds, [sampled(gt)], [gt], {"mask_size": 28})
    chosen = preds[:, 0] if agnostic else torch.stack((preds[0, 2], preds[1, 0]))
    expected = F.binary_cross_entropy_with_logits(chosen, found["mask_targets"])
    torch.testing.assert_close(found["loss_mask"]["loss_mask"], expected.reshape(1))
    # shifted by a pixel to the right and down, a region's last row and column are outside of its object
    assert found["mask_targets"][0, :-2, :-2].eq(1).all()
    assert found["mask_targets"][0, -1, :].eq(0).all()


def test_the_loss_without_objects_is_zero_and_has_a_gradient() -> None:
    mask_head = head()
    none = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), masks=BitmapMasks([], 4, 4)
    )
    assigned = AssignResult(0, torch.zeros(0).long(), torch.zeros(0), torch.zeros(0).long())
    empty = torch.zeros(0, dtype=torch.long)
    result = SamplingResult(empty, empty, none.bboxes, none.bboxes, assigned, empty.byte())
    preds = mask_head(torch.zeros(0, 4, 14, 14))
    loss = mask_head.loss_and_target(preds, [result], [none], {"mask_size": 28})["loss_mask"]["loss_mask"]
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("rescale", [False, True])
def test_predicted_masks_fill_their_boxes(rescale: bool) -> None:
    mask_head = head()
    preds = torch.full((2, 3, 28, 28), -9.0)
    preds[0, 2], preds[1, 0] = 9.0, 9.0
    boxes = torch.tensor([[4.0, 4, 20, 16], [10, 8, 30, 38]])
    results = InstanceData(bboxes=boxes, labels=torch.tensor([2, 0]), scores=torch.ones(2))
    meta = {"ori_shape": (20, 25), "scale_factor": (2.0, 2.0)}
    cfg = {"mask_thr_binary": 0.5}
    (found,) = mask_head.predict_by_feat([preds], [results], [meta], cfg, rescale=rescale)
    factor = 2 if rescale else 1
    assert found.masks.shape == (2, 40 // factor, 50 // factor)
    assert torch.equal(found.bboxes, boxes / factor)
    for mask, box in zip(found.masks, found.bboxes.int().tolist(), strict=True):
        assert mask[box[1] : box[3], box[0] : box[2]].all()
        assert mask.sum() == (box[2] - box[0]) * (box[3] - box[1])


def test_the_overlap_that_mask_scoring_learns() -> None:
    kwargs = {"in_channels": 4, "conv_out_channels": 4, "fc_out_channels": 8, "num_classes": 3}
    iou_head, gt = MODELS.build({"type": "MaskIoUHead", **kwargs}), truth()
    result = sampled(gt)
    targets = head().get_targets([result], [gt], {"mask_size": 28})
    right = (targets * 2 - 1) * 9
    overlaps = iou_head.get_targets([result], [gt], right, targets, {"mask_thr_binary": 0.5})
    # what a mask finds of an object that is shifted by one: 19 x 14 of 20 x 15 pixels
    assert overlaps.tolist() == pytest.approx([19 * 14 / 300, 24 * 19 / 500], rel=0.05)
    out = iou_head(torch.randn(2, 4, 14, 14), right)
    assert out.shape == (2, 3)
    args = (right, targets, [result], [gt], {"mask_thr_binary": 0.5})
    loss = iou_head.loss_and_target(overlaps + 0.5, *args)["loss_mask_iou"]
    assert loss.item() == pytest.approx(0.5 * 0.25)
    nothing = iou_head.loss_and_target(overlaps, -right.abs(), targets * 0, *args[2:])["loss_mask_iou"]
    assert nothing.item() == 0
    found = InstanceData(scores=torch.tensor([0.5, 1.0]), labels=torch.tensor([0, 2]))
    scored = iou_head.predict_by_feat([torch.tensor([[0.5, 0, 0], [0, 0, 0.25]])], [found])
    assert scored[0].scores.tolist() == [0.25, 0.25]
