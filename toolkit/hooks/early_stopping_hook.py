"""Ends training that no longer improves."""

from __future__ import annotations

import math
from typing import Any

from toolkit.hooks.hook import Hook, Runner
from toolkit.hooks.monitor import RULE_MAP, infer_rule, is_better
from toolkit.registry import HOOKS
from toolkit.utils import ConfigError, did_you_mean


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Stops training when a validation metric did not improve for some validations.

    Args:
        monitor: The metric.
        rule: 'greater' or 'less': what is better. Told from the name by default.
        min_delta: By how much a score must beat the best one to count as better.
        strict: Refuse metrics that lack `monitor`, instead of warning.
        check_finite: Stop when the metric is NaN or infinite.
        patience: How many validations without improvement are waited for.
        stopping_threshold: Stop as soon as the metric reaches this.
    """

    priority = "LOWEST"
    rule_map = RULE_MAP

    def __init__(
        self,
        monitor: str,
        rule: str | None = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: float | None = None,
    ) -> None:
        self.monitor = monitor
        self.rule = infer_rule(monitor, rule)
        self.min_delta = min_delta
        self.strict = strict
        self.check_finite = check_finite
        self.patience = patience
        self.stopping_threshold = stopping_threshold
        self.best_score: float | None = None
        self.wait_count = 0

    def before_run(self, runner: Runner) -> None:
        """Checks that the loop can be stopped."""
        # A config's loop is still a dict here; the loops of this package all have the switch.
        loop = getattr(runner, "train_loop", None)
        if loop is not None and not isinstance(loop, dict) and not hasattr(loop, "stop_training"):
            raise ConfigError(
                f"EarlyStoppingHook sets `stop_training`, which {type(loop).__name__} does not have"
            )

    def before_train(self, runner: Runner) -> None:
        """Stops a resumed training that had been stopped, unless there is more patience now."""
        if self.best_score is None:
            return
        reason = self._reached(self.best_score) or self._waited()
        if reason:
            runner.train_loop.stop_training = True
            runner.logger.info(f"training had been stopped early, and does not go on: {reason}")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Looks at the metric."""
        metrics = metrics or {}
        if self.monitor not in metrics:
            text = (
                f"EarlyStoppingHook watches {self.monitor!r}, which validation did not give"
                f"{did_you_mean(self.monitor, metrics)}; there are: {', '.join(metrics) or 'none'}"
            )
            if self.strict:
                raise ConfigError(text)
            runner.logger.warning(text)
            return
        reason = self._reason_to_stop(float(metrics[self.monitor]))
        if reason:
            runner.train_loop.stop_training = True
            runner.logger.info(f"training stops early: {reason}")

    def _reason_to_stop(self, score: float) -> str:
        if self.check_finite and not math.isfinite(score):
            return f"{self.monitor} is {score}"
        if is_better(self.rule, score, self.best_score, self.min_delta):
            self.best_score, self.wait_count = score, 0
        else:
            self.wait_count += 1
        return self._reached(score) or self._waited()

    def _reached(self, score: float) -> str:
        threshold = self.stopping_threshold
        if threshold is not None and (score >= threshold if self.rule == "greater" else score <= threshold):
            return f"{self.monitor} is {score:.4f} and has reached {threshold}"
        return ""

    def _waited(self) -> str:
        if self.wait_count == 0 or self.wait_count < self.patience:
            return ""
        return (
            f"{self.monitor} did not get better than {self.best_score} by {self.min_delta} "
            f"in {self.wait_count} validations"
        )

    def state_dict(self) -> dict[str, Any]:
        """The best score and the validations waited since."""
        return {"best_score": self.best_score, "wait_count": self.wait_count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back."""
        self.best_score = state_dict["best_score"]
        self.wait_count = state_dict["wait_count"]
