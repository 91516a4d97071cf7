"""Puts a model for test-time augmentation around the trained one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from toolkit.hooks.hook import Hook, Runner
from toolkit.registry import HOOKS, MODELS


@HOOKS.register_module()
class PrepareTTAHook(Hook):
    """Tests with an augmenting model around the runner's, and takes it away again.

    Args:
        tta_cfg: Config of the augmenting model, a `BaseTTAModel`, without ``module``.
    """

    def __init__(self, tta_cfg: Mapping[str, Any]) -> None:
        self.tta_cfg = dict(tta_cfg)
        self._plain: nn.Module | None = None

    def before_test(self, runner: Runner) -> None:
        """Wrap the model, whose weights are loaded by now."""
        self._plain = runner.model
        wrapped = MODELS.build({**self.tta_cfg, "module": runner.model})
        runner.model = wrapped.to(runner.device).eval()

    def after_test(self, runner: Runner) -> None:
        """Unwrap it."""
        runner.model, self._plain = self._plain, None
