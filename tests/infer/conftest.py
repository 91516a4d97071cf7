"""A small Mask R-CNN with random weights, its config and checkpoint as files, and pictures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from toolkit.config import Config
from toolkit.infer.load import build_model
from toolkit.runner import save_checkpoint

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CONFIG = f"""\
_base_ = ['{CONFIGS}/_base_/models/mask-rcnn_r50_fpn.py']
default_scope = 'mmdet'
model = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        mask_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=2),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16, num_classes=2)),
    test_cfg=dict(rpn=dict(max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=4)))
test_dataloader = dict(dataset=dict(
    type='CocoDataset', metainfo=dict(classes=('cat', 'dog')),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(80, 64), keep_ratio=True),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='PackDetInputs',
             meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]))
visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
"""


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """`config` and `checkpoint` as paths, `images`, a folder with three pictures of different sizes."""
    folder = tmp_path_factory.mktemp("detector")
    config = folder / "small.py"
    config.write_text(CONFIG)
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    model = build_model(cfg)
    meta = {"cfg": cfg.pretty_text, "dataset_meta": {"classes": ("cat", "dog")}}
    save_checkpoint({"state_dict": model.state_dict(), "meta": meta}, str(folder / "small.pth"))
    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(images / f"{number}.png"), cv2.resize(small, (40 + 8 * number, 32)))
    return SimpleNamespace(config=str(config), checkpoint=str(folder / "small.pth"), images=images)
