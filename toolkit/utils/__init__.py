"""Small parts that every layer may use: errors, suggestions, seeding."""

from toolkit.utils.errors import (
    BuildError,
    CheckpointError,
    ConfigError,
    DataError,
    ToolkitError,
    TrainingError,
)
from toolkit.utils.suggest import did_you_mean, nearest

__all__ = [
    "BuildError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ToolkitError",
    "TrainingError",
    "did_you_mean",
    "nearest",
]
