"""Classes of the kinds that a config names, and a whole config of them."""

from __future__ import annotations

import copy

import pytest
from torch import nn

from toolkit.detection.registry import MODELS, TASK_UTILS


class PreNet(nn.Module):
    def __init__(self, backbone, head=None, data_preprocessor=None, train_cfg=None, test_cfg=None): ...


class PreBackbone(nn.Module):
    def __init__(self, depth, style="pytorch", norm_cfg=None, init_cfg=None): ...


class PreBackboneV2(PreBackbone):
    def __init__(self, extra=0, **kwargs):
        super().__init__(**kwargs)


class PreHead(nn.Module):
    def __init__(self, num_classes, loss_cls=None, bbox_coder=None, train_cfg=None, test_cfg=None): ...


class PreLoss(nn.Module):
    def __init__(self, weight=1.0): ...


class PreCoder:
    def __init__(self, means=(0.0,)): ...


@pytest.fixture(autouse=True)
def _registered():
    models = (PreNet, PreBackbone, PreBackboneV2, PreHead, PreLoss)
    for one in models:
        MODELS.register_module(module=one)
    TASK_UTILS.register_module(module=PreCoder)
    yield
    for one in models:
        del MODELS.module_dict[one.__name__]
    del TASK_UTILS.module_dict["PreCoder"]


def _loader(root: str) -> dict:
    return {
        "batch_size": 2,
        "num_workers": 0,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "dataset": {
            "type": "VOCDataset",
            "data_root": root,
            "ann_file": "list.txt",
            "data_prefix": {"sub_data_root": ""},
            "pipeline": [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations", "with_bbox": True}],
        },
    }


@pytest.fixture
def good(tmp_path):
    """A config in which nothing is wrong."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "list.txt").write_text("")
    cfg = {
        "default_scope": "mmdet",
        "model": {
            "type": "PreNet",
            "backbone": {
                "type": "PreBackbone",
                "depth": 50,
                "norm_cfg": {"type": "BN", "requires_grad": True},
            },
            "head": {
                "type": "PreHead",
                "num_classes": 3,
                "loss_cls": {"type": "PreLoss", "weight": 2.0},
                "bbox_coder": {"type": "PreCoder"},
            },
            "train_cfg": {"rcnn": {"assigner": {"type": "PreCoder", "means": (1.0,)}, "pos_weight": -1}},
            "test_cfg": {"nms": {"type": "nms", "iou_threshold": 0.5}, "score_thr": 0.05},
        },
        "train_dataloader": _loader(str(root)),
        "val_dataloader": _loader(str(root)),
        "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": 2, "val_interval": 1},
        "val_cfg": {"type": "ValLoop"},
        "val_evaluator": {"type": "VOCMetric", "metric": "mAP"},
        "optim_wrapper": {
            "type": "OptimWrapper",
            "optimizer": {"type": "SGD", "lr": 0.1},
            "clip_grad": {"max_norm": 1, "type": "norm"},
            "paramwise_cfg": {"norm_decay_mult": 0.0},
        },
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 5},
            {"type": "MultiStepLR", "milestones": [1], "by_epoch": True, "convert_to_iter_based": True},
        ],
        "default_hooks": {
            "logger": {"type": "LoggerHook", "interval": 5},
            "timer": {"type": "IterTimerHook", "priority": "LOW"},
            "off": None,
        },
        "custom_hooks": [{"type": "EmptyCacheHook"}],
        "visualizer": {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}], "name": "v"},
        "log_processor": {"window_size": 5, "by_epoch": True},
        "env_cfg": {"cudnn_benchmark": False},
    }
    return copy.deepcopy(cfg)
