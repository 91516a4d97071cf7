"""A function as a hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.hooks.hook import Hook
from toolkit.registry import HOOKS
from toolkit.utils import ConfigError, did_you_mean


@HOOKS.register_module()
class ClosureHook(Hook):
    """Calls a function at one point of the run.

    Args:
        fn_name: The point, such as ``after_train_epoch``.
        fn: Called with what a hook's method gets: the runner, and further arguments by name.

    Raises:
        ConfigError: There is no such point, or `fn` can't be called.
    """

    def __init__(self, fn_name: str, fn: Callable[..., Any]) -> None:
        if fn_name not in self.stages:
            raise ConfigError(
                f"ClosureHook: there is no point {fn_name!r}{did_you_mean(fn_name, self.stages)}; "
                f"the points are {', '.join(self.stages)}"
            )
        if not callable(fn):
            raise ConfigError(f"ClosureHook: fn must be a function, got {fn!r}")
        self.fn_name = fn_name
        setattr(self, fn_name, fn)

    def get_triggered_stages(self) -> list[str]:
        """The one point."""
        return [self.fn_name]
