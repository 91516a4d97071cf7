"""Parameters without a gradient, told once after the first step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from toolkit.runner import Runner
from toolkit.runner.unused import unused_table

Make = Callable[..., Runner]


def told(runner: Runner) -> list[str]:
    runner.train()
    lines = next(Path(runner.log_dir).glob("*.log")).read_text().splitlines()
    return [
        line
        for place, line in enumerate(lines)
        if "got no gradient" in " ".join(lines[max(0, place - 2) : place + 1])
    ]


@pytest.fixture
def lazy(parts: Any) -> nn.Module:
    """A model with a layer and a parameter that nothing uses."""
    model = parts.Line()
    model.extra = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model.extra[1].bias.requires_grad_(False)
    model.scale = nn.Parameter(nn.init.ones_(model.fc.weight.new_empty(1)))
    return model


def test_it_is_told_once_and_nothing_stays_behind(make: Make, lazy: nn.Module) -> None:
    runner = make(
        model=lazy, optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}, "accumulative_counts": 2}
    )
    lines = told(runner)
    assert sum("4 trainable parameters got no gradient" in line for line in lines) == 1
    assert "  (the model itself): scale" in lines
    assert "  extra.0: weight, bias" in lines
    assert not runner.optim_wrapper.optimizer._optimizer_step_pre_hooks


def test_all_used_says_nothing(make: Make) -> None:
    assert told(make()) == []


def test_frozen_and_switched_off_say_nothing(make: Make, lazy: nn.Module) -> None:
    assert told(make(model=lazy, cfg={"report_unused_parameters": False})) == []
    assert told(make(model=lazy, cfg={"freeze": ["extra", "scale"]})) == []


def test_each_of_several_optimizers(make: Make, lazy: nn.Module) -> None:
    from torch.optim import SGD

    from toolkit.optim import OptimWrapper, OptimWrapperDict

    def train_step(data: Any, optim_wrapper: Any) -> dict[str, Any]:
        loss, values = lazy.parse_losses(lazy(*data, mode="loss"))
        for one in optim_wrapper.values():
            one.zero_grad()
        loss.backward()
        for one in optim_wrapper.values():
            one.step()
        return values

    lazy.train_step = train_step
    wrappers = OptimWrapperDict(
        used=OptimWrapper(SGD(lazy.fc.parameters(), lr=0.1)),
        unused=OptimWrapper(SGD(lazy.extra.parameters(), lr=0.1)),
    )
    lines = told(make(model=lazy, optim_wrapper=wrappers))
    assert sum("3 trainable parameters got no gradient" in line for line in lines) == 1


def test_a_long_list_is_cut() -> None:
    text = unused_table([f"layers.{number}.weight" for number in range(30)])
    assert text.startswith("30 trainable parameters")
    assert text.endswith("and 10 more modules")
