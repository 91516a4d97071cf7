"""MMCV 1.x runners and hooks, and maskrcnn-benchmark's trainer, over the present engine.

What was written for them works with its imports renamed; see docs/migration.md.
"""

from toolkit.hooks.priority import Priority, get_priority
from toolkit.runner.legacy.checkpointer import Checkpointer, DetectronCheckpointer, WarmupMultiStepLR
from toolkit.runner.legacy.detector import train_detector
from toolkit.runner.legacy.eval_hook import DistEvalHook, EvalHook, single_gpu_test
from toolkit.runner.legacy.hook import HOOKS, Hook
from toolkit.runner.legacy.hooks import (
    CheckpointHook,
    ClosureHook,
    EMAHook,
    IterTimerHook,
)
from toolkit.runner.legacy.log_buffer import LogBuffer
from toolkit.runner.legacy.logger_hooks import LoggerHook, TensorboardLoggerHook, TextLoggerHook
from toolkit.runner.legacy.lr_updater import LrUpdaterHook
from toolkit.runner.legacy.metric_logger import MetricLogger, SmoothedValue
from toolkit.runner.legacy.momentum_updater import MomentumUpdaterHook
from toolkit.runner.legacy.optimizer_hook import (
    Fp16OptimizerHook,
    GradientCumulativeFp16OptimizerHook,
    GradientCumulativeOptimizerHook,
    OptimizerHook,
)
from toolkit.runner.legacy.runner import BaseRunner, EpochBasedRunner, IterBasedRunner
from toolkit.runner.legacy.trainer import do_train

__all__ = [
    "HOOKS",
    "BaseRunner",
    "CheckpointHook",
    "Checkpointer",
    "ClosureHook",
    "DetectronCheckpointer",
    "DistEvalHook",
    "EMAHook",
    "EpochBasedRunner",
    "EvalHook",
    "Fp16OptimizerHook",
    "GradientCumulativeFp16OptimizerHook",
    "GradientCumulativeOptimizerHook",
    "Hook",
    "IterBasedRunner",
    "IterTimerHook",
    "LogBuffer",
    "LoggerHook",
    "LrUpdaterHook",
    "MetricLogger",
    "MomentumUpdaterHook",
    "OptimizerHook",
    "Priority",
    "SmoothedValue",
    "TensorboardLoggerHook",
    "TextLoggerHook",
    "WarmupMultiStepLR",
    "do_train",
    "get_priority",
    "single_gpu_test",
    "train_detector",
]
