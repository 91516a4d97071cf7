from __future__ import annotations

from typing import Any

import pytest
import torch

from toolkit.hooks import EmptyCacheHook


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        ({}, 2),
        ({"before_epoch": True, "after_epoch": False}, 2),
        ({"after_epoch": False, "after_iter": True}, 8),
        ({"after_epoch": False, "after_iter": True, "interval": 3}, 2),
    ],
)
def test_calls(monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], calls: int) -> None:
    seen: list[int] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append(1))
    hook = EmptyCacheHook(**arguments)
    for mode in ("train", "val"):
        getattr(hook, f"before_{mode}_epoch")(None)
        for index in range(4):
            getattr(hook, f"after_{mode}_iter")(None, batch_idx=index)
        getattr(hook, f"after_{mode}_epoch")(None)
    assert len(seen) == calls
