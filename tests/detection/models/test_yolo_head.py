from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import batched_nms

from toolkit.detection.models.task_modules.coders import YOLOBBoxCoder
from toolkit.detection.models.task_modules.prior_generators import YOLOAnchorGenerator
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

SIZES = [[(30, 20), (20, 40)], [(10, 12), (16, 8)]]
ANCHORS = {"type": "YOLOAnchorGenerator", "base_sizes": SIZES, "strides": [16, 8]}
BCE = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0, "reduction": "sum"}
TEST_CFG = {
    "nms_pre": 100,
    "min_bbox_size": 0,
    "score_thr": 0.05,
    "conf_thr": 0.3,
    "nms": {"type": "nms", "iou_threshold": 0.45},
    "max_per_img": 20,
}


def make(**kwargs: Any) -> Any:
    torch.manual_seed(0)
    assigner = {"type": "GridAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.5, "min_pos_iou": 0}
    cfg = {
        "num_classes": 3,
        "in_channels": [6, 4],
        "out_channels": [8, 8],
        "anchor_generator": ANCHORS,
        "featmap_strides": [16, 8],
        "loss_cls": BCE,
        "loss_conf": BCE,
        "loss_xy": {**BCE, "loss_weight": 2.0},
        "loss_wh": {"type": "MSELoss", "loss_weight": 2.0, "reduction": "sum"},
        "train_cfg": {"assigner": assigner},
        "test_cfg": TEST_CFG,
    }
    return MODELS.build({"type": "YOLOV3Head", **cfg, **kwargs}).eval()


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 6, 3, 4) * 3, torch.randn(2, 4, 6, 8) * 3]


def samples() -> list[DetDataSample]:
    found = []
    for boxes in ([[5.0, 5, 30, 24], [30, 10, 50, 47]], [[2.0, 8, 14, 19]]):
        meta = {"img_shape": (48, 64), "pad_shape": (48, 64), "scale_factor": (2.0, 2.0)}
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.arange(len(boxes)) + 1)
        found.append(sample)
    return found


def rows(maps: list[torch.Tensor], image: int) -> torch.Tensor:
    return torch.cat([one[image].permute(1, 2, 0).reshape(-1, 8) for one in maps])


def test_anchors_are_in_the_middle_of_cells() -> None:
    generator = YOLOAnchorGenerator(strides=[16, 8], base_sizes=SIZES)
    first = generator.grid_priors([(1, 2), (1, 1)], device="cpu")[0]
    assert first.tolist() == [[-7, -2, 23, 18], [-2, -12, 18, 28], [9, -2, 39, 18], [14, -12, 34, 28]]
    with pytest.raises(BuildError, match="as many sizes"):
        YOLOAnchorGenerator(strides=[16, 8], base_sizes=[SIZES[0], SIZES[1][:1]])


def test_coder_is_its_own_inverse() -> None:
    torch.manual_seed(0)
    anchors = torch.tensor([[0.0, 0, 32, 16], [16, 8, 32, 40]])
    boxes = torch.tensor([[10.0, 4, 30, 16], [14, 12, 40, 30]])
    coder, stride = YOLOBBoxCoder(), torch.tensor([[16.0], [32.0]])
    encoded = coder.encode(anchors, boxes, stride)
    assert encoded[0, 0].item() == pytest.approx(0.5 + (20 - 16) / 16)
    assert encoded[0, 2].item() == pytest.approx(torch.tensor(20 / 32).log().item())
    torch.testing.assert_close(coder.decode(anchors, encoded, stride), boxes)
    far = coder.encode(anchors, boxes + 100, stride)
    assert far[:, :2].max() < 1  # a centre stays in its cell


def test_losses_of_one_anchor_after_the_other() -> None:
    head = make(one_hot_smoother=0.1)
    (maps,) = head(features())
    anchors = torch.cat(head.prior_generator.grid_priors([(3, 4), (6, 8)], device="cpu"))
    strides = torch.cat((torch.full((24,), 16.0), torch.full((96,), 8.0)))
    totals = dict.fromkeys(("loss_cls", "loss_conf", "loss_xy", "loss_wh"), torch.tensor(0.0))
    bce = F.binary_cross_entropy_with_logits
    for b, sample in enumerate(samples()):
        gt, pred = sample.gt_instances, rows(maps, b)
        flags = head.responsible_flags([(3, 4), (6, 8)], gt.bboxes)
        assert int(flags.sum()) == len(gt.bboxes) * 2 * 2
        inds = head.assigner.assign(InstanceData(priors=anchors, responsible_flags=flags), gt).gt_inds
        for i, owner in enumerate(inds.tolist()):
            if owner < 0:
                continue
            sure = torch.tensor(float(owner > 0))
            totals["loss_conf"] = totals["loss_conf"] + bce(pred[i, 4], sure)
            if owner == 0:
                continue
            goal = head.bbox_coder.encode(anchors[i], gt.bboxes[owner - 1], strides[i])
            classes = torch.full((3,), 0.1 / 3)
            classes[gt.labels[owner - 1]] += 0.9
            totals["loss_cls"] = totals["loss_cls"] + bce(pred[i, 5:], classes, reduction="sum")
            totals["loss_xy"] = totals["loss_xy"] + 2 * bce(pred[i, :2], goal[:2], reduction="sum")
            totals["loss_wh"] = totals["loss_wh"] + 2 * ((pred[i, 2:4] - goal[2:]) ** 2).sum()
    losses = head.loss(features(), samples())
    for name, total in totals.items():
        assert total > 0
        torch.testing.assert_close(sum(losses[name]), total, rtol=1e-5, atol=1e-4)


def test_detections() -> None:
    head = make()
    (maps,) = head(features())
    anchors = torch.cat(head.prior_generator.grid_priors([(3, 4), (6, 8)], device="cpu"))
    strides = torch.cat((torch.full((24, 1), 16.0), torch.full((96, 1), 8.0)))
    results = head.predict(features(), samples(), rescale=True)
    for b, result in enumerate(results):
        pred = rows(maps, b)
        boxes = torch.cat((pred[:, :2].sigmoid(), pred[:, 2:4]), 1)
        boxes = head.bbox_coder.decode(anchors, boxes, strides) / 2
        sure, scores = pred[:, 4].sigmoid(), pred[:, 5:].sigmoid()
        scores = scores * (sure >= 0.3)[:, None]
        best = scores.flatten().argsort(descending=True)[:100]
        best = best[scores.flatten()[best] > 0.05]
        place, label = best // 3, best % 3
        final = scores.flatten()[best] * sure[place]
        keep = batched_nms(boxes[place], final, label, 0.45)[:20]
        torch.testing.assert_close(result.scores, final[keep])
        torch.testing.assert_close(result.bboxes, boxes[place][keep])
        assert result.labels.tolist() == label[keep].tolist()


def test_initialisation_and_wrong_lengths() -> None:
    head = make()
    head.init_weights()
    bias = head.convs_pred[0].bias.view(2, 8)
    assert bias[0, 4].sigmoid().item() == pytest.approx(8 / (608 / 16) ** 2)
    assert bias[1, 5].sigmoid().item() == pytest.approx(0.01)
    with pytest.raises(BuildError, match="same length"):
        make(in_channels=[6])
