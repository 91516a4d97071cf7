from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from toolkit.hooks import NaiveVisualizationHook


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, np.ndarray, dict[str, Any]]] = []

    def add_datasample(self, name: str, image: np.ndarray, **kwargs: Any) -> None:
        self.calls.append((name, image, kwargs))


@pytest.fixture
def runner() -> SimpleNamespace:
    return SimpleNamespace(visualizer=Recorder(), iter=5)


def test_picture_is_read_as_rgb(runner: SimpleNamespace, tmp_path: Path) -> None:
    bgr = np.zeros((4, 6, 3), np.uint8)
    bgr[..., 0] = 200  # blue
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    sample = SimpleNamespace(img_path=str(tmp_path / "a.png"))
    NaiveVisualizationHook(draw_gt=False).after_test_iter(runner, 0, {}, [sample])
    name, image, kwargs = runner.visualizer.calls[0]
    assert name == "a"
    assert image[0, 0].tolist() == [0, 0, 200]
    assert kwargs == {"data_sample": sample, "draw_gt": False, "draw_pred": True, "step": 5}


def test_input_without_padding_where_there_is_no_file(runner: SimpleNamespace) -> None:
    inputs = torch.zeros(3, 8, 8)
    inputs[0] = 300.0
    sample = SimpleNamespace(img_shape=(4, 6))
    NaiveVisualizationHook().after_test_iter(runner, 2, {"inputs": [inputs]}, [sample])
    name, image, _ = runner.visualizer.calls[0]
    assert name == "test_2_0"
    assert image.shape == (4, 6, 3)
    assert image[0, 0].tolist() == [0, 0, 255]


def test_interval_and_validation(runner: SimpleNamespace) -> None:
    batch, samples = {"inputs": torch.zeros(2, 3, 4, 4)}, [SimpleNamespace(), SimpleNamespace()]
    hook = NaiveVisualizationHook(interval=2)
    for index in range(4):
        hook.after_test_iter(runner, index, batch, samples)
        hook.after_val_iter(runner, index, batch, samples)
    assert len(runner.visualizer.calls) == 4
    NaiveVisualizationHook(on_val=True).after_val_iter(runner, 0, batch, samples)
    assert len(runner.visualizer.calls) == 6


def test_what_is_no_picture_is_left_out(runner: SimpleNamespace) -> None:
    sample = SimpleNamespace(img_path="/nowhere/a.png")
    NaiveVisualizationHook().after_test_iter(runner, 0, {"inputs": torch.zeros(1, 7)}, [sample])
    NaiveVisualizationHook().after_test_iter(runner, 0, [torch.zeros(1, 7)], [sample])
    assert runner.visualizer.calls == []


def test_pictures_of_named_sets_carry_its_name(runner: SimpleNamespace, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 6, 3), np.uint8))
    runner.val_loop = SimpleNamespace(set_name="noisy")
    hook = NaiveVisualizationHook(on_val=True)
    hook.after_val_iter(runner, 1, {}, [SimpleNamespace(img_path=str(tmp_path / "a.png"))])
    hook.after_val_iter(runner, 1, {"inputs": torch.zeros(1, 3, 4, 4)}, [SimpleNamespace()])
    assert [name for name, *_ in runner.visualizer.calls] == ["noisy_a", "noisy_val_1_0"]
