"""Weights of MMDetection 1.x: background first, heads of their own."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from toolkit.config import Config
from toolkit.detection.registry import MODELS
from toolkit.registry import DefaultScope
from toolkit.runner.checkpoint import load_checkpoint

CONFIGS = Path(__file__).parents[3] / "configs"
State = OrderedDict[str, Tensor]


def build(config: str) -> torch.nn.Module:
    cfg = Config.fromfile(CONFIGS / config).model
    cfg.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(cfg)


def random_state(model: torch.nn.Module) -> State:
    torch.manual_seed(0)
    return OrderedDict(
        (key, torch.randn_like(value) if value.is_floating_point() else value)
        for key, value in model.state_dict().items()
    )


def two_stage_of_1x(state: State, classes: int = 80) -> State:
    """What 1.x had in place of these: a background of each kind, before all classes."""
    old = OrderedDict()
    for key, value in state.items():
        if ".fc_cls." in key:
            value = torch.cat([value[classes:], value[:classes]])
        elif ".fc_reg." in key and len(value) == 4 * classes:
            value = torch.cat([torch.randn(4, *value.shape[1:]), value])
        elif ".conv_logits." in key and len(value) == classes:
            value = torch.cat([torch.randn(1, *value.shape[1:]), value])
        old[key.removeprefix("roi_head.")] = value
    return old


def ssd_of_1x(state: State) -> State:
    old = OrderedDict()
    for key, value in state.items():
        if key.startswith("neck.extra_layers."):
            level, place, _, name = key.removeprefix("neck.extra_layers.").split(".")
            key = f"backbone.extra.{2 * int(level) + int(place)}.{name}"
        elif key.startswith("bbox_head."):
            key = key.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
            if "cls_convs" in key:
                anchors = value.reshape(-1, 81, *value.shape[1:])
                value = torch.cat([anchors[:, 80:], anchors[:, :80]], 1).reshape(value.shape)
        old[key.replace("neck.l2_norm", "backbone.l2_norm")] = value
    return old


@pytest.mark.parametrize(
    ("config", "to_old", "meta"),
    [
        ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", two_stage_of_1x, {}),
        ("cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py", two_stage_of_1x, {}),
        ("fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py", two_stage_of_1x, {"mmdet_version": "1.1.0+a1b2"}),
        ("ssd/ssd300_coco.py", ssd_of_1x, {"mmdet_version": "1.0rc1"}),
    ],
)
def test_old_weights_become_new_ones(tmp_path, config, to_old, meta):
    model = build(config)
    wanted = random_state(model)
    old = to_old(wanted)
    assert list(old) != list(wanted)
    torch.save({"meta": meta, "state_dict": old}, tmp_path / "old.pth")
    load_checkpoint(model, tmp_path / "old.pth", strict=True)
    found = model.state_dict()
    assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []


@pytest.mark.parametrize("config", ["mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", "ssd/ssd300_coco.py"])
def test_newer_weights_stay(tmp_path, config):
    model = build(config)
    wanted = random_state(model)
    torch.save({"meta": {"mmdet_version": "2.25.0"}, "state_dict": wanted}, tmp_path / "new.pth")
    load_checkpoint(model, tmp_path / "new.pth", strict=True)
    assert all(torch.equal(value, wanted[key]) for key, value in model.state_dict().items())
