from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.ops import box_iou, nms

from toolkit.detection.models.dense_heads.yolox_head import YOLOXHead, decode_boxes, encode_boxes
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData

TEST_CFG = {"score_thr": 0.2, "nms": {"type": "nms", "iou_threshold": 0.5}}
BOXES = ([[5.0, 5, 40, 40], [50, 20, 90, 60]], [])


def make(**kwargs: Any) -> YOLOXHead:
    torch.manual_seed(0)
    head = MODELS.build(
        {
            "type": "YOLOXHead",
            "num_classes": 3,
            "in_channels": 8,
            "feat_channels": 8,
            "stacked_convs": 1,
            "strides": (8, 16),
            "train_cfg": {"assigner": {"type": "SimOTAAssigner"}},
            "test_cfg": TEST_CFG,
            **kwargs,
        }
    )
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head.eval()


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6)]


def samples() -> list[DetDataSample]:
    out = []
    for boxes in BOXES:
        sample = DetDataSample(metainfo={"img_shape": (64, 96), "scale_factor": (2.0, 0.5)})
        tensor = torch.tensor(boxes).reshape(-1, 4)
        sample.gt_instances = InstanceData(bboxes=tensor, labels=torch.arange(len(tensor)) + 1)
        out.append(sample)
    return out


def rows(head: YOLOXHead) -> tuple[torch.Tensor, ...]:
    """Logits, regressions, objectness and boxes of all places, in the order of the points."""
    maps = head(features())
    cls, reg, obj = (torch.cat([x.permute(0, 2, 3, 1).flatten(1, 2) for x in one], dim=1) for one in maps)
    priors = torch.cat(head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu", with_stride=True))
    return cls, reg, obj.squeeze(-1), decode_boxes(priors, reg), priors


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(0, 60, width=32), min_size=2, max_size=2),
    st.lists(st.floats(1, 40, width=32), min_size=2, max_size=2),
)
def test_decoding_is_the_inverse_of_encoding(corner: list[float], size: list[float]) -> None:
    box = torch.tensor([[*corner, corner[0] + size[0], corner[1] + size[1]]])
    prior = torch.tensor([[16.0, 24.0, 8.0, 8.0]])
    torch.testing.assert_close(decode_boxes(prior, encode_boxes(prior, box)), box, atol=1e-3, rtol=1e-4)


def test_losses_are_of_the_matched_places_only() -> None:
    head = make()
    head.use_l1 = True
    cls, reg, obj, boxes, priors = rows(head)
    losses = head.loss(features(), samples())
    middle = torch.cat((priors[:, :2] + priors[:, 2:] / 2, priors[:, 2:]), dim=1)
    probability = (cls[0].sigmoid() * obj[0].sigmoid()[:, None]).sqrt()
    gt = samples()[0].gt_instances
    result = head.assigner.assign(InstanceData(priors=middle, bboxes=boxes[0], scores=probability), gt)
    pos = result.gt_inds > 0
    owner = result.gt_inds[pos] - 1
    overlap = box_iou(boxes[0][pos], gt.bboxes).gather(1, owner[:, None]).squeeze(1)
    count = pos.sum()
    assert count >= 2
    goal = torch.zeros_like(obj)
    goal[0, pos] = 1
    expected = F.binary_cross_entropy_with_logits(obj, goal, reduction="sum") / count
    torch.testing.assert_close(losses["loss_obj"], expected)
    classes = F.one_hot(gt.labels[owner], 3) * overlap[:, None]
    expected = F.binary_cross_entropy_with_logits(cls[0][pos], classes, reduction="sum") / count
    torch.testing.assert_close(losses["loss_cls"], expected)
    torch.testing.assert_close(losses["loss_bbox"], 5 * (1 - overlap**2).sum() / count)
    offsets = encode_boxes(priors[pos], gt.bboxes[owner])
    torch.testing.assert_close(losses["loss_l1"], (reg[0][pos] - offsets).abs().sum() / count)


def test_a_batch_without_objects_trains_objectness() -> None:
    head = make()
    empty = samples()[1]
    losses = head.loss(features(), [empty, empty])
    assert losses["loss_cls"] == losses["loss_bbox"] == 0
    sum(losses.values()).backward()
    assert head.multi_level_conv_obj[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("rescale", [False, True])
def test_a_place_gives_its_best_class_only(rescale: bool) -> None:
    head = make()
    cls, _, obj, boxes, _ = rows(head)
    for b, found in enumerate(head.predict(features(), samples(), rescale=rescale)):
        best, labels = cls[b].sigmoid().max(1)
        scores = best * obj[b].sigmoid()
        kept = []
        for label in range(3):
            places = ((labels == label) & (scores >= 0.2)).nonzero().squeeze(1)
            kept += places[nms(boxes[b][places], scores[places], 0.5)].tolist()
        kept.sort(key=lambda place: -scores[place])
        assert len(kept) > 2
        torch.testing.assert_close(found.scores, scores[kept])
        assert found.labels.tolist() == labels[kept].tolist()
        scale = torch.tensor([0.5, 2.0, 0.5, 2.0]) if rescale else 1
        torch.testing.assert_close(found.bboxes, boxes[b][kept] * scale)


def test_logits_start_at_one_percent() -> None:
    head = make()
    head.init_weights()
    for conv in (*head.multi_level_conv_cls, *head.multi_level_conv_obj):
        torch.testing.assert_close(conv.bias.sigmoid(), torch.full_like(conv.bias, 0.01))
