"""A tiny Pascal VOC folder and a config that trains a small Faster R-CNN on it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import cv2
import numpy as np
import pytest

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

OBJECT = """
  <object><name>{name}</name><difficult>0</difficult>
    <bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


def write_voc(root: Path, images: int = 4, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Write `images` pictures of 64x48 with one box a class, listed in train.txt and test.txt."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    stems = [f"picture_{number}" for number in range(images)]
    for stem in stems:
        cv2.imwrite(str(root / f"JPEGImages/{stem}.jpg"), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        objects = "".join(
            OBJECT.format(5 + 25 * place, 8, 25 + 25 * place, 36, name=name)
            for place, name in enumerate(names)
        )
        (root / f"Annotations/{stem}.xml").write_text(
            f"<annotation><size><width>64</width><height>48</height><depth>3</depth></size>{objects}</annotation>"
        )
    for split in ("train", "test"):
        (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(stems) + "\n")
    return root


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """The root of a VOC folder with classes cat and dog."""
    return write_voc(tmp_path / "data")


@pytest.fixture
def config(tmp_path: Path, voc: Path) -> Path:
    """A config file for the VOC folder: two iterations of a small Faster R-CNN."""
    path = tmp_path / "tiny.py"
    path.write_text(
        dedent(f"""\
        _base_ = ['{CONFIGS}/_base_/models/faster-rcnn_r50_fpn.py', '{CONFIGS}/_base_/default_runtime.py']
        data_root = '{voc}/'
        classes = ('cat', 'dog')
        model = dict(
            backbone=dict(depth=18, base_channels=8, frozen_stages=-1, norm_eval=False, init_cfg=None),
            neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
            rpn_head=dict(in_channels=16, feat_channels=16),
            roi_head=dict(
                bbox_roi_extractor=dict(out_channels=16),
                bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=2)))
        pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(64, 48), keep_ratio=True),
            dict(type='PackDetInputs'),
        ]
        dataset = dict(type='VOCDataset', data_root=data_root, metainfo=dict(classes=classes),
                       pipeline=pipeline, data_prefix=dict(sub_data_root=''),
                       filter_cfg=dict(filter_empty_gt=True, min_size=8))
        train_dataloader = dict(
            batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(_base_dataset, ann_file='ImageSets/Main/train.txt'))
        val_dataloader = dict(
            batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(_base_dataset, ann_file='ImageSets/Main/test.txt', test_mode=True))
        test_dataloader = val_dataloader
        val_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='area')
        test_evaluator = val_evaluator
        train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
        val_cfg = dict(type='ValLoop')
        test_cfg = dict(type='TestLoop')
        optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))
        work_dir = '{tmp_path}/work'
        """).replace("_base_dataset", "**dataset")
    )
    return path
