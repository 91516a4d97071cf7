"""`DefaultRunnerConstructor`: how a runner is made from a whole config that says nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.registry import RUNNER_CONSTRUCTORS, RUNNERS


@RUNNER_CONSTRUCTORS.register_module()
class DefaultRunnerConstructor:
    """Makes the runner of a config. Derive from it to do more, and name the class as ``constructor``.

    Args:
        runner_cfg: A whole config.
        default_args: Further arguments of the runner's ``from_cfg``.
    """

    def __init__(self, runner_cfg: Any, default_args: Mapping[str, Any] | None = None) -> None:
        self.runner_cfg = runner_cfg
        self.default_args = default_args

    def __call__(self) -> Any:
        """The runner."""
        return RUNNERS.build(self.runner_cfg, default_args=self.default_args)
