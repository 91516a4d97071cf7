from __future__ import annotations

import pytest
from matplotlib.colors import to_rgb as matplotlib_rgb

from toolkit.utils import ConfigError
from toolkit.visualization.colors import color_each, readable_on, to_rgb


@pytest.mark.parametrize("name", ["tomato", "royalblue", "gold", "#12aBff", "black"])
def test_names_are_css(name: str) -> None:
    assert to_rgb(name) == tuple(round(255 * part) for part in matplotlib_rgb(name))


def test_letters_are_full_colours() -> None:
    assert to_rgb("g") == (0, 255, 0)
    assert to_rgb("none") is None
    assert to_rgb([1, 2, 3]) == (1, 2, 3)


@pytest.mark.parametrize("color", ["nocolour", "", (1, 2), (1, 2, 300)])
def test_bad_colours(color: object) -> None:
    with pytest.raises(ConfigError):
        to_rgb(color)


def test_one_each() -> None:
    assert color_each("r", 2) == [(255, 0, 0)] * 2
    assert color_each((1, 2, 3), 2) == [(1, 2, 3)] * 2
    assert color_each(["r", "b", "g"], 2) == [(255, 0, 0), (0, 0, 255)]
    with pytest.raises(ConfigError, match="1 colours were given for 2"):
        color_each(["r"], 2)


def test_letters_are_readable() -> None:
    assert readable_on((255, 255, 0)) == (0, 0, 0)
    assert readable_on((0, 0, 200)) == (255, 255, 255)
