"""What a checkpoint of a run holds, and how a run goes on from it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from toolkit.dist import all_gather_object, gathered, shard_like
from toolkit.runner.checkpoint.weights import load_weights, unwrapped
from toolkit.utils.errors import CheckpointError
from toolkit.utils.seed import derive_seed, rng_state, seed_everything
from toolkit.version import __version__

if TYPE_CHECKING:
    from toolkit.runner.building import RunnerBuilding


def collect(
    runner: RunnerBuilding,
    save_optimizer: bool,
    save_param_scheduler: bool,
    meta: Mapping[str, Any] | None,
    by_epoch: bool,
) -> dict[str, Any]:
    """The state of a run, whole on rank 0. Every rank takes part: each has its random generators, and perhaps
    a part of the tensors."""
    loop = runner.train_loop
    state: dict[str, Any] = {
        "meta": _meta(runner, meta, by_epoch),
        "state_dict": runner.strategy.model_state(runner.model),
        "message_hub": runner.message_hub.state_dict(),
        "hooks": runner.hook_manager.state_dict(),
        "rng": all_gather_object(rng_state()),
    }
    if hasattr(loop, "state_dict"):
        state["loop"] = loop.state_dict()
    if save_optimizer:
        state["optimizer"] = runner.optim_wrapper.state_dict()
        gradients = _accumulated(runner)
        if gradients:
            state["gradients"] = gradients
    if save_param_scheduler and runner.param_schedulers is not None:
        state["param_schedulers"] = _scheduler_states(runner.param_schedulers)
    return gathered(state)  # type: ignore[no-any-return]


def _meta(runner: RunnerBuilding, meta: Mapping[str, Any] | None, by_epoch: bool) -> dict[str, Any]:
    if meta is not None and not isinstance(meta, Mapping):
        raise TypeError(f"meta must be a dict or None, got {type(meta).__name__}")
    # Hooks save inside `after_train_epoch` and `after_train_iter`, when what just ended is not yet counted.
    counts = {"epoch": runner.epoch + by_epoch, "iter": runner.iter + (not by_epoch)}
    facts = {
        "cfg": runner.cfg.pretty_text,
        "seed": runner.seed,
        "experiment_name": runner.experiment_name,
        "time": time.strftime("%Y%m%d_%H%M%S"),
        "toolkit_version": __version__,
    }
    metainfo = getattr(runner.train_loop, "metainfo", None)
    if metainfo is not None:
        facts["dataset_meta"] = metainfo
    return {**counts, **(meta or {}), **facts}


def _accumulated(runner: RunnerBuilding) -> dict[str, torch.Tensor]:
    """Gradients that wait for a step, within an accumulation."""
    if runner.optim_wrapper.should_update():
        return {}
    named = unwrapped(runner.model).named_parameters()
    return {name: param.grad for name, param in named if param.grad is not None}


def _scheduler_states(schedulers: Any) -> Any:
    if isinstance(schedulers, Mapping):
        return {name: [one.state_dict() for one in several] for name, several in schedulers.items()}
    return [one.state_dict() for one in schedulers]


def restore(
    runner: RunnerBuilding,
    checkpoint: dict[str, Any],
    source: str,
    resume_optimizer: bool = True,
    resume_param_scheduler: bool = True,
) -> None:
    """Put a run into the state of a checkpoint.

    Raises:
        CheckpointError: It is of another model, or lacks what a resumed run needs.
    """
    if "epoch" not in (checkpoint.get("meta") or {}):
        raise CheckpointError(
            f"{source} has weights but no state of a run, so training can't be resumed from it; start a "
            "new training with these weights instead (load_from without resume)"
        )
    load_weights(runner.model, checkpoint, strict="exact", logger=runner.logger, source=source)
    _restore_position(runner, checkpoint)
    _compare_dataset(runner, checkpoint["meta"])
    if "message_hub" in checkpoint:
        runner.message_hub.load_state_dict(checkpoint["message_hub"])
    if resume_optimizer and "optimizer" in checkpoint:
        _fitting(source, "optimizer", runner.optim_wrapper.load_state_dict, checkpoint["optimizer"])
    elif resume_optimizer:
        runner.logger.warning(f"{source} holds no optimizer state: the optimizer starts afresh")
    if resume_param_scheduler and runner.param_schedulers is not None and "param_schedulers" in checkpoint:
        _restore_schedulers(runner.param_schedulers, checkpoint["param_schedulers"], source)
    for key in runner.hook_manager.load_state_dict(checkpoint.get("hooks", {})):
        runner.logger.warning(f"{source} holds the state of a {key}, but no such hook is registered now")
    _restore_rng(runner, checkpoint.get("rng"))


def restore_gradients(model: nn.Module, gradients: Mapping[str, torch.Tensor]) -> None:
    """Put back the gradients of an accumulation that was under way, by parameter."""
    params = dict(unwrapped(model).named_parameters())
    for name, gradient in gradients.items():
        params[name].grad = shard_like(gradient.to(params[name].device), params[name])


def _restore_position(runner: RunnerBuilding, checkpoint: Mapping[str, Any]) -> None:
    loop, meta = runner.train_loop, checkpoint["meta"]
    position = checkpoint.get("loop")
    if position is None:  # of MMEngine: it knows epochs and iterations only
        epoch, done = int(meta["epoch"]), int(meta["iter"])
        length = len(loop.dataloader)
        within = done - epoch * length
        batch = within if 0 < within < length else 0
        position = {"epoch": epoch, "iter": done, "batch": batch if runner.by_epoch else done}
    if hasattr(loop, "load_state_dict"):
        loop.load_state_dict(position)
    else:
        loop._epoch, loop._iter = int(position["epoch"]), int(position["iter"])


def _restore_schedulers(schedulers: Any, states: Any, source: str) -> None:
    groups = schedulers if isinstance(schedulers, Mapping) else {"": schedulers}
    saved = states if isinstance(states, Mapping) else {"": states}
    for name, several in groups.items():
        if len(several) != len(saved.get(name, ())):
            raise CheckpointError(
                f"{source} holds {len(saved.get(name, ()))} parameter schedulers, there are "
                f"{len(several)} now; resume "
                "with the config that it was trained with, or start a new training with load_from"
            )
        for one, state in zip(several, saved[name], strict=True):
            _fitting(source, type(one).__name__, one.load_state_dict, state)


def _fitting(source: str, what: str, load: Any, state: Any) -> None:
    try:
        load(state)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"the state of the {what} in {source} doesn't fit: {error}") from error


def _restore_rng(runner: RunnerBuilding, states: Any) -> None:
    if states is None:
        return
    if len(states) == runner.world_size:
        state = states[runner.rank]
        if hasattr(runner.train_loop, "resume_rng"):
            runner.train_loop.resume_rng(state)
        return
    runner.logger.warning(
        f"the checkpoint was made by {len(states)} processes, there are {runner.world_size} now: random "
        "numbers, and the order of samples, differ from those of an uninterrupted run"
    )
    seed_everything(derive_seed(runner.seed, runner.rank, runner.iter), runner.deterministic)


def _compare_dataset(runner: RunnerBuilding, meta: Mapping[str, Any]) -> None:
    before = (meta.get("dataset_meta") or {}).get("classes")
    now = (getattr(runner.train_loop, "metainfo", None) or {}).get("classes")
    if before is not None and now is not None and tuple(before) != tuple(now):
        runner.logger.warning(f"the checkpoint was trained on the classes {before}, the dataset has {now}")
