"""The runner, its loops and checkpoints."""

from toolkit.hooks.priority import Priority, get_priority
from toolkit.runner.checkpoint import (
    CheckpointLoader,
    config_of,
    find_latest_checkpoint,
    get_state_dict,
    load_checkpoint,
    load_state_dict,
    save_checkpoint,
    weights_to_cpu,
)
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
    "EpochBasedTrainLoop",
    "EvaluationLoop",
    "IterBasedTrainLoop",
    "LogProcessor",
    "Priority",
    "Runner",
    "TestLoop",
    "TrainLoop",
    "ValLoop",
    "apply_tta",
    "build_runner",
    "build_runner_with_tta",
    "config_of",
    "find_latest_checkpoint",
    "get_priority",
    "get_state_dict",
    "load_checkpoint",
    "load_state_dict",
    "save_checkpoint",
    "set_random_seed",
    "weights_to_cpu",
]
