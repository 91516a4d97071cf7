"""Progress bars and stopwatches."""

from __future__ import annotations

import io
import time

import pytest

from toolkit.utils import (
    ProgressBar,
    Timer,
    TimerError,
    check_time,
    track_iter_progress,
    track_parallel_progress,
    track_progress,
    track_progress_rich,
)


def double(x: int, add: int = 0) -> int:
    return 2 * x + add


def test_the_bar_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = io.StringIO()
    bar = ProgressBar(10, bar_width=20, file=out)
    assert out.getvalue() == f"[{' ' * 20}] 0/10, elapsed: 0s, ETA:"
    bar.update(5)
    line = out.getvalue().rpartition("\r")[2]
    assert line.startswith(f"[{'>' * 10}{' ' * 10}] 5/10, ")
    bar.update(5)
    assert f"[{'>' * 20}] 10/10, " in out.getvalue()
    with pytest.raises(ValueError, match="num_tasks=0"):
        bar.update(0)


def test_a_bar_without_an_end_counts() -> None:
    out = io.StringIO()
    ProgressBar(file=out).update()
    assert out.getvalue().startswith("completed: 0, elapsed: 0scompleted: 1, elapsed: 0s, ")


def test_tracking() -> None:
    out = io.StringIO()
    assert track_progress(double, [1, 2], file=out, add=1) == [3, 5]
    assert " 2/2, " in out.getvalue()
    assert out.getvalue().endswith("\n")
    assert list(track_iter_progress((iter([1, 2]), 2), file=io.StringIO())) == [1, 2]
    with pytest.raises(TypeError, match="sequence"):
        track_progress(double, iter([1]), file=out)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pair"):
        track_progress(double, (1, 2, 3), file=out)  # type: ignore[arg-type]


@pytest.mark.parametrize("skip_first", [False, True])
@pytest.mark.parametrize("keep_order", [False, True])
def test_tracking_in_processes(skip_first: bool, keep_order: bool) -> None:
    out = io.StringIO()
    results = track_parallel_progress(
        double, list(range(6)), 2, skip_first=skip_first, keep_order=keep_order, file=out
    )
    assert (results if keep_order else sorted(results)) == [0, 2, 4, 6, 8, 10]
    assert (" 4/4, " if skip_first else " 6/6, ") in out.getvalue()


def test_tracking_with_rich() -> None:
    assert track_progress_rich(double, [1, (2, 3)]) == [2, 7]
    assert track_progress_rich(double, [1, 2, 3], nproc=2) == [2, 4, 6]
    assert track_progress_rich(lambda: 1, task_num=3) == [1, 1, 1]
    with pytest.raises(ValueError, match="task_num"):
        track_progress_rich(double)


def test_a_timer(capsys: pytest.CaptureFixture[str]) -> None:
    timer = Timer()
    time.sleep(0.02)
    assert timer.since_start() >= 0.02
    assert timer.since_last_check() < 0.02
    time.sleep(0.01)
    assert timer.since_last_check() >= 0.01
    assert timer.since_start() >= 0.03
    with Timer(print_tmpl="took {:.1f} s"):
        pass
    assert capsys.readouterr().out == "took 0.0 s\n"
    with pytest.raises(TimerError, match="start"):
        Timer(start=False).since_start()
    assert check_time("test_a_timer") == 0
    assert check_time("test_a_timer") > 0
