"""The strategy that hands model and optimizer to DeepSpeed (``pip install deepspeed``)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from toolkit.dist import is_main_process
from toolkit.fileio import is_url
from toolkit.model.steps import run_forward, take_step
from toolkit.optim import BaseOptimWrapper
from toolkit.registry import MODEL_WRAPPERS, OPTIM_WRAPPERS, STRATEGIES
from toolkit.runner.strategy.base import BaseStrategy
from toolkit.utils.errors import CheckpointError, ConfigError, TrainingError

if TYPE_CHECKING:
    from toolkit.runner.building import RunnerBuilding
    from toolkit.runner.options import Options

_SUFFIX = ".deepspeed"
_TAG = "state"
_SHARES_WEIGHTS = 3  # the stage of ZeRO
# The classes in DeepSpeed's files, beside tensors and containers: numbers with names.
_STORED_CLASSES = (
    "runtime.zero.config:ZeroStageEnum",
    "runtime.fp16.loss_scaler:LossScaler",
    "runtime.fp16.loss_scaler:DynamicLossScaler",
    "utils.tensor_fragment:fragment_address",
)


def _deepspeed() -> ModuleType:
    try:
        import deepspeed
    except ImportError as error:
        raise ConfigError(
            f"DeepSpeedStrategy needs the package deepspeed, which can't be imported ({error}): install it "
            "with pip install 'toolkit[deepspeed]', or use FSDPStrategy, which needs nothing further"
        ) from error
    module: ModuleType = deepspeed
    return module


@OPTIM_WRAPPERS.register_module()
class DeepSpeedOptimWrapper(BaseOptimWrapper):
    """Leaves backward, accumulation, clipping, scaling and the step to DeepSpeed's engine.

    Args:
        optimizer: The optimizer, which the engine takes over.

    Attributes:
        model: The engine, wrapped; the strategy sets it.
        log_vars: What the last call of `update_params` has to log: `grad_norm`, where the engine computes it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer)
        self._model: Any = None
        self.log_vars: dict[str, Tensor] = {}

    @property
    def model(self) -> Any:
        """The engine, wrapped.

        Raises:
            TrainingError: There is none, because no DeepSpeedStrategy made it.
        """
        if self._model is None:
            raise TrainingError(
                "DeepSpeedOptimWrapper has no engine: use it with strategy=dict(type='DeepSpeedStrategy')"
            )
        return self._model

    @model.setter
    def model(self, model: Any) -> None:
        self._model = model

    def update_params(self, loss: Tensor) -> None:
        """Take one loss: backward, and where the engine's accumulation is complete, a step."""
        self.backward(loss)
        self.step()
        norm = self.model.get_global_grad_norm()
        self.log_vars = {} if norm is None else {"grad_norm": torch.as_tensor(norm)}

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """The engine's backward."""
        self.model.backward(loss, **kwargs)

    def step(self, **kwargs: Any) -> None:
        """The engine's step, which zeroes the gradients too."""
        self.model.step(**kwargs)

    def zero_grad(self, **kwargs: Any) -> None:
        """Nothing: the engine does it."""

    def optim_context(self, model: Any) -> AbstractContextManager[Any]:
        """Nothing around the forward pass."""
        return nullcontext()

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Nothing: the engine counts."""

    def should_update(self) -> bool:
        """Always: gradients that are accumulated are the engine's."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the engine writes its own files beside the checkpoint."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Nothing: the engine reads its own files."""


@MODEL_WRAPPERS.register_module()
class MMDeepSpeedEngineWrapper(nn.Module):
    """DeepSpeed's engine with the steps that the loops call; otherwise the engine itself.

    Args:
        model: A `deepspeed.DeepSpeedEngine`.
        inputs_to_half: Which of the preprocessed batch's items become the engine's half precision: names
            where the batch is a dict, places otherwise.
    """

    def __init__(self, *, model: Any, inputs_to_half: Sequence[int | str] | None = None) -> None:
        super().__init__()
        self.model = model
        self._half = tuple(inputs_to_half or ())
        self._dtype = torch.bfloat16 if model.bfloat16_enabled() else torch.float16

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the engine with a preprocessed batch."""
        places = [self._cast(one) if at in self._half else one for at, one in enumerate(args)]
        names = {name: self._cast(one) if name in self._half else one for name, one in kwargs.items()}
        return self.model(*places, **names)

    def _cast(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(self._dtype) if value.is_floating_point() else value
        if isinstance(value, Mapping):
            return {key: self._cast(item) for key, item in value.items()}
        return type(value)(map(self._cast, value)) if isinstance(value, list | tuple) else value

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One optimisation step. See `BaseModel.train_step`."""
        return take_step(self, self.model.module, data, optim_wrapper)[1]

    def val_step(self, data: Any) -> Any:
        """Predictions of a batch."""
        return run_forward(self, self.model.module.data_preprocessor(data, False), "predict")

    def test_step(self, data: Any) -> Any:
        """Predictions of a batch."""
        return self.val_step(data)


