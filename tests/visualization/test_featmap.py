from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from toolkit.utils import ConfigError
from toolkit.visualization import Visualizer

draw = Visualizer.draw_featmap


def hottest(image: np.ndarray) -> tuple[int, int]:
    """Where the map is reddest, as row and column."""
    warmth = image[..., 0].astype(int) - image[..., 2]
    return tuple(int(i) for i in np.unravel_index(warmth.argmax(), warmth.shape))


def test_mean_and_strongest_channel() -> None:
    maps = torch.zeros(3, 8, 10)
    maps[0, 1, 2] = 5.0
    maps[2, 6, 7] = 9.0
    maps[0, 6, 7] = -9.0
    assert hottest(draw(maps)) == (1, 2)
    assert hottest(draw(maps, channel_reduction="select_max")) == (6, 7)
    assert draw(maps).shape == (8, 10, 3)


def test_on_a_picture_of_another_size() -> None:
    image = np.full((16, 20, 3), 200, np.uint8)
    maps = torch.zeros(1, 4, 5)
    maps[0, 0, 0] = 1
    drawn = draw(maps, image, alpha=0.25)
    assert drawn.shape == (16, 20, 3)
    assert drawn[-1, -1].tolist() == [150, 150, 182]  # a quarter of JET's dark blue (0, 0, 128)
    assert draw(maps, image, resize_shape=(8, 10)).shape == (8, 10, 3)


@pytest.mark.parametrize(("topk", "shape"), [(6, (2, 3)), (4, (2, 3)), (3, (1, 3))])
def test_table_of_channels(topk: int, shape: tuple[int, int]) -> None:
    drawn = draw(torch.rand(10, 8, 12), channel_reduction=None, topk=topk, arrangement=(2, 3))
    rows, columns = shape
    assert drawn.shape == (rows * 10 - 2, columns * 14 - 2, 3)


@pytest.mark.parametrize(
    ("maps", "arguments", "text"),
    [
        (torch.zeros(1, 3, 4, 4), {}, "one of the batch"),
        (torch.zeros(3, 4, 4), {"channel_reduction": "squeeze_men"}, "did you mean 'squeeze_mean'"),
        (torch.zeros(9, 4, 4), {"channel_reduction": None, "topk": -1}, "1 or 3"),
        (torch.zeros(9, 4, 4), {"channel_reduction": None, "topk": 9, "arrangement": (2, 2)}, "no room"),
    ],
)
def test_bad_arguments(maps: torch.Tensor, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        draw(maps, **arguments)
