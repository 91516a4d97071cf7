"""Strategies: how a run uses its devices."""

from toolkit.runner.strategy.base import BaseStrategy
from toolkit.runner.strategy.deepspeed import (
    DeepSpeedOptimWrapper,
    DeepSpeedStrategy,
    MMDeepSpeedEngineWrapper,
)
from toolkit.runner.strategy.fsdp import FSDPStrategy
from toolkit.runner.strategy.plain import DDPStrategy, SingleDeviceStrategy

__all__ = [
    "BaseStrategy",
    "DDPStrategy",
    "DeepSpeedOptimWrapper",
    "DeepSpeedStrategy",
    "FSDPStrategy",
    "MMDeepSpeedEngineWrapper",
    "SingleDeviceStrategy",
]
