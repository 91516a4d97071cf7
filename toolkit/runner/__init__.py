"""The runner, its loops and checkpoints."""

from toolkit.hooks.priority import Priority, get_priority
from toolkit.model import turn_on_activation_checkpointing
from toolkit.runner.amp import autocast
from toolkit.runner.checkpoint import (
    CheckpointLoader,
    config_of,
    find_latest_checkpoint,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_state_dict,
    get_torchvision_models,
    load_checkpoint,
    load_state_dict,
    save_checkpoint,
    weights_to_cpu,
)
from toolkit.runner.constructor import DefaultRunnerConstructor
from toolkit.runner.flexible import FlexibleRunner
from toolkit.runner.log_processor import LogProcessor
from toolkit.runner.loops import (
    BaseLoop,
    EpochBasedTrainLoop,
    EvaluationLoop,
    IterBasedTrainLoop,
    TestLoop,
    TrainLoop,
    ValLoop,
)
from toolkit.runner.runner import Runner, build_runner, set_random_seed
from toolkit.runner.tta import apply_tta, build_runner_with_tta

__all__ = [
    "BaseLoop",
    "CheckpointLoader",
    "DefaultRunnerConstructor",
    "EpochBasedTrainLoop",
    "EvaluationLoop",
    "FlexibleRunner",
    "IterBasedTrainLoop",
    "LogProcessor",
    "Priority",
    "Runner",
    "TestLoop",
    "TrainLoop",
    "ValLoop",
    "apply_tta",
    "autocast",
    "build_runner",
    "build_runner_with_tta",
    "config_of",
    "find_latest_checkpoint",
    "get_deprecated_model_names",
    "get_external_models",
    "get_mmcls_models",
    "get_priority",
    "get_state_dict",
    "get_torchvision_models",
    "load_checkpoint",
    "load_state_dict",
    "save_checkpoint",
    "set_random_seed",
    "turn_on_activation_checkpointing",
    "weights_to_cpu",
]
