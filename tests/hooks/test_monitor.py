from __future__ import annotations

import pytest

from toolkit.hooks import CheckpointHook, EarlyStoppingHook
from toolkit.hooks.monitor import infer_rule, is_better
from toolkit.utils import ConfigError


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("coco/bbox_mAP", "greater"),
        ("pascal_voc/mAP", "greater"),
        ("pascal_voc/AP50", "greater"),
        ("accuracy/top1", "greater"),
        ("single-label/f1-score", "greater"),
        ("val_loss", "less"),
        ("LOSS", "less"),
    ],
)
def test_rule_is_told_from_the_name(key: str, rule: str) -> None:
    assert infer_rule(key) == rule


def test_exact_names_go_first() -> None:
    assert infer_rule("acc_loss", less_keys=["acc_loss"]) == "less"
    assert infer_rule("acc", rule="less") == "less"


def test_keys_may_be_given() -> None:
    assert infer_rule("rmse", less_keys=["rmse"]) == "less"
    with pytest.raises(ConfigError, match="'rmse' is better"):
        infer_rule("rmse")


@pytest.mark.parametrize(
    ("rule", "score", "best", "margin", "better"),
    [
        ("greater", 2.0, 1.0, 0.0, True),
        ("greater", 1.0, 1.0, 0.0, False),
        ("greater", 1.05, 1.0, 0.1, False),
        ("less", 0.5, 1.0, 0.0, True),
        ("less", 0.95, 1.0, 0.1, False),
        ("less", 7.0, None, 0.1, True),
        ("greater", float("nan"), None, 0.0, False),
        ("less", float("inf"), 3.0, 0.0, False),
    ],
)
def test_better(rule: str, score: float, best: float | None, margin: float, better: bool) -> None:
    assert is_better(rule, score, best, margin) is better


def test_hooks_say_what_beats_what() -> None:
    for hook in (CheckpointHook, EarlyStoppingHook):
        assert hook.rule_map["greater"](2, 1)
        assert hook.rule_map["less"](1, 2)
        assert not hook.rule_map["less"](2, 2)
    for rule, worst in CheckpointHook.init_value_map.items():
        assert CheckpointHook.rule_map[rule](0.0, worst)
