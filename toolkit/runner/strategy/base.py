"""`BaseStrategy`: where a runner asks how its processes, its model and its state are handled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from toolkit.runner import build, environment, start
from toolkit.runner.checkpoint.weights import plain_state
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from toolkit.optim import BaseOptimWrapper
    from toolkit.runner.building import RunnerBuilding
    from toolkit.runner.options import Options


class BaseStrategy:
    """How a run uses its devices. A runner calls these methods, in the order in which they stand here.

    What `env_kwargs` and the others give, wins over the runner's arguments of that name.

    Args:
        work_dir: See `Runner`, as for the next.
        experiment_name: Name of the run.
        env_kwargs: ``launcher``, ``randomness``, and what `env_cfg` of the runner takes.
        log_kwargs: ``log_level``.
        auto_scale_lr: See `Runner`.

    Raises:
        ConfigError: `log_kwargs` has another key.
    """

    distributed = False
    """Whether the run has several processes, which a launcher starts."""

    def __init__(
        self,
        *,
        work_dir: str | None = None,
        experiment_name: str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        log_kwargs: Mapping[str, Any] | None = None,
        auto_scale_lr: Mapping[str, Any] | None = None,
    ) -> None:
        self.work_dir, self.experiment_name, self.auto_scale_lr = work_dir, experiment_name, auto_scale_lr
        self.env_kwargs, self.log_kwargs = dict(env_kwargs or {}), dict(log_kwargs or {})
        for key in self.log_kwargs:
            if key != "log_level":
                raise ConfigError(f"log_kwargs of {type(self).__name__} has {key!r}; it takes log_level")

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The runner's settings, with those of the strategy in their place.

        Args:
            given: ``work_dir``, ``experiment_name``, ``launcher``, ``env_cfg``, ``randomness``, ``log_level``
                and ``auto_scale_lr`` as the runner got them.
        """
        env = dict(self.env_kwargs)
        own = {
            "work_dir": self.work_dir,
            "experiment_name": self.experiment_name,
            "auto_scale_lr": self.auto_scale_lr,
            "launcher": env.pop("launcher", None),
            "randomness": env.pop("randomness", None),
            "log_level": self.log_kwargs.get("log_level"),
            "env_cfg": {**(given["env_cfg"] or {}), **env},
        }
        return {**given, **{key: value for key, value in own.items() if value is not None}}

    def setup_env(self, env_cfg: Mapping[str, Any], launcher: str) -> None:
        """Set this process up, and join the others; see `toolkit.runner.environment.setup_env`.

        Raises:
            ConfigError: The launcher is none for this strategy.
        """
        name = type(self).__name__
        if self.distributed and launcher == "none":
            raise ConfigError(
                f"{name} needs a launcher, which starts the processes: run under torchrun with "
                "launcher='pytorch', or use SingleDeviceStrategy"
            )
        if not self.distributed and launcher != "none":
            raise ConfigError(
                f"{name} runs in one process, but launcher={launcher!r} starts several; use DDPStrategy, "
                "FSDPStrategy or DeepSpeedStrategy"
            )
        environment.setup_env(env_cfg, launcher)

    def wrap_model(self, model: nn.Module, device: torch.device, options: Options) -> nn.Module:
        """The model on its device, with what it needs around it to run there.

        Args:
            model: As built.
            device: Of this process.
            options: The switches of the config.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement wrap_model")

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module) -> BaseOptimWrapper:
        """The optimizer wrapper; see `toolkit.runner.build.build_optim_wrapper`."""
        return build.build_optim_wrapper(model, optim_wrapper)

    def init_weights(self, model: nn.Module) -> None:
        """Initialise the weights of a training that starts afresh, the same on all processes."""
        start.init_weights(model)

    def load(self, path: str) -> None:
        """Take what `save` has written for a checkpoint; called once the checkpoint itself is loaded."""

    def before_loop(self, runner: RunnerBuilding) -> None:
        """Called when model and optimizer have their weights and state, before training or evaluation."""

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """The weights for a checkpoint, with the keys of the plain model. All processes call it."""
        return plain_state(model)[0]

    def save(self, path: str) -> None:
        """Write what belongs to a checkpoint and is not in it. All processes call it, before it is written.

        Args:
            path: Of the checkpoint: a path or a URL.
        """
