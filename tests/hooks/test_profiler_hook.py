from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.hooks import ProfilerHook
from toolkit.utils import ConfigError

Make = Callable[..., Any]


def test_trace_of_two_iterations(make_runner: Make, tmp_path: Path) -> None:
    path = tmp_path / "trace" / "trace.json"
    hook = {"type": "ProfilerHook", "by_epoch": False, "profile_times": 2, "json_trace_path": str(path)}
    runner = make_runner(custom_hooks=[hook])
    runner.train()
    names = [event.get("name", "") for event in json.loads(path.read_text())["traceEvents"]]
    # One linear layer a step, and no more steps than were asked for.
    assert names.count("aten::linear") == 2


def test_table_in_the_log(make_runner: Make, capsys: pytest.CaptureFixture[str]) -> None:
    ready = {"type": "log_trace", "sort_by": "cpu_time_total", "row_limit": 5}
    make_runner(custom_hooks=[{"type": "ProfilerHook", "on_trace_ready": ready}]).train()
    assert "Self CPU time total" in capsys.readouterr().out


def test_bad_arguments(make_runner: Make) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ProfilerHook(profile_times=0)
    with pytest.raises(ConfigError, match="neither"):
        ProfilerHook(activity_with_cpu=False)
    with pytest.raises(ConfigError, match="more than the run has: 3"):
        make_runner(custom_hooks=[{"type": "ProfilerHook", "profile_times": 4}]).train()
    with pytest.raises(ConfigError, match="did you mean 'tb_trace'"):
        make_runner(custom_hooks=[{"type": "ProfilerHook", "on_trace_ready": {"type": "tb_trac"}}]).train()
