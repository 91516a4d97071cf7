"""Configs and models by `package::path`."""

from __future__ import annotations

import pytest

from toolkit.hub import get_config, get_model
from toolkit.utils import CheckpointError, ConfigError

NAME = "mmdet::retinanet/retinanet_r18_fpn_1x_coco"


def test_a_config_and_its_model() -> None:
    cfg = get_config(f"{NAME}.py")
    assert cfg.model.type == "RetinaNet"
    model = get_model(NAME, init_cfg=None)
    assert type(model).__name__ == "RetinaNet"
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])


def test_what_is_not_there() -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        get_config("mmdet::retinanet/retinanet_r18_fpn_1x_cocoo.py")
    with pytest.raises(CheckpointError, match="load_checkpoint"):
        get_model(NAME, pretrained=True)
