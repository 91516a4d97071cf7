"""Configs of MMCV 1.x and MMDetection 2.x become what the present schema says the same with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolkit.config import Config, ConfigDict
from toolkit.config.migrate import is_old, migrate
from toolkit.utils.errors import ConfigError

OLD = """
dataset_type = 'CocoDataset'
data_root = 'data/coco/'
norm = dict(mean=[103.5, 116.3, 123.7], std=[1.0, 1.0, 1.0], to_rgb=False)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
    dict(type='Resize', img_scale=[(1333, 640), (1333, 800)], multiscale_mode='value', keep_ratio=True),
    dict(type='RandomFlip', flip_ratio=0.5),
    dict(type='Normalize', **norm),
    dict(type='Pad', size_divisor=32),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale=(1333, 800), flip=False, transforms=[
        dict(type='Resize', keep_ratio=True),
        dict(type='RandomFlip'),
        dict(type='Normalize', **norm),
        dict(type='Pad', size_divisor=32),
        dict(type='ImageToTensor', keys=['img']),
        dict(type='Collect', keys=['img']),
    ]),
]
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=3,
    train=dict(type=dataset_type, ann_file=data_root + 'train.json', img_prefix=data_root + 'train/',
               classes=('cat', 'dog'), pipeline=train_pipeline),
    val=dict(type=dataset_type, ann_file=data_root + 'val.json', img_prefix=data_root + 'val/',
             pipeline=test_pipeline),
    test=dict(type=dataset_type, ann_file=data_root + 'val.json', img_prefix=data_root + 'val/',
              pipeline=test_pipeline))
model = dict(type='RetinaNet', pretrained='torchvision://resnet50', backbone=dict(type='ResNet', depth=50),
             bbox_head=dict(type='RetinaHead', num_classes=2),
             train_cfg=dict(assigner=dict(type='MaxIoUAssigner')),
             test_cfg=dict(nms=dict(type='nms', iou_thr=0.5)))
optimizer = dict(type='SGD', lr=0.02, momentum=0.9, paramwise_cfg=dict(norm_decay_mult=0.))
optimizer_config = dict(grad_clip=dict(max_norm=35, norm_type=2))
lr_config = dict(policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001, step=[8, 11])
runner = dict(type='EpochBasedRunner', max_epochs=12)
evaluation = dict(interval=2, metric=['bbox', 'segm'], save_best='bbox_mAP')
checkpoint_config = dict(interval=3, max_keep_ckpts=2)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook'), dict(type='TensorboardLoggerHook')])
custom_hooks = [dict(type='NumClassCheckHook'), dict(type='CheckInvalidLossHook', interval=50)]
dist_params = dict(backend='nccl')
log_level = 'INFO'
load_from = None
resume_from = 'work_dirs/a/latest.pth'
workflow = [('train', 1)]
opencv_num_threads = 0
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.py"
    path.write_text(OLD)
    return path


def place(beginning: str) -> str:
    """The line of the old config that begins so."""
    numbers = [n for n, line in enumerate(OLD.splitlines(), 1) if line.strip().startswith(beginning)]
    return f"old.py:{numbers[0]}"


def kinds(pipeline: Any) -> list[str]:
    return [item["type"] for item in pipeline]


def names(**values: Any) -> ConfigDict:
    return ConfigDict(values)


def test_training_pipeline(old: Path) -> None:
    pipeline = Config.fromfile(old).train_dataloader.dataset.pipeline
    assert kinds(pipeline) == [
        "LoadImageFromFile",
        "LoadAnnotations",
        "RandomChoiceResize",
        "RandomFlip",
        "PackDetInputs",
    ]
    assert pipeline[2] == {
        "type": "RandomChoiceResize",
        "scales": [(1333, 640), (1333, 800)],
        "keep_ratio": True,
    }
    assert pipeline[3] == {"type": "RandomFlip", "prob": 0.5}


