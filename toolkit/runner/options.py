"""What the runner reads of a whole config: its own arguments, and the switches that are no argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from toolkit.config import Config
from toolkit.runner.environment import default_work_dir
from toolkit.utils.errors import ConfigError

# The runner's arguments beside the model, the work dir and the whole config.
_ARGUMENTS = (
    "train_dataloader",
    "val_dataloader",
    "test_dataloader",
    "train_cfg",
    "val_cfg",
    "test_cfg",
    "auto_scale_lr",
    "optim_wrapper",
    "param_scheduler",
    "val_evaluator",
    "test_evaluator",
    "default_hooks",
    "custom_hooks",
    "data_preprocessor",
    "load_from",
    "resume",
    "launcher",
    "env_cfg",
    "log_processor",
    "log_level",
    "visualizer",
    "default_scope",
    "randomness",
    "experiment_name",
    "strategy",
)


@dataclass(frozen=True)
class Options:
    """Switches that stand in a config and are no argument of the runner.

    Attributes:
        device: Where to train; the best device at hand if None.
        model_wrapper_cfg: See `toolkit.runner.build.wrap_model`, as for the next two.
        sync_bn: ``torch`` or None.
        find_unused_parameters: For DDP.
        freeze: Patterns of parameters that don't train; see `toolkit.model.freeze`.
        compile: True, or arguments of `torch.compile`, to compile the training step.
        activation_checkpointing: Names or patterns of modules; see
            `toolkit.model.turn_on_activation_checkpointing`.
        efficient_conv_bn_eval: The same, see `toolkit.model.turn_on_efficient_conv_bn_eval`.
        report_unused_parameters: Whether the parameters without gradient are told after the first step.
        model: The model's config, which the data are checked against.
    """

    device: str | None = None
    model_wrapper_cfg: Mapping[str, Any] | None = None
    sync_bn: str | None = None
    find_unused_parameters: bool = False
    freeze: Sequence[str] = ()
    compile: bool | Mapping[str, Any] = False
    activation_checkpointing: Sequence[str] | str = ()
    efficient_conv_bn_eval: Sequence[str] | str = ()
    report_unused_parameters: bool = True
    model: Any = None

    @classmethod
    def of(cls, cfg: Mapping[str, Any] | Config) -> Options:
        """Read the switches of a config."""
        return cls(**{name: cfg[name] for name in cls.__dataclass_fields__ if cfg.get(name) is not None})


def as_config(cfg: Any) -> Config:
    """A copy of the config that the runner may write to; an empty one where there is none."""
    if cfg is None:
        return Config({})
    if isinstance(cfg, Config):
        return deepcopy(cfg)
    if isinstance(cfg, Mapping):
        return Config(dict(cfg))
    raise ConfigError(f"cfg must be a Config or a dict, got {type(cfg).__name__}")


def runner_arguments(cfg: Config) -> dict[str, Any]:
    """The runner's arguments in a config.

    Raises:
        ConfigError: There is no model.
    """
    if cfg.get("model") is None:
        where = f" in {cfg.filename}" if getattr(cfg, "filename", None) else ""
        raise ConfigError(f"the config has no 'model'{where}")
    found = {name: cfg[name] for name in _ARGUMENTS if name in cfg}
    work_dir = cfg.get("work_dir") or default_work_dir(getattr(cfg, "filename", None))
    return {"model": cfg["model"], "work_dir": work_dir, **found, "cfg": cfg}


def mode_of(cfg: Mapping[str, Any] | Config) -> str:
    """What a config is for, where nobody says: ``train`` if it describes a training, otherwise ``test``."""
    return "train" if cfg.get("train_cfg") is not None else "test"


def check_together(**parts: Any) -> bool:
    """Whether a group of arguments is given.

    Raises:
        ConfigError: Some of them are, and some are not.
    """
    given = [name for name, part in parts.items() if part is not None]
    if given and len(given) < len(parts):
        lacking = [name for name in parts if name not in given]
        raise ConfigError(
            f"{', '.join(parts)} belong together: {', '.join(lacking)} missing, got {', '.join(given)}"
        )
    return bool(given)
