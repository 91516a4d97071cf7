"""`toolkit analyze` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from toolkit.cli import main

CLASSIFIER = """
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=512))
test_dataloader = dict(dataset=dict(type='CustomDataset', data_root='/nowhere', pipeline=[
    dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224), dict(type='PackInputs')]))
default_scope = 'mmpretrain'
"""


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["analyze", *map(str, arguments)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "resnet18.py"
    path.write_text(CLASSIFIER)
    return path


def test_a_classifier(config: Path) -> None:
    # torchvision publishes 11689512 parameters and 1.814 GMACs of this model.
    wanted = "ImageClassifier at 3 x 224 x 224: 11.69M parameters, 1.814G multiply-adds, 3.628G FLOPs"
    assert wanted in run(config)


def test_shape_depth_and_arch(config: Path) -> None:
    output = run(config, "--shape", 32, 64, "--depth", 1, "--arch", "model.backbone.depth=34")
    assert "at 3 x 32 x 64: 21.8M parameters" in output
    assert "layer4" not in output.partition("\n\nmodule")[2]
    assert "(conv1): Conv2d(3, 64" in output


def test_a_detector(tmp_path: Path) -> None:
    output = run("configs/quickstart/faster-rcnn_r18_fpn_shapes.py", "--shape", "64", "64")
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if len(line.split()) == 5}
    assert float(rows["rpn_head"][1].rstrip("KMG")) > 0
    assert rows["FasterRCNN"][0].endswith("M")


def test_what_is_missing_is_said(config: Path, tmp_path: Path) -> None:
    assert "dpeth" in run(config, "model.backbone.dpeth=3", code=1)
    assert "one config" in run(config, config, code=1)
    no_size = tmp_path / "no_size.py"
    no_size.write_text(
        f"_base_ = '{config.name}'\ntest_dataloader = dict(dataset=dict(pipeline=[dict(type='PackInputs')]))"
    )
    assert "--shape" in run(no_size, code=1)