def test_evaluation_pipeline_loads_ground_truth_after_resizing(old: Path) -> None:
    pipeline = Config.fromfile(old).test_dataloader.dataset.pipeline
    assert kinds(pipeline) == ["LoadImageFromFile", "Resize", "LoadAnnotations", "PackDetInputs"]
    assert pipeline[1] == {"type": "Resize", "scale": (1333, 800), "keep_ratio": True}
    assert pipeline[2] == {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True}


def test_normalising_and_padding_move_to_the_data_preprocessor(old: Path) -> None:
    assert Config.fromfile(old).model.data_preprocessor == {
        "type": "DetDataPreprocessor",
        "mean": [103.5, 116.3, 123.7],
        "std": [1.0, 1.0, 1.0],
        "bgr_to_rgb": False,
        "pad_size_divisor": 32,
        "pad_mask": True,
    }


def test_datasets_and_dataloaders(old: Path) -> None:
    cfg = Config.fromfile(old)
    train = cfg.train_dataloader
    assert (train.batch_size, train.num_workers, train.persistent_workers) == (4, 3, True)
    assert train.sampler == {"type": "DefaultSampler", "shuffle": True}
    assert train.dataset.data_root == "data/coco/"
    assert train.dataset.ann_file == "train.json"
    assert train.dataset.data_prefix == {"img": "train/"}
    assert train.dataset.metainfo == {"classes": ("cat", "dog")}
    assert train.dataset.filter_cfg == {"filter_empty_gt": True, "min_size": 32}
    assert cfg.val_dataloader.batch_size == 1
    assert cfg.val_dataloader.dataset.test_mode is True
    assert cfg.val_evaluator.ann_file == "data/coco/val.json"
    assert cfg.val_evaluator.metric == ["bbox", "segm"]


def test_model(old: Path) -> None:
    model = Config.fromfile(old).model
    assert "pretrained" not in model
    assert model.backbone.init_cfg == {"type": "Pretrained", "checkpoint": "torchvision://resnet50"}
    assert model.train_cfg.sampler == {"type": "PseudoSampler"}
    assert model.test_cfg.nms == {"type": "nms", "iou_threshold": 0.5}


