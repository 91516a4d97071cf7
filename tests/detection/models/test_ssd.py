from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.models import vgg16

from toolkit.config import Config
from toolkit.detection.models.backbones import SSDVGG
from toolkit.detection.models.necks import L2Norm, SSDNeck
from toolkit.detection.models.task_modules.coders import DeltaXYWHBBoxCoder, LegacyDeltaXYWHBBoxCoder
from toolkit.detection.models.task_modules.prior_generators import (
    LegacyAnchorGenerator,
    LegacySSDAnchorGenerator,
    SSDAnchorGenerator,
)
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
STRIDES = [8, 16, 32, 64, 100, 300]


def test_sizes_of_ssd300_and_ssd512() -> None:
    generator = SSDAnchorGenerator(STRIDES, RATIOS, scale_major=False)
    # the sizes of the authors' code for COCO, and 8732 anchors in all
    assert generator.base_sizes == [21, 45, 99, 153, 207, 261]
    maps = [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]
    anchors = generator.grid_priors(maps, device="cpu")
    assert sum(map(len, anchors)) == 8732
    first = anchors[0][:4]
    torch.testing.assert_close((first[:, :2] + first[:, 2:]) / 2, torch.full((4, 2), 4.0))
    sides = first[:, 2:] - first[:, :2]
    expected = [[21, 21], [(21 * 45) ** 0.5] * 2, [21 * 2**0.5, 21 / 2**0.5], [21 / 2**0.5, 21 * 2**0.5]]
    torch.testing.assert_close(sides, torch.tensor(expected))
    voc = SSDAnchorGenerator(STRIDES, RATIOS, basesize_ratio_range=(0.2, 0.9), scale_major=False)
    assert voc.base_sizes == [30, 60, 111, 162, 213, 264]
    large = SSDAnchorGenerator(
        [8, 16, 32, 64, 128, 256, 512],
        [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
        basesize_ratio_range=(0.1, 0.9),
        input_size=512,
        scale_major=False,
    )
    assert large.base_sizes == [20, 51, 133, 215, 296, 378, 460]
    assert large.num_base_priors == [4, 6, 6, 6, 6, 4, 4]


def test_wrong_anchors_are_told() -> None:
    with pytest.raises(BuildError, match="min_sizes and max_sizes"):
        SSDAnchorGenerator(STRIDES, RATIOS, input_size=400)
    with pytest.raises(BuildError, match="both"):
        SSDAnchorGenerator(STRIDES, RATIOS, min_sizes=[1] * 6)
    with pytest.raises(BuildError, match="5 ratios"):
        SSDAnchorGenerator(STRIDES, RATIOS[:5])


def test_anchors_and_boxes_of_the_first_version() -> None:
    generator = LegacyAnchorGenerator([16], [1.0], [1.0], [9], center_offset=0.5)
    found = generator.grid_priors([(2, 2)], device="cpu")[0]
    assert found.tolist() == [[0, 0, 8, 8], [16, 0, 24, 8], [0, 16, 8, 24], [16, 16, 24, 24]]
    old = LegacySSDAnchorGenerator(STRIDES, RATIOS, (0.15, 0.9), scale_major=False)
    assert old.base_anchors[0][0].tolist() == [-6, -6, 14, 14]  # 21 wide, its last pixel included

    coder, plain = LegacyDeltaXYWHBBoxCoder(), DeltaXYWHBBoxCoder()
    priors = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
    deltas = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.7, -1.9, -0.5, 0.3]])
    # the documented example of the first version
    expected = [[0.0, 0.0, 1.5, 1.5], [0.0, 0.0, 5.2183, 5.2183], [5.3967, 2.4251, 6.0033, 3.7749]]
    found = coder.decode(priors, deltas, max_shape=(32, 32))
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)
    goal = torch.tensor([[2.0, 3.0, 8.0, 7.0]]).expand(3, 4)
    shifted = torch.tensor([-0.5, -0.5, 0.5, 0.5])
    torch.testing.assert_close(coder.encode(priors, goal), plain.encode(priors + shifted, goal + shifted))


def test_vgg_is_torchvisions_with_two_convolutions_more() -> None:
    backbone = SSDVGG(16).eval()
    reference = vgg16(weights=None).features.eval()
    assert [str(a) for a in backbone.features[:30] if "Pool" not in str(a)] == [
        str(b) for b in reference[:30] if "Pool" not in str(b)
    ]
    shapes = [tuple(one.shape[1:]) for one in backbone(torch.zeros(1, 3, 75, 75))]
    assert shapes == [(512, 10, 10), (1024, 5, 5)]  # rounded up
    with pytest.raises(BuildError, match="depth"):
        SSDVGG(12)


def neck(**kwargs: Any) -> SSDNeck:
    return SSDNeck((8, 12), (8, 12, 6, 4), level_strides=(2, 1), level_paddings=(1, 0), **kwargs)


