"""Steps on the way into a run: choices are written down, weights initialised, the step compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from toolkit.config import Config, diff
from toolkit.dist import broadcast, get_world_size, is_sharded
from toolkit.logging import FILE_ONLY, MessageHub
from toolkit.model import (
    freeze,
    trainable_table,
    turn_on_activation_checkpointing,
    turn_on_efficient_conv_bn_eval,
)
from toolkit.runner.checkpoint.weights import unwrapped
from toolkit.runner.environment import describe_env
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

if TYPE_CHECKING:
    from toolkit.runner.building import RunnerBuilding
    from toolkit.runner.options import Options

# What may differ from one start of a run to the next, and changes nothing.
_OF_ONE_START = ("work_dir", "resume", "load_from", "launcher", "device", "experiment_name", "randomness")
_NEEDED = {
    "train": "train_dataloader, train_cfg and optim_wrapper",
    "val": "val_dataloader, val_cfg and val_evaluator",
    "test": "test_dataloader, test_cfg and test_evaluator",
}


def require(runner: Any, what: str, loop: Any, methods: Sequence[str]) -> None:
    """Make sure that the runner has what it is asked to run.

    Raises:
        ConfigError: Its parts are missing, or its model lacks a method.
    """
    if loop is None:
        raise ConfigError(f"the runner can't {what}: it was given no {_NEEDED[what]}")
    model = unwrapped(runner.model)
    for method in methods:
        if not hasattr(model, method):
            raise ConfigError(
                f"{type(model).__name__} has no {method}(); derive it from toolkit.model.BaseModel, or "
                "add the method"
            )


def unique_name(name: str | None, config_file: Any, timestamp: str) -> str:
    """Name of an experiment, which no other run of this process has."""
    stem = name or (os.path.splitext(os.path.basename(config_file))[0] if config_file else "")
    base = f"{stem}_{timestamp}" if stem else timestamp
    unique, count = base, 1
    while MessageHub.check_instance_created(unique):
        unique, count = f"{base}_{count}", count + 1
    return unique


def note_choices(runner: RunnerBuilding, env_cfg: Mapping[str, Any]) -> None:
    """Print the environment and the config, and write into the config what was chosen for the user."""
    note_seed(runner)
    if runner.cfg.get("work_dir") is None:
        runner.cfg["work_dir"] = runner.work_dir
    if runner.cfg.get("device") is None and "device" not in env_cfg:
        runner.cfg["device"] = runner.device.type
    facts = {
        **env_cfg,
        "seed": f"{runner.seed} ({'given' if runner._randomness.get('seed') is not None else 'drawn'})",
        "deterministic": runner.deterministic,
        "diff_rank_seed": runner.diff_rank_seed,
        "device": runner.device,
        "launcher": runner.launcher,
        "strategy": type(runner.strategy).__name__,
        "processes": runner.world_size,
        "work_dir": runner.work_dir,
    }
    runner.logger.info(describe_env(facts), extra=FILE_ONLY)
    if runner.cfg:
        runner.logger.info(f"Config:\n{runner.cfg.pretty_text}", extra=FILE_ONLY)
    runner.logger.info(
        f"device {facts['device']}, seed {facts['seed']}, {torch.get_num_threads()} threads, "
        f"{runner.world_size} process(es), torch {torch.__version__}"
    )
    runner.logger.info(f"environment, config and hooks are in {runner.logger.log_file}")


def note_seed(runner: RunnerBuilding) -> None:
    """Write the seed into the config that is saved."""
    runner.cfg["randomness"] = {**(runner.cfg.get("randomness") or {}), "seed": runner.seed}


def report_changes(cfg: Config, checkpoint: Mapping[str, Any], logger: Any) -> None:
    """Warn of what differs between the config of a run and that of the checkpoint which it resumes."""
    text = (checkpoint.get("meta") or {}).get("cfg")
    if not cfg or not isinstance(text, str):
        return
    try:
        before = Config.fromstring(text, ".py")
    except ConfigError:  # of another program, say; weights and state are what counts
        return
    old, new = (
        Config({key: value for key, value in one.items() if key not in _OF_ONE_START})
        for one in (before, cfg)
    )
    changes = diff(old, new, places=False)
    if changes:
        logger.warning(
            "the config differs from that of the checkpoint; the run goes on with the present one:\n"
            + changes
        )


def frozen(model: nn.Module, patterns: Sequence[str], logger: Any) -> nn.Module:
    """The model with the parameters that fit `patterns` frozen; what trains is logged as a table."""
    if patterns:
        freeze(model, patterns)
        logger.info(f"frozen: {', '.join(patterns)}\n{trainable_table(model)}")
    return model


def switch_forward(model: nn.Module, switches: Options, logger: Any) -> None:
    """Change how parts of the model run, as the config says; the weights and their names stay."""
    model = unwrapped(model)
    # First of the two, since it follows the forward pass, which recomputing hides.
    if switches.efficient_conv_bn_eval:
        count = turn_on_efficient_conv_bn_eval(model, switches.efficient_conv_bn_eval)
        logger.info(f"efficient_conv_bn_eval: {count} batch norms are folded while they are in eval mode")
    if switches.activation_checkpointing:
        turn_on_activation_checkpointing(model, switches.activation_checkpointing)
        logger.info(f"activation_checkpointing: {switches.activation_checkpointing}")


def channels_last(model: nn.Module, logger: Any) -> nn.Module:
    """The model with its 4-dimensional weights in the memory format that convolutions are fastest in."""
    if any(map(is_sharded, model.parameters())):
        logger.warning(
            "env_cfg.channels_last has no effect: PyTorch shards weights in their usual format only"
        )
        return model
    return model.to(memory_format=torch.channels_last)


def init_weights(model: nn.Module) -> None:
    """Have the model initialise its weights, and give every rank those of rank 0."""
    initialise: Callable[[], None] | None = getattr(unwrapped(model), "init_weights", None)
    if initialise is None:
        return
    # The initialisers fill whole tensors, in an order that makes the numbers those of one process.
    with getattr(model, "whole_parameters", nullcontext)():
        initialise()
        if get_world_size() > 1:
            for value in model.state_dict().values():
                broadcast(value)


def note_idle_schedulers(runner: RunnerBuilding) -> None:
    """Warn of parameter schedulers that never take effect in this training."""
    schedulers = runner.param_schedulers or []
    groups = schedulers.values() if isinstance(schedulers, Mapping) else [schedulers]
    for one in (one for group in groups for one in group):
        name = f"the parameter scheduler {type(one).__name__}"
        unit, end = ("epochs", runner.max_epochs) if one.by_epoch else ("iterations", runner.max_iters)
        if one.by_epoch and not runner.by_epoch and not getattr(one, "need_val_args", False):
            runner.logger.warning(
                f"{name} counts epochs, but this training counts iterations: it never takes a step. Give it "
                "by_epoch=False, with begin and end in iterations"
            )
        elif one.begin >= end:
            runner.logger.warning(
                f"{name} never takes effect: it begins after {one.begin} {unit}, and training ends "
                f"after {end}"
            )


def compile_step(model: nn.Module, switch: bool | Mapping[str, Any], logger: Any) -> None:
    """Compile the model's training step with `torch.compile`, if the config says ``compile``.

    Raises:
        ConfigError: There is no such backend, or torch.compile takes no such argument.
    """
    if not switch:
        return
    arguments = dict(switch) if isinstance(switch, Mapping) else {}
    backend = arguments.get("backend", "inductor")
    known = torch._dynamo.list_backends(None)
    if isinstance(backend, str) and backend not in known:
        raise ConfigError(
            f"compile: there is no backend {backend!r}{did_you_mean(backend, known)} Those installed are: "
            f"{', '.join(known)}"
        )
    if backend == "inductor" and next(model.parameters()).device.type == "cpu" and not _compiler():
        raise ConfigError(
            "compile: the backend 'inductor' needs a C++ compiler on the CPU, and there is none; install g++ "
            "(or name one in the environment variable CXX), use compile=dict(backend='aot_eager'), which "
            "is no faster, or leave compile out"
        )
    try:
        model.train_step = torch.compile(model.train_step, **arguments)  # type: ignore[assignment, arg-type]
    except (TypeError, RuntimeError) as error:
        raise ConfigError(f"compile={arguments}: torch.compile refuses that: {error}") from error
    logger.info("train_step will be compiled: the first iterations take long")


def _compiler() -> str | None:
    """The C++ compiler that torch would use."""
    return next(filter(None, map(shutil.which, (os.environ.get("CXX") or "g++", "clang++"))), None)
