"""Hooks: what is done at the points of a run besides training itself."""

from toolkit.hooks.check_invalid_loss_hook import CheckInvalidLossHook
from toolkit.hooks.checkpoint_hook import CheckpointHook
from toolkit.hooks.closure_hook import ClosureHook
from toolkit.hooks.early_stopping_hook import EarlyStoppingHook
from toolkit.hooks.ema_hook import EMAHook
from toolkit.hooks.empty_cache_hook import EmptyCacheHook
from toolkit.hooks.hook import Hook
from toolkit.hooks.interval import Interval
from toolkit.hooks.iter_timer_hook import IterTimerHook
from toolkit.hooks.logger_hook import LoggerHook
from toolkit.hooks.param_scheduler_hook import ParamSchedulerHook
from toolkit.hooks.prepare_tta_hook import PrepareTTAHook
from toolkit.hooks.priority import Priority, get_priority
from toolkit.hooks.profiler_hook import ProfilerHook
from toolkit.hooks.runtime_info_hook import RuntimeInfoHook
from toolkit.hooks.sampler_seed_hook import DistSamplerSeedHook
from toolkit.hooks.sync_buffer_hook import SyncBuffersHook
from toolkit.hooks.visualization_hook import NaiveVisualizationHook

__all__ = [
    "CheckInvalidLossHook",
    "CheckpointHook",
    "ClosureHook",
    "DistSamplerSeedHook",
    "EMAHook",
    "EarlyStoppingHook",
    "EmptyCacheHook",
    "Hook",
    "Interval",
    "IterTimerHook",
    "LoggerHook",
    "NaiveVisualizationHook",
    "ParamSchedulerHook",
    "PrepareTTAHook",
    "Priority",
    "ProfilerHook",
    "RuntimeInfoHook",
    "SyncBuffersHook",
    "get_priority",
]
