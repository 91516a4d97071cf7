"""Hooks of detectors."""

from toolkit.detection.hooks.epoch_info import SetEpochInfoHook
from toolkit.detection.hooks.num_class_check import NumClassCheckHook
from toolkit.detection.hooks.pipeline_switch import PipelineSwitchHook, YOLOXModeSwitchHook
from toolkit.detection.hooks.sync_norm import SyncNormHook

__all__ = [
    "NumClassCheckHook",
    "PipelineSwitchHook",
    "SetEpochInfoHook",
    "SyncNormHook",
    "YOLOXModeSwitchHook",
]
