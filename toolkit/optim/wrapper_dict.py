"""`OptimWrapperDict`: several optimizers, each with its wrapper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from torch import Tensor, nn

from toolkit.optim.wrapper import OptimWrapper
from toolkit.utils import CheckpointError, ConfigError, TrainingError, did_you_mean


class OptimWrapperDict(OptimWrapper):
    """Wrappers of several optimizers by name, for models such as GANs.

    It reads, saves and restores them together. Which one takes a step is for the model's `train_step` to say:
    ``optim_wrapper['generator'].update_params(loss)``.

    Args:
        **optim_wrapper_dict: The wrappers.
    """

    def __init__(self, **optim_wrapper_dict: OptimWrapper) -> None:
        for name, wrapper in optim_wrapper_dict.items():
            if not isinstance(wrapper, OptimWrapper):
                raise ConfigError(
                    f"optim_wrapper {name!r} must be an OptimWrapper, got {type(wrapper).__name__}: "
                    f"{wrapper!r}"
                )
        self.optim_wrappers = optim_wrapper_dict

    def _ambiguous(self, method: str) -> NoReturn:
        raise TrainingError(
            f"OptimWrapperDict can't tell which optimizer {method} is meant for; call it in the model's "
            f"train_step "
            f"as optim_wrapper[name].{method}(...), where name is one of {', '.join(self.optim_wrappers)}"
        )

    def update_params(self, loss: Tensor, step_kwargs: Any = None, zero_kwargs: Any = None) -> NoReturn:
        """Only single wrappers take a loss."""
        self._ambiguous("update_params")

    def backward(self, loss: Tensor, **kwargs: Any) -> NoReturn:
        """Only single wrappers take a loss."""
        self._ambiguous("backward")

    def step(self, **kwargs: Any) -> NoReturn:
        """Only single wrappers take a step."""
        self._ambiguous("step")

    def optim_context(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Only single wrappers have a context."""
        self._ambiguous("optim_context")

    def should_update(self) -> bool:
        """Whether no wrapper is within an accumulation."""
        return all(wrapper.should_update() for wrapper in self.optim_wrappers.values())

    def zero_grad(self, **kwargs: Any) -> None:
        """`zero_grad` of every optimizer."""
        for wrapper in self.optim_wrappers.values():
            wrapper.zero_grad(**kwargs)

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Nothing: how often each wrapper is called is known to the model's `train_step` alone."""

    @property
    def log_vars(self) -> dict[str, Tensor]:  # type: ignore[override]
        """What the wrappers have to log, as ``name.key``."""
        return {
            f"{name}.{key}": value
            for name, wrapper in self.optim_wrappers.items()
            for key, value in wrapper.log_vars.items()
        }

    @property
    def param_groups(self) -> dict[str, list[dict[str, Any]]]:  # type: ignore[override]
        """The parameter groups of every optimizer, by name."""
        return {name: wrapper.param_groups for name, wrapper in self.optim_wrappers.items()}

    def get_lr(self) -> dict[str, list[float]]:
        """The learning rates of every optimizer, as ``name.lr``."""
        return self._prefixed("get_lr")

    def get_momentum(self) -> dict[str, list[float]]:
        """The momenta of every optimizer, as ``name.momentum``."""
        return self._prefixed("get_momentum")

    def _prefixed(self, method: str) -> dict[str, list[float]]:
        return {
            f"{name}.{key}": value
            for name, wrapper in self.optim_wrappers.items()
            for key, value in getattr(wrapper, method)().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of every wrapper, by name."""
        return {name: wrapper.state_dict() for name, wrapper in self.optim_wrappers.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            CheckpointError: It holds a wrapper that isn't here.
        """
        for name, state in state_dict.items():
            if name not in self.optim_wrappers:
                raise CheckpointError(
                    f"the checkpoint has the state of optimizer {name!r}, which this run hasn't"
                    f"{did_you_mean(name, self.optim_wrappers)}; it has {', '.join(self.optim_wrappers)}"
                )
            self.optim_wrappers[name].load_state_dict(state)

    def items(self) -> Iterator[tuple[str, OptimWrapper]]:
        """Names and wrappers."""
        yield from self.optim_wrappers.items()

    def values(self) -> Iterator[OptimWrapper]:
        """The wrappers."""
        yield from self.optim_wrappers.values()

    def keys(self) -> Iterator[str]:
        """The names."""
        yield from self.optim_wrappers.keys()

    def __getitem__(self, key: str) -> OptimWrapper:
        if key not in self.optim_wrappers:
            raise KeyError(
                f"no optimizer {key!r}{did_you_mean(key, self.optim_wrappers)}; there are "
                f"{', '.join(self.optim_wrappers)}"
            )
        return self.optim_wrappers[key]

    def __contains__(self, key: str) -> bool:
        return key in self.optim_wrappers

    def __len__(self) -> int:
        return len(self.optim_wrappers)

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {wrapper!r}" for name, wrapper in self.optim_wrappers.items())
