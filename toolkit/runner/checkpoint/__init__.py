"""Checkpoints: atomic writing, safe reading, the newest good one, and loading weights into a model."""

from toolkit.fileio.checkpoint import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
    read_checkpoint,
)
from toolkit.hooks.checkpoint_files import remove_checkpoint
from toolkit.runner.checkpoint.carried import config_of
from toolkit.runner.checkpoint.latest import find_latest_checkpoint
from toolkit.runner.checkpoint.publishing import publish_checkpoint
from toolkit.runner.checkpoint.weights import (
    KeyReport,
    get_state_dict,
    load_checkpoint,
    load_state_dict,
    weights_to_cpu,
)
from toolkit.runner.checkpoint.writing import mark_latest, save_checkpoint

__all__ = [
    "CheckpointLoader",
    "KeyReport",
    "config_of",
    "find_latest_checkpoint",
    "get_deprecated_model_names",
    "get_external_models",
    "get_mmcls_models",
    "get_state_dict",
    "get_torchvision_models",
    "load_checkpoint",
    "load_state_dict",
    "mark_latest",
    "publish_checkpoint",
    "read_checkpoint",
    "remove_checkpoint",
    "save_checkpoint",
    "weights_to_cpu",
]
