"""The core of the parameter schedulers: when they act, on what, and their state."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch.optim import Optimizer

from toolkit.optim.wrapper import BaseOptimWrapper
from toolkit.utils import ConfigError

logger = logging.getLogger(__name__)

INF = int(1e9)

# What a run changes; everything else in a state is how the scheduler was set up.
_PROGRESS = frozenset({"last_step", "_global_step", "_last_value", "base_values"})


class _ParamScheduler:
    """Base of all schedulers of an entry of the parameter groups, such as `lr`.

    A scheduler acts in the steps ``begin <= step < end``. There it computes the next value from the present
    one, so that schedulers whose ranges overlap multiply, and one that begins later goes on from where others
    left off. Making a scheduler takes its step 0.

    Args:
        optimizer: An optimizer or its wrapper.
        param_name: The entry of the parameter groups.
        begin: The first step it acts in.
        end: The first step after those it acts in.
        last_step: -1 for a new run. Another number goes on after that many steps of its own; the groups must
            know their initial values then.
        by_epoch: Whether a step is an epoch or an iteration. The scheduler itself only counts calls of
            `step`.
        verbose: Log every new value.

    Raises:
        ConfigError: An argument is out of range, or the optimizer has no such entry.
    """

    _counted_in_steps: ClassVar[tuple[str, ...]] = ()
    """Arguments of a subclass that count steps, and so grow with `convert_to_iter_based`."""

    def __init__(
        self,
        optimizer: Optimizer | BaseOptimWrapper,
        param_name: str,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, (Optimizer, BaseOptimWrapper)) or not isinstance(
            optimizer.param_groups, list
        ):
            raise ConfigError(f"{name} needs one Optimizer or OptimWrapper, got {type(optimizer).__name__}")
        if end <= begin:
            raise ConfigError(f"end of {name} must be more than begin; got begin={begin}, end={end}")
        if not isinstance(last_step, int) or last_step < -1:
            raise ConfigError(f"last_step of {name} must be an integer of at least -1, got {last_step!r}")
        self.optimizer = optimizer
        self.param_name = param_name
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self.verbose = verbose
        self.last_step = last_step
        self.base_values = self._initial_values(last_step == -1)
        self._global_step = -1
        self._last_value = self._values()
        self._start()

    def _start(self) -> None:
        """Take step 0."""
        self.step()

    def _initial_values(self, is_new: bool) -> list[Any]:
        key = f"initial_{self.param_name}"
        for index, group in enumerate(self.optimizer.param_groups):
            if is_new and self.param_name in group:
                group.setdefault(key, group[self.param_name])
            elif key not in group:
                missing = self.param_name if is_new else key
                raise ConfigError(
                    f"{type(self).__name__} can't schedule {self.param_name!r}: parameter group {index} has "
                    f"no {missing!r}"
                )
        return [group[key] for group in self.optimizer.param_groups]

    def _values(self) -> list[Any]:
        name = self.param_name
        return [group[name] for group in self.optimizer.param_groups]

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Make a scheduler that counts iterations from arguments that count epochs.

        Args:
            *args: Positional arguments of the scheduler.
            begin: In epochs; may be a fraction.
            end: In epochs; may be a fraction.
            by_epoch: Must be True: the arguments are in epochs.
            epoch_length: Iterations in an epoch.
            **kwargs: Other arguments of the scheduler; those that count epochs are converted.

        Raises:
            ConfigError: `by_epoch` is False, or `epoch_length` is not positive.
        """
        if not by_epoch:
            raise ConfigError(
                f"{cls.__name__}: convert_to_iter_based=True needs by_epoch=True, as it turns epochs into "
                f"iterations"
            )
        if epoch_length is None or epoch_length <= 0:
            raise ConfigError(f"{cls.__name__}: epoch_length must be a positive number, got {epoch_length!r}")
        for name in cls._counted_in_steps:
            value = kwargs.get(name)
            if isinstance(value, Sequence):
                kwargs[name] = [item * epoch_length for item in value]
            elif value is not None:
                kwargs[name] = value * epoch_length
        kwargs.update(
            begin=int(begin * epoch_length),
            end=end if end == INF else int(end * epoch_length),
            by_epoch=False,
        )
        return cls(*args, **kwargs)

    def step(self) -> None:
        """Count a step, and set the new values where the scheduler acts in it."""
        self._global_step += 1
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            values = self._get_value()
            self._set_values(values)
            self._last_value = values

    def _get_value(self) -> list[Any]:
        """The new value of each parameter group."""
        name = self.param_name
        return [
            self._next(group[name], base)
            for group, base in zip(self.optimizer.param_groups, self.base_values, strict=False)
        ]

    def _next(self, value: Any, base: Any) -> Any:
        """The new value of one group.

        Args:
            value: Its present value.
            base: Its value before any scheduler.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement _next or _get_value")

    def _set_values(self, values: Sequence[Any]) -> None:
        name = self.param_name
        for group, value in zip(self.optimizer.param_groups, values, strict=False):
            group[name] = value
        if self.verbose:
            for index, value in enumerate(values):
                self.print_value(True, index, value)

    def print_value(self, is_verbose: bool, group: int, value: float) -> None:
        """Log the new value of a parameter group, if wanted."""
        if is_verbose:
            unit = "epoch" if self.by_epoch else "iter"
            logger.info(
                "%s of group %d at %s %d: %.4e", self.param_name, group, unit, self._global_step, value
            )

    def get_last_value(self) -> list[Any]:
        """The values that this scheduler set last, one a group; before that, those it found."""
        return self._last_value

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, in plain containers."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave.

        How the scheduler was set up comes from the state too, since the values of the optimizer fit only
        that. Where it was set up otherwise now, a warning tells.
        """
        state_dict = self._regrouped(state_dict)
        changed = {
            key: value
            for key, value in state_dict.items()
            if key in self.__dict__ and key not in _PROGRESS and self.__dict__[key] != value
        }
        if changed:
            name = type(self).__name__
            for key, value in changed.items():
                logger.warning(
                    "%s goes on with %s=%r of the checkpoint, not with %r",
                    name,
                    key,
                    value,
                    self.__dict__[key],
                )
        self.__dict__.update(state_dict)

    def _regrouped(self, state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
        """A state of MMEngine, which has values for each parameter, with one for each group."""
        sources = getattr(self.optimizer, "group_sources", None)
        if sources is None:
            return state_dict
        taken = {
            key: [state_dict[key][number] for number in sources]
            for key in ("base_values", "_last_value")
            if len(state_dict.get(key) or ()) > max(len(sources), *sources)
        }
        return {**state_dict, **taken}
