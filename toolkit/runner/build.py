"""From configs to objects: each part of a run may be given as either, and is an object from here on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from toolkit.evaluator import BaseMetric, Evaluator
from toolkit.model import (
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
    is_model_wrapper,
)
from toolkit.optim import BaseOptimWrapper, OptimWrapper, OptimWrapperDict, _ParamScheduler
from toolkit.optim import build_optim_wrapper as build_from_model
from toolkit.registry import (
    EVALUATOR,
    LOG_PROCESSORS,
    LOOPS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPERS,
    PARAM_SCHEDULERS,
    STRATEGIES,
    VISUALIZERS,
)
from toolkit.registry.build import resolve_type
from toolkit.runner.base_loop import BaseLoop
from toolkit.utils.errors import BuildError, ConfigError

if TYPE_CHECKING:
    from toolkit.runner.log_processor import LogProcessor
    from toolkit.runner.strategy import BaseStrategy
    from toolkit.runner.views import RunnerViews
    from toolkit.visualization import Visualizer

Loop = TypeVar("Loop", bound=BaseLoop)
Schedulers = list[_ParamScheduler] | dict[str, list[_ParamScheduler]]


def _as_dict(cfg: Mapping[str, Any]) -> dict[str, Any]:
    return cfg if isinstance(cfg, dict) else dict(cfg)  # a config's own dict knows where its values come from


def build_model(
    model: nn.Module | Mapping[str, Any], data_preprocessor: nn.Module | Mapping[str, Any] | None = None
) -> nn.Module:
    """A model; `data_preprocessor` joins the config of one that names none itself.

    Raises:
        BuildError: `model` is neither a module nor a dict.
    """
    if isinstance(model, nn.Module):
        return model
    if not isinstance(model, Mapping):
        raise BuildError(f"model must be a torch.nn.Module or a dict, got {type(model).__name__}: {model!r}")
    defaults = {} if data_preprocessor is None else {"data_preprocessor": data_preprocessor}
    built = MODELS.build(_as_dict(model), default_args=defaults)
    assert isinstance(built, nn.Module)
    return built


def wrap_model(
    model: nn.Module,
    device: torch.device,
    distributed: bool,
    model_wrapper_cfg: Mapping[str, Any] | None = None,
    sync_bn: str | None = None,
    find_unused_parameters: bool = False,
    wrapper_type: str = "MMDistributedDataParallel",
) -> nn.Module:
    """Move a model to its device and, in a distributed run, wrap it for the exchange of gradients.

    Args:
        model: The model; one that is wrapped already is left as it is.
        device: Where it is to live.
        distributed: Whether the run has a process group.
        model_wrapper_cfg: ``type`` (`wrapper_type` by default) and arguments of the wrapper.
        sync_bn: ``torch`` (or ``mmcv``, which means the same) turns batch norms into synchronised ones.
        find_unused_parameters: See `torch.nn.parallel.DistributedDataParallel`.
        wrapper_type: The wrapper, where the config names none.

    Raises:
        ConfigError: `sync_bn` is unknown, or a wrapper is configured for a model that has one.
    """
    if is_model_wrapper(model):
        if model_wrapper_cfg is not None:
            raise ConfigError(
                f"model_wrapper_cfg is given, but the model is wrapped in {type(model).__name__} already"
            )
        return model
    if not distributed:
        return model.to(device)
    if sync_bn is not None:
        if sync_bn not in ("torch", "mmcv"):
            raise ConfigError(f"sync_bn must be 'torch' or None, got {sync_bn!r}")
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    cfg = {"type": wrapper_type, **(model_wrapper_cfg or {})}
    kind: Any = resolve_type(cfg["type"], MODEL_WRAPPERS)
    if getattr(kind, "places_module", False):
        cfg.setdefault("device_id", device)
    else:
        model = model.to(device)
    if kind in (MMDistributedDataParallel, DistributedDataParallel, MMSeparateDistributedDataParallel):
        cfg.setdefault("broadcast_buffers", False)
        cfg.setdefault("find_unused_parameters", find_unused_parameters)
        cfg.setdefault("device_ids", [device.index] if device.type == "cuda" else None)
    wrapped = MODEL_WRAPPERS.build(cfg, default_args={"module": model})
    assert isinstance(wrapped, nn.Module)
    return wrapped


def build_strategy(strategy: Any, launcher: str | None = None) -> BaseStrategy:
    """The strategy: as given, or from its config; by default one device, or DDP with a launcher.

    Raises:
        BuildError: `strategy` is neither a strategy nor a dict.
    """
    from toolkit.runner.strategy import BaseStrategy

    if strategy is None:
        strategy = {"type": "SingleDeviceStrategy" if launcher in (None, "none") else "DDPStrategy"}
    if isinstance(strategy, Mapping):
        strategy = STRATEGIES.build(_as_dict(strategy))
    if not isinstance(strategy, BaseStrategy):
        raise BuildError(
            f"strategy must be a strategy or a dict, got {type(strategy).__name__}: {strategy!r}"
        )
    return strategy


def build_optim_wrapper(
    model: nn.Module, optim_wrapper: BaseOptimWrapper | Mapping[str, Any]
) -> BaseOptimWrapper:
    """An optimizer wrapper of the model's parameters.

    Args:
        model: The model, wrapped or not.
        optim_wrapper: A wrapper; the config of one, whose ``optimizer`` may be built already; or a dict of
            wrappers by name, for several optimizers.

    Raises:
        BuildError: It is none of these.
    """
    if isinstance(optim_wrapper, BaseOptimWrapper):
        return optim_wrapper
    if not isinstance(optim_wrapper, Mapping):
        raise BuildError(
            f"optim_wrapper must be an OptimWrapper or a dict, got {type(optim_wrapper).__name__}"
        )
    optimizer = optim_wrapper.get("optimizer")
    if isinstance(optimizer, Optimizer):
        built: OptimWrapper = OPTIM_WRAPPERS.build(
            _as_dict(optim_wrapper), default_args={"type": "OptimWrapper"}
        )
        return built
    if optimizer is not None or "constructor" in optim_wrapper:
        made: OptimWrapper = build_from_model(model, optim_wrapper)
        return made
    if optim_wrapper and all(isinstance(wrapper, OptimWrapper) for wrapper in optim_wrapper.values()):
        return OptimWrapperDict(**optim_wrapper)
    raise BuildError(
        "optim_wrapper has no 'optimizer', such as dict(type='SGD', lr=0.01); without one, and without "
        "a 'constructor', "
        f"all its values must be OptimWrapper objects. It has: {', '.join(optim_wrapper) or 'nothing'}"
    )


def build_param_scheduler(
    scheduler: Any, optim_wrapper: OptimWrapper, max_epochs: int, max_iters: int, epoch_length: int | None
) -> Schedulers:
    """The schedulers of an optimizer wrapper as a list, or of several as a dict of lists.

    Args:
        scheduler: A scheduler, a config, a list of either; for several optimizers also a dict of these by
            name.
        optim_wrapper: What is scheduled.
        max_epochs: ``end`` of a scheduler by epoch that gives none.
        max_iters: ``end`` of a scheduler by iteration that gives none.
        epoch_length: Iterations an epoch, for ``convert_to_iter_based``.

    Raises:
        BuildError: One of them is neither a scheduler nor a config, or a name fits no optimizer.
    """
    ends = {True: max_epochs, False: max_iters}
    if not isinstance(optim_wrapper, OptimWrapperDict):
        return [_scheduler(one, optim_wrapper, ends, epoch_length) for one in _listed(scheduler)]
    named = isinstance(scheduler, Mapping) and "type" not in scheduler
    if named and set(scheduler) - set(optim_wrapper.keys()):
        raise BuildError(
            f"param_scheduler names {', '.join(scheduler)}, "
            f"the optimizers are {', '.join(optim_wrapper.keys())}"
        )
    return {
        name: [
            _scheduler(one, wrapper, ends, epoch_length)
            for one in _listed(scheduler.get(name, []) if named else scheduler)
        ]
        for name, wrapper in optim_wrapper.items()
    }


def _listed(scheduler: Any) -> Sequence[Any]:
    return scheduler if isinstance(scheduler, list | tuple) else [scheduler]


def _scheduler(
    one: Any, optim_wrapper: OptimWrapper, ends: Mapping[bool, int], epoch_length: int | None
) -> _ParamScheduler:
    if isinstance(one, _ParamScheduler):
        return one
    if not isinstance(one, Mapping):
        raise BuildError(
            f"param_scheduler must be made of schedulers and dicts, got {type(one).__name__}: {one!r}"
        )
    defaults: dict[str, Any] = {"optimizer": optim_wrapper, "end": ends[bool(one.get("by_epoch", True))]}
    if epoch_length is not None:
        defaults["epoch_length"] = epoch_length
    built: _ParamScheduler = PARAM_SCHEDULERS.build(_as_dict(one), default_args=defaults)
    return built


def build_evaluator(evaluator: Any) -> Evaluator:
    """An evaluator: as given, of a metric or of a list of metrics, or from a config of any of these.

    Raises:
        BuildError: It is none of them.
    """
    if isinstance(evaluator, Evaluator):
        return evaluator
    if isinstance(evaluator, Mapping) and "metrics" in evaluator:
        built: Evaluator = EVALUATOR.build(_as_dict(evaluator), default_args={"type": "Evaluator"})
        return built
    if isinstance(evaluator, Mapping | BaseMetric | list | tuple):
        return Evaluator(evaluator)
    raise BuildError(
        "an evaluator must be an Evaluator, a metric, a list of metrics or a dict, got "
        f"{type(evaluator).__name__}"
    )


def build_loop(
    loop: BaseLoop | Mapping[str, Any],
    default: type[Loop] | None,
    part: str,
    runner: RunnerViews,
    **parts: Any,
) -> Any:
    """A loop: as given, or from its config.

    Args:
        loop: A loop, or a dict with a ``type`` (or none, for `default`) and its arguments.
        default: The class where there is no ``type``; None where ``by_epoch`` decides, as in training.
        part: The name of the argument, for messages, such as ``train_cfg``.
        runner: The runner that the loop belongs to.
        **parts: What the loop is built of: ``dataloader``, ``evaluator``.

    Raises:
        BuildError: `loop` is no loop, or its keys contradict each other.
    """
    if isinstance(loop, BaseLoop):
        return loop
    if not isinstance(loop, Mapping):
        raise BuildError(f"{part} must be a loop or a dict, got {type(loop).__name__}: {loop!r}")
    cfg = loop.copy() if isinstance(loop, dict) else dict(loop)
    if default is None and "type" not in cfg:
        if "by_epoch" not in cfg:
            raise BuildError(
                f"{part} needs by_epoch=True (with max_epochs) or by_epoch=False (with max_iters), or a type"
            )
        cfg["type"] = "EpochBasedTrainLoop" if cfg.pop("by_epoch") else "IterBasedTrainLoop"
    elif default is None and "by_epoch" in cfg:
        raise BuildError(f"{part} has both a type and by_epoch; one of them decides which loop it is")
    return LOOPS.build(
        cfg, default_args={"type": default.__name__ if default else None, "runner": runner, **parts}
    )


def build_log_processor(log_processor: Any) -> LogProcessor:
    """The log processor: as given, or from its config (`LogProcessor` where there is no ``type``)."""
    from toolkit.runner.log_processor import LogProcessor

    if log_processor is None or isinstance(log_processor, Mapping):
        log_processor = LOG_PROCESSORS.build(
            _as_dict(log_processor or {}), default_args={"type": "LogProcessor"}
        )
    if not isinstance(log_processor, LogProcessor):
        raise BuildError(
            f"log_processor must be a LogProcessor or a dict, got {type(log_processor).__name__}"
        )
    return log_processor


def build_visualizer(visualizer: Any, name: str, save_dir: str) -> Visualizer:
    """The visualizer: as given, or from its config; by default one that writes local files."""
    from toolkit.visualization import Visualizer

    if visualizer is None:
        visualizer = {"vis_backends": [{"type": "LocalVisBackend"}]}
    if isinstance(visualizer, Mapping):
        defaults = {"type": "Visualizer", "name": name, "save_dir": save_dir}
        visualizer = VISUALIZERS.build(_as_dict(visualizer), default_args=defaults)
    if not isinstance(visualizer, Visualizer):
        raise BuildError(f"visualizer must be a Visualizer or a dict, got {type(visualizer).__name__}")
    return visualizer
