from __future__ import annotations

import io
import os
import random
import sys
import time
from pathlib import Path

import pytest
import rich.style

from toolkit.logging import MMLogger
from toolkit.logging.progress import LiveProgress, _Console


def on_a_terminal(stream: io.StringIO) -> LiveProgress:
    return LiveProgress(_Console(file=stream, force_terminal=True, width=120))


def test_bar_shows_position_and_notes() -> None:
    stream, done = io.StringIO(), [0]
    bar = on_a_terminal(stream)
    bar.show(lambda: "Epoch 1/12", lambda: done[0], 200)
    done[0] = 50
    bar.note({"loss": "0.1234", "eta": "1:00:00"})
    time.sleep(0.7)  # the bar redraws by itself, twice a second
    bar.close()
    text = stream.getvalue()
    assert "Epoch 1/12" in text
    assert "50/200" in text
    assert "0.1234" in text
    assert "1:00:00" in text
    assert "\033[?25l" not in text  # the cursor is never hidden


def test_lines_are_written_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    bar = on_a_terminal(stream)
    logger = MMLogger.get_instance("logger of the bar")
    bar.show(lambda: "Epoch", lambda: 1, 2)
    assert sys.stdout is not stream
    logger.info("a line")
    bar.close()
    assert sys.stdout is stream
    text = stream.getvalue()
    # The bar's line is wiped for the line, and drawn again beneath it.
    assert text.index("Epoch") < text.index("a line\n") < text.rindex("Epoch")
    assert not bar.shown


def test_nothing_is_drawn_off_a_terminal() -> None:
    stream = io.StringIO()
    bar = LiveProgress(_Console(file=stream, force_terminal=False))
    bar.show(lambda: "Epoch", lambda: 1, 2)
    assert not bar.shown
    bar.close()
    assert stream.getvalue() == ""


def test_second_bar_takes_the_place_of_the_first() -> None:
    stream = io.StringIO()
    bar = on_a_terminal(stream)
    bar.show(lambda: "Epoch", lambda: 1, 2)
    bar.show(lambda: "Val", lambda: 3, 4)
    bar.close()
    assert "Val" in stream.getvalue()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_worker_writes_past_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "out", "w+") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        bar = on_a_terminal(stream)
        bar.show(lambda: "Epoch", lambda: 1, 2)
        with bar.console._lock:  # as if a redraw were under way: the child must not wait for it
            child = os.fork()
            if child == 0:
                print("from the worker", flush=True)
                os._exit(0 if sys.stdout is stream else 1)
            deadline = time.monotonic() + 10
            status = (0, 0)
            while status[0] == 0 and time.monotonic() < deadline:
                status = os.waitpid(child, os.WNOHANG)
                time.sleep(0.01)
        bar.close()
        assert status == (child, 0)


def test_drawing_leaves_the_random_generator_alone() -> None:
    state = random.getstate()
    bar = on_a_terminal(io.StringIO())
    bar.show(lambda: "[link]Epoch", lambda: 1, 2)
    bar.note({"loss": "1.0"})
    # Versions of rich that draw for each style with a link do so by one of these names.
    for name in ("getrandbits", "randint"):
        assert getattr(rich.style, name, None) is not getattr(random, name)
    rich.style.Style(link="https://example.org").update_link("https://example.com")
    bar.close()
    assert random.getstate() == state