@STRATEGIES.register_module()
class DeepSpeedStrategy(BaseStrategy):
    """Training by DeepSpeed's engine: ZeRO, offloading, its mixed precision and accumulation.

    The optimizer wrapper must be a `DeepSpeedOptimWrapper`. A checkpoint holds the whole weights in float32,
    as any other does, and loads anywhere; the engine's own state lies beside it in a folder with the suffix
    ``.deepspeed``, from which a run of the same number of processes resumes. Its files are read without
    running code.

    Args:
        config: A config of DeepSpeed, or the path of one in JSON. The following arguments are its keys of the
            same name, and win; see https://www.deepspeed.ai/docs/config-json.
        zero_optimization: ``dict(stage=2)`` and so on.
        gradient_clipping: Largest norm of the gradients.
        fp16: ``dict(enabled=True, ...)``: float16 with scaling of the loss.
        inputs_to_half: See `MMDeepSpeedEngineWrapper`; needed with `fp16` and `bf16`.
        bf16: ``dict(enabled=True)``.
        amp: Apex's mixed precision.
        activation_checkpointing: DeepSpeed's, for models that call it.
        aio: Settings of offloading to disks.
        train_micro_batch_size_per_gpu: Samples a process and step; 1 by default, which has no effect.
        gradient_accumulation_steps: Batches a step.
        steps_per_print: How often the engine prints; practically never by default.
        exclude_frozen_parameters: Leave parameters that don't train out of the engine's own files.
        **kwargs: See `BaseStrategy`.

    Raises:
        ConfigError: DeepSpeed is not installed, or `config` can't be read.
    """

    distributed = True

    def __init__(
        self,
        *,
        config: str | Mapping[str, Any] | None = None,
        zero_optimization: Mapping[str, Any] | None = None,
        gradient_clipping: float | None = None,
        fp16: Mapping[str, Any] | None = None,
        inputs_to_half: Sequence[int | str] | None = None,
        bf16: Mapping[str, Any] | None = None,
        amp: Mapping[str, Any] | None = None,
        activation_checkpointing: Mapping[str, Any] | None = None,
        aio: Mapping[str, Any] | None = None,
        train_micro_batch_size_per_gpu: int | None = None,
        gradient_accumulation_steps: int | None = None,
        steps_per_print: int = 10000000000000,
        exclude_frozen_parameters: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._deepspeed = _deepspeed()
        given = {
            "zero_optimization": zero_optimization,
            "gradient_clipping": gradient_clipping,
            "fp16": fp16,
            "bf16": bf16,
            "amp": amp,
            "activation_checkpointing": activation_checkpointing,
            "aio": aio,
            "train_micro_batch_size_per_gpu": train_micro_batch_size_per_gpu,
            "gradient_accumulation_steps": gradient_accumulation_steps,
        }
        self.config = {"steps_per_print": steps_per_print, "zero_allow_untested_optimizer": True}
        self.config |= {"zero_force_ds_cpu_optimizer": False, **_read(config)}
        self.config |= {key: _plain(value) for key, value in given.items() if value is not None}
        sizes = ("train_micro_batch_size_per_gpu", "train_batch_size")
        if not any(size in self.config for size in sizes):
            self.config["train_micro_batch_size_per_gpu"] = 1
        self.inputs_to_half, self.exclude_frozen = inputs_to_half, bool(exclude_frozen_parameters)
        self._engine: Any = None
        self._resumed: str | None = None

    def wrap_model(self, model: nn.Module, device: torch.device, options: Options) -> nn.Module:
        """The model on its device; the engine comes around it with the optimizer, in `before_loop`."""
        return model.to(device)

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module) -> BaseOptimWrapper:
        """The optimizer wrapper.

        Raises:
            ConfigError: It is no `DeepSpeedOptimWrapper`.
        """
        built = super().build_optim_wrapper(optim_wrapper, model)
        if not isinstance(built, DeepSpeedOptimWrapper):
            raise ConfigError(
                "DeepSpeedStrategy needs optim_wrapper=dict(type='DeepSpeedOptimWrapper', optimizer=...), "
                f"got a {type(built).__name__}; clipping and accumulation are arguments of the strategy"
            )
        return built

    def load(self, path: str) -> None:
        """Remember which checkpoint is resumed: the engine reads its state once it is there."""
        self._resumed = path

    def before_loop(self, runner: RunnerBuilding) -> None:
        """Put the engine around model and optimizer, with the state of the checkpoint that is resumed."""
        wrapper = runner.optim_wrapper
        optimizer = wrapper.optimizer if isinstance(wrapper, DeepSpeedOptimWrapper) else None
        if self._engine is not None:
            if optimizer is not None and wrapper._model is None:
                raise ConfigError(
                    "with DeepSpeedStrategy a runner that has evaluated can't train afterwards, since the "
                    "engine takes model and optimizer together; train first, or make another runner"
                )
            return
        config = dict(_plain(self.config))
        if optimizer is None and config.get("zero_optimization", {}).get("stage", 0) < _SHARES_WEIGHTS:
            config.pop("zero_optimization", None)  # there is nothing to share out
        engine, *_ = self._deepspeed.initialize(
            model=runner.model, optimizer=optimizer, config=config, dist_init_required=False
        )
        self._engine = engine
        runner.model = MMDeepSpeedEngineWrapper(model=engine, inputs_to_half=self.inputs_to_half)
        if optimizer is not None:
            wrapper.model = runner.model
        if self._resumed is not None:
            self._load_engine(self._resumed)

    def _load_engine(self, path: str) -> None:
        folder = path + _SUFFIX
        if not os.path.isdir(os.path.join(folder, _TAG)):
            raise CheckpointError(
                f"{path} can't be resumed with DeepSpeedStrategy: there is no folder {folder} with the state "
                "of its engine. Resume with the strategy that it was made with, or start a new training with "
                "load_from"
            )
        self._engine.checkpoint_engine.load = _load_without_code
        self._engine.load_checkpoint(
            folder, tag=_TAG, load_module_strict=not self.exclude_frozen, load_lr_scheduler_states=False
        )

    def model_state(self, model: Any) -> dict[str, Any]:
        """The whole weights in float32, on the main process."""
        from deepspeed.utils import safe_get_full_fp32_param

        module = model.module
        state: dict[str, Any] = module.state_dict()
        for name, param in module.named_parameters():
            full = safe_get_full_fp32_param(param) if param.requires_grad else None
            if full is None:  # without ZeRO, or frozen
                with self._deepspeed.zero.GatheredParameters([param]):
                    full = param.detach().clone()
            if is_main_process():  # the others drop the state
                state[name] = full.float().cpu() if full.is_floating_point() else full.cpu()
        return state

    def save(self, path: str) -> None:
        """Write the engine's state into the folder beside the checkpoint.

        Raises:
            CheckpointError: The checkpoint goes to a URL, which the engine can't write to.
        """
        if is_url(path):
            raise CheckpointError(f"DeepSpeed writes its state to local folders only, not to {path}")
        self._engine.save_checkpoint(
            path + _SUFFIX, tag=_TAG, save_latest=False, exclude_frozen_parameters=self.exclude_frozen
        )


def _read(config: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(config, str):
        return dict(config or {})
    try:
        return dict(json.loads(Path(config).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"the config {config!r} of DeepSpeed can't be read: {error}") from error


def _plain(value: Any) -> Any:
    """Plain dicts and lists, which DeepSpeed writes as JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _load_without_code(path: str, map_location: Any = None) -> Any:
    """DeepSpeed's reading of a file, which would unpickle whatever it holds."""
    import importlib

    classes: list[Any] = []
    for place in _STORED_CLASSES:
        module, _, name = place.partition(":")
        classes.append(getattr(importlib.import_module(f"deepspeed.{module}"), name))
    with torch.serialization.safe_globals(classes):
        return torch.load(path, map_location=map_location, weights_only=True)