def test_optimizer_schedule_and_loops(old: Path) -> None:
    cfg = Config.fromfile(old)
    assert cfg.optim_wrapper == {
        "type": "OptimWrapper",
        "optimizer": {"type": "SGD", "lr": 0.02, "momentum": 0.9},
        "paramwise_cfg": {"norm_decay_mult": 0.0},
        "clip_grad": {"max_norm": 35, "norm_type": 2},
    }
    assert cfg.param_scheduler == [
        {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": 500},
        {
            "type": "MultiStepLR",
            "milestones": [8, 11],
            "gamma": 0.1,
            "by_epoch": True,
            "begin": 0,
            "end": 12,
        },
    ]
    assert cfg.train_cfg == {"type": "EpochBasedTrainLoop", "max_epochs": 12, "val_interval": 2}


def test_hooks_backends_and_resume(old: Path) -> None:
    cfg = Config.fromfile(old)
    assert cfg.default_hooks.checkpoint == {
        "type": "CheckpointHook",
        "interval": 3,
        "max_keep_ckpts": 2,
        "save_best": "coco/bbox_mAP",
    }
    assert cfg.default_hooks.logger == {"type": "LoggerHook", "interval": 50}
    assert cfg.vis_backends == [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend"}]
    assert cfg.custom_hooks == [{"type": "CheckInvalidLossHook", "interval": 50}]
    assert (cfg.load_from, cfg.resume) == ("work_dirs/a/latest.pth", True)
    assert cfg.env_cfg.mp_cfg == {"opencv_num_threads": 0}


def test_every_step_names_its_line_and_nothing_old_is_left(old: Path) -> None:
    cfg = Config.fromfile(old)
    step = f"{place('optimizer =')}: optimizer -> optim_wrapper.optimizer"
    assert any(line.endswith(step) for line in cfg.migration)
    left = {
        "data",
        "optimizer",
        "lr_config",
        "runner",
        "evaluation",
        "workflow",
        "dist_params",
        "resume_from",
    }
    assert not left & set(cfg)
    assert not is_old(cfg._cfg_dict)


def test_values_keep_the_place_where_they_were_written(old: Path) -> None:
    cfg = Config.fromfile(old)
    assert str(cfg.origin("train_dataloader.dataset.ann_file")).endswith(place("train=dict"))
    assert str(cfg.origin("optim_wrapper.optimizer.lr")).endswith(place("optimizer ="))


def test_result_reads_back_as_itself(old: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(old)
    cfg.dump(tmp_path / "new.py")
    again = Config.fromfile(tmp_path / "new.py")
    assert again.migration == []
    assert again.to_dict() == cfg.to_dict()


def test_overrides_may_speak_of_the_old_schema_or_the_new(old: Path) -> None:
    cfg = Config.fromfile(
        old, overrides={"optimizer.lr": 0.1, "data.samples_per_gpu": 8, "train_dataloader.num_workers": 0}
    )
    assert cfg.optim_wrapper.optimizer.lr == 0.1
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.train_dataloader.num_workers == 0
    assert "optimizer" not in cfg


def test_present_configs_are_left_alone() -> None:
    root = Path(__file__).resolve().parents[2] / "configs"
    for path in sorted(root.rglob("*.py")):
        assert Config.fromfile(path).migration == [], path


@pytest.mark.parametrize(
    ("lr_config", "expected"),
    [
        ({"policy": "fixed"}, []),
        ({"policy": "step", "step": 3}, [{"type": "StepLR", "step_size": 3, "gamma": 0.1}]),
        ({"policy": "exp", "gamma": 0.9}, [{"type": "ExponentialLR", "gamma": 0.9}]),
        (
            {"policy": "poly", "power": 0.9, "min_lr": 1e-4},
            [{"type": "PolyLR", "power": 0.9, "eta_min": 1e-4}],
        ),
        (
            {"policy": "CosineAnnealing", "min_lr_ratio": 0.01},
            [{"type": "CosineAnnealingLR", "T_max": 12, "eta_min_ratio": 0.01}],
        ),
        (
            {"policy": "step", "step": [8], "warmup": "constant", "warmup_iters": 100, "warmup_ratio": 0.3},
            [
                {"type": "ConstantLR", "factor": 0.3, "by_epoch": False, "begin": 0, "end": 100},
                {"type": "MultiStepLR", "milestones": [8], "gamma": 0.1},
            ],
        ),
    ],
    ids=lambda value: value.get("policy") if isinstance(value, dict) else "",
)
def test_policies(lr_config: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    cfg = names(runner={"type": "EpochBasedRunner", "max_epochs": 12}, lr_config=lr_config)
    migrate(cfg)
    span = {"by_epoch": True, "begin": 0, "end": 12}
    assert cfg.param_scheduler == [{**span, **entry} for entry in expected]


def test_yolox_schedule() -> None:
    cfg = names(
        runner={"type": "EpochBasedRunner", "max_epochs": 300},
        optimizer={"type": "SGD", "lr": 0.01},
        lr_config={
            "policy": "YOLOX",
            "warmup": "exp",
            "by_epoch": False,
            "warmup_by_epoch": True,
            "warmup_ratio": 1,
            "warmup_iters": 5,
            "num_last_epochs": 15,
            "min_lr_ratio": 0.05,
        },
    )
    migrate(cfg)
    warm, wave, tail = cfg.param_scheduler
    assert (warm.type, warm.end) == ("mmdet.QuadraticWarmupLR", 5)
    assert (wave.begin, wave.end, wave.T_max, wave.eta_min) == (5, 285, 285, pytest.approx(0.0005))
    assert (tail.begin, tail.end, tail.factor) == (285, 300, 1)


def test_runs_of_iterations_count_everything_in_iterations() -> None:
    cfg = names(
        runner={"type": "IterBasedRunner", "max_iters": 900},
        lr_config={"policy": "step", "step": [600, 800]},
        checkpoint_config={"interval": 100},
        log_config={"interval": 10},
        data={"train": {"type": "CocoDataset", "ann_file": "a.json"}},
    )
    migrate(cfg)
    assert cfg.param_scheduler[0].by_epoch is False
    assert cfg.default_hooks.checkpoint.by_epoch is False
    assert cfg.log_processor.by_epoch is False
    assert cfg.train_dataloader.sampler.type == "InfiniteSampler"


def test_mixed_precision_and_accumulation() -> None:
    cfg = names(
        optimizer={"type": "SGD", "lr": 0.1},
        optimizer_config={"type": "GradientCumulativeOptimizerHook", "cumulative_iters": 4},
        fp16={"loss_scale": 512.0},
        lr_config={"policy": "fixed"},
    )
    migrate(cfg)
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.loss_scale, wrapper.accumulative_counts) == ("AmpOptimWrapper", 512.0, 4)


def test_multi_scale_and_flip_at_test_time_become_a_pipeline_of_their_own() -> None:
    augmented = {
        "type": "MultiScaleFlipAug",
        "img_scale": [(640, 480), (800, 600)],
        "flip": True,
        "transforms": [{"type": "Resize", "keep_ratio": True}, {"type": "RandomFlip"}],
    }
    pipeline = [{"type": "LoadImageFromFile"}, augmented]
    cfg = names(data={"test": {"type": "CocoDataset", "ann_file": "a.json", "pipeline": pipeline}})
    migrate(cfg)
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (640, 480)
    resizes, flips, *_ = cfg.tta_pipeline[-1].transforms
    assert [one.scale for one in resizes] == [(640, 480), (800, 600)]
    assert [one.prob for one in flips] == [1.0, 0.0]
    assert cfg.tta_model.type == "DetTTAModel"


def test_lists_of_annotation_files_become_joined_datasets() -> None:
    train = {
        "type": "RepeatDataset",
        "times": 3,
        "dataset": {"type": "VOCDataset", "ann_file": ["a.txt", "b.txt"], "img_prefix": ["A/", "B/"]},
    }
    cfg = names(data={"train": train})
    migrate(cfg)
    joined = cfg.train_dataloader.dataset.dataset
    assert (joined.type, joined.ignore_keys) == ("ConcatDataset", ["dataset_type"])
    assert [one.ann_file for one in joined.datasets] == ["a.txt", "b.txt"]
    assert [one.data_prefix for one in joined.datasets] == [{"sub_data_root": "A/"}, {"sub_data_root": "B/"}]


def test_a_pipeline_may_be_empty() -> None:
    cfg = names(data={"train": {"type": "CocoDataset", "ann_file": "a.json", "pipeline": []}})
    migrate(cfg)
    assert kinds(cfg.train_dataloader.dataset.pipeline) == ["PackDetInputs"]


def test_proposals_move_with_what_moves_boxes() -> None:
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadProposals", "num_max_proposals": 2000},
        {"type": "LoadAnnotations", "with_bbox": True},
        {"type": "Resize", "img_scale": (100, 80), "keep_ratio": True},
        {"type": "RandomFlip", "flip_ratio": 0.5},
        {"type": "Collect", "keys": ["img", "proposals"]},
    ]
    cfg = names(data={"train": {"type": "CocoDataset", "ann_file": "a.json", "pipeline": pipeline}})
    migrate(cfg)
    found = cfg.train_dataloader.dataset.pipeline
    assert kinds(found) == [
        "LoadImageFromFile",
        "LoadProposals",
        "LoadAnnotations",
        "ProposalBroadcaster",
        "PackDetInputs",
    ]
    assert kinds(found[3].transforms) == ["Resize", "RandomFlip"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr_config": {"policy": "inv"}}, "policy 'inv' has no counterpart"),
        ({"lr_config": {"policy": "exp"}}, "needs 'gamma'"),
        ({"runner": {"type": "MyRunner", "max_epochs": 1}, "workflow": []}, "runner.type 'MyRunner'"),
        ({"lr_config": {"policy": "fixed"}, "momentum_config": {"policy": "cyclic"}}, "momentum_config"),
    ],
)
def test_what_has_no_counterpart_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        migrate(names(**values))
