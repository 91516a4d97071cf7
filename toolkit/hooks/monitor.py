"""Which of two scores is better, told by the metric's name."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

from toolkit.utils import ConfigError, did_you_mean

GREATER_KEYS = (
    *("acc", "top", "AR@", "auc", "precision", "mAP", "mDice", "mIoU", "mAcc", "aAcc"),
    *("AP50", "AP75", "recall", "f1"),
)
LESS_KEYS = ("loss",)
RULE_MAP: dict[str, Callable[[float, float], bool]] = {"greater": operator.gt, "less": operator.lt}
"""Whether a score beats another, by rule."""
INIT_VALUE_MAP = {"greater": -math.inf, "less": math.inf}
"""What every score beats, by rule."""


def infer_rule(
    key: str,
    rule: str | None = None,
    greater_keys: Sequence[str] = GREATER_KEYS,
    less_keys: Sequence[str] = LESS_KEYS,
) -> str:
    """Whether more of metric `key` is better ('greater') or worse ('less').

    Args:
        key: The metric's name.
        rule: The answer, where the user gave it.
        greater_keys: Names, or parts of names, of metrics of which more is better.
        less_keys: The same of which less is better.

    Raises:
        ConfigError: `rule` is neither, or the name tells nothing.
    """
    if rule is not None:
        if rule not in RULE_MAP:
            raise ConfigError(
                f"rule {rule!r} for {key!r} is neither 'greater' nor 'less'{did_you_mean(rule, RULE_MAP)}"
            )
        return rule
    name = key.lower()
    greater = [each.lower() for each in greater_keys]
    less = [each.lower() for each in less_keys]
    for matches in (lambda each: each == name, lambda each: each in name):
        if any(map(matches, greater)):
            return "greater"
        if any(map(matches, less)):
            return "less"
    raise ConfigError(
        f"whether more of {key!r} is better can't be told from its name; say rule='greater' or rule='less'"
    )


def is_better(rule: str, score: float, best: float | None, margin: float = 0.0) -> bool:
    """Whether `score` beats `best` by more than `margin`. NaN never does; anything else beats None."""
    if math.isnan(score):
        return False
    if best is None:
        return True
    return RULE_MAP[rule](score - margin if rule == "greater" else score + margin, best)