def test_neck() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 8, 10, 10), torch.randn(2, 12, 5, 5)]
    outs = neck()(maps)
    assert [tuple(one.shape[1:]) for one in outs] == [(8, 10, 10), (12, 5, 5), (6, 3, 3), (4, 1, 1)]
    # all features of a place have the length of the scale
    torch.testing.assert_close(outs[0].norm(dim=1), torch.full((2, 10, 10), 20.0))
    torch.testing.assert_close(L2Norm(8, 3.0)(maps[0]), 3 * F.normalize(maps[0]))
    plain = neck(l2_norm_scale=None, use_depthwise=True)
    assert plain(maps)[0] is maps[0]
    assert "extra_layers.0.1.depthwise_conv.conv.weight" in plain.state_dict()
    module = neck(l2_norm_scale=7)
    module.init_weights()
    assert (module.l2_norm.weight == 7).all()
    with pytest.raises(BuildError, match="begin with in_channels"):
        SSDNeck((8, 12), (8, 13, 6), (2,), (1,))
    with pytest.raises(BuildError, match="level_strides"):
        SSDNeck((8, 12), (8, 12, 6), (2, 2), (1,))


def small_head(**kwargs: Any) -> Any:
    torch.manual_seed(0)
    cfg = {
        "type": "SSDHead",
        "num_classes": 3,
        "in_channels": (8, 4),
        "anchor_generator": {
            "type": "SSDAnchorGenerator",
            "strides": [8, 16],
            "ratios": [[2], [2, 3]],
            "min_sizes": [16, 32],
            "max_sizes": [32, 60],
            "scale_major": False,
        },
        "train_cfg": {
            "assigner": {
                "type": "MaxIoUAssigner",
                "pos_iou_thr": 0.5,
                "neg_iou_thr": 0.5,
                "gt_max_assign_all": False,
            },
            "smoothl1_beta": 0.5,
            "allowed_border": -1,
            "pos_weight": -1,
            "neg_pos_ratio": 3,
        },
        "test_cfg": {"nms_pre": 50, "nms": {"type": "nms", "iou_threshold": 0.45}, "score_thr": 0.02},
    }
    return MODELS.build({**cfg, **kwargs})


def samples() -> list[DetDataSample]:
    found = []
    for boxes in ([[5.0, 5, 30, 30], [20, 20, 60, 50]], [[10.0, 8, 40, 40]]):
        sample = DetDataSample(metainfo={"img_shape": (64, 64), "pad_shape": (64, 64)})
        sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.arange(len(boxes)) + 1)
        found.append(sample)
    return found


def test_loss_mines_the_worst_background_of_each_image() -> None:
    head = small_head()
    maps = [torch.randn(2, 8, 8, 8), torch.randn(2, 4, 4, 4)]
    scores, boxes = head(maps)
    anchors = torch.cat(head.prior_generator.grid_priors([(8, 8), (4, 4)], device="cpu"))
    loss_cls, loss_bbox, objects = torch.tensor(0.0), torch.tensor(0.0), 0
    for b, sample in enumerate(samples()):
        gt = sample.gt_instances
        inds = head.assigner.assign(InstanceData(priors=anchors), gt).gt_inds
        flat = torch.cat([one[b].permute(1, 2, 0).reshape(-1, 4) for one in scores])
        positive = inds > 0
        target = torch.where(positive, gt.labels[(inds - 1).clamp(min=0)], 3)
        each = F.cross_entropy(flat, target, reduction="none")
        count = int(positive.sum())
        loss_cls = (
            loss_cls + each[positive].sum() + each[~positive].sort(descending=True)[0][: 3 * count].sum()
        )
        regressed = torch.cat([one[b].permute(1, 2, 0).reshape(-1, 4) for one in boxes])[positive]
        goal = head.bbox_coder.encode(anchors[positive], gt.bboxes[inds[positive] - 1])
        loss_bbox = loss_bbox + F.smooth_l1_loss(regressed, goal, beta=0.5, reduction="sum")
        objects += count
    losses = head.loss(maps, samples())
    torch.testing.assert_close(losses["loss_cls"], loss_cls / objects)
    torch.testing.assert_close(losses["loss_bbox"], loss_bbox / objects)


def test_layers_of_a_light_head() -> None:
    head = small_head(use_depthwise=True, stacked_convs=1, feat_channels=6, norm_cfg={"type": "BN"})
    keys = head.state_dict()
    assert keys["cls_convs.0.0.depthwise_conv.conv.weight"].shape == (8, 1, 3, 3)
    assert keys["cls_convs.0.1.conv.weight"].shape == (6, 1, 3, 3)
    assert keys["cls_convs.0.2.weight"].shape == (4 * 4, 6, 1, 1)
    assert keys["reg_convs.1.2.weight"].shape == (6 * 4, 6, 1, 1)


def test_checkpoints_of_earlier_versions_load() -> None:
    config = Path(__file__).parents[3] / "configs/_base_/models/ssd300.py"
    cfg = Config.fromfile(config).model
    cfg.backbone.init_cfg = None
    model = MODELS.build(cfg)
    state = {key: torch.full_like(value, i) for i, (key, value) in enumerate(model.state_dict().items())}
    old = {}
    for key, value in state.items():
        if key.startswith("neck.extra_layers."):
            level, place, rest = key.removeprefix("neck.extra_layers.").split(".", 2)
            key = f"backbone.extra.{2 * int(level) + int(place)}.{rest.removeprefix('conv.')}"
        elif key.startswith("bbox_head."):
            key = key.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
        old[key.replace("neck.l2_norm", "backbone.l2_norm")] = value
    assert "backbone.extra.7.bias" in old
    assert "bbox_head.cls_convs.5.weight" in old
    model.load_state_dict(old, strict=True)
    assert all((value == state[key]).all() for key, value in model.state_dict().items())
