"""The visualizer: drawing, feature maps, and storing pictures, numbers and configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from toolkit.config import Config
from toolkit.registry import VISBACKENDS, VISUALIZERS
from toolkit.visualization import BaseVisBackend, Visualizer


@pytest.fixture
def image() -> np.ndarray:
    return np.full((60, 80, 3), 40, dtype=np.uint8)


def changed(visualizer: Visualizer, image: np.ndarray) -> np.ndarray:
    return (visualizer.get_image() != image).any(-1)


def test_drawing(image: np.ndarray) -> None:
    visualizer = Visualizer(image=image)
    visualizer.draw_bboxes(torch.tensor([10, 10, 30, 40]), edge_colors="r", line_widths=1)
    where = changed(visualizer, image)
    rows, columns = where.nonzero()
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == pytest.approx((10, 10, 30, 40), abs=1)
    assert not where[20:30, 15:25].any()
    visualizer.set_image(image)
    assert not changed(visualizer, image).any()
    visualizer.draw_bboxes(torch.tensor([[10, 10, 30, 40], [40, 5, 60, 15]])).draw_texts(
        "text", torch.tensor([50, 50]), colors="g"
    ).draw_circles(torch.tensor([60.0, 30.0]), torch.tensor([5.0]))
    where = changed(visualizer, image)
    for region in (where[10:41, 10:31], where[5:16, 40:61], where[45:, 45:], where[24:37, 54:67]):
        assert region.any()


def test_lines_points_polygons_and_masks(image: np.ndarray) -> None:
    visualizer = Visualizer(image=image)
    visualizer.draw_lines(torch.tensor([5, 60]), torch.tensor([5, 5]), line_widths=1)
    assert changed(visualizer, image)[4:7, 5:60].any(0).all()
    visualizer.set_image(image)
    visualizer.draw_points(torch.tensor([[20, 20], [40, 40]]))
    assert changed(visualizer, image)[[20, 40], [20, 40]].all()
    visualizer.set_image(image)
    visualizer.draw_polygons(torch.tensor([[10, 10], [40, 10], [40, 40]]))
    assert changed(visualizer, image).any()
    visualizer.set_image(image)
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:20, 10:20] = True
    visualizer.draw_binary_masks(mask, alphas=0.5)
    assert changed(visualizer, image)[12:18, 12:18].all()
    assert not changed(visualizer, image)[30:, 30:].any()


def test_feature_maps(image: np.ndarray) -> None:
    featmap = torch.rand(8, 15, 20)
    plain = Visualizer.draw_featmap(featmap, channel_reduction="squeeze_mean")
    assert plain.shape == (15, 20, 3)
    over = Visualizer.draw_featmap(featmap, overlaid_image=image, channel_reduction="select_max")
    assert over.shape == image.shape
    several = Visualizer.draw_featmap(featmap, channel_reduction=None, topk=4, arrangement=(2, 2))
    assert several.shape[0] > 15
    with pytest.raises((AssertionError, ValueError)):
        Visualizer.draw_featmap(featmap, channel_reduction="xx")


def test_storing(image: np.ndarray, tmp_path: Path) -> None:
    visualizer = Visualizer(vis_backends=[{"type": "LocalVisBackend"}], save_dir=str(tmp_path))
    visualizer.add_image("demo", image, step=3)
    visualizer.add_scalar("mAP", 0.5, step=1)
    visualizer.add_scalars({"loss": 0.25, "acc": 0.75}, step=2)
    visualizer.add_config(Config({"a": 1}))
    visualizer.close()
    (stored,) = (tmp_path / "vis_data").rglob("demo_3.*")
    assert np.abs(cv2.imread(str(stored)).astype(int) - image).max() <= 2
    lines = [json.loads(line) for line in (tmp_path / "vis_data" / "scalars.json").read_text().splitlines()]
    assert [{key: line.get(key) for key in ("mAP", "loss", "acc", "step")} for line in lines] == [
        {"mAP": 0.5, "loss": None, "acc": None, "step": 1},
        {"mAP": None, "loss": 0.25, "acc": 0.75, "step": 2},
    ]
    assert Config.fromfile(str(tmp_path / "vis_data" / "config.py")).a == 1


def test_found_by_its_name(tmp_path: Path) -> None:
    made = Visualizer.get_instance(
        "tutorial", vis_backends=[{"type": "LocalVisBackend"}], save_dir=str(tmp_path)
    )
    assert Visualizer.get_instance("tutorial") is made
    assert Visualizer.get_current_instance() is made
    assert made.get_backend("LocalVisBackend").experiment is not None


def test_parts_of_ones_own(image: np.ndarray, tmp_path: Path) -> None:
    @VISBACKENDS.register_module(force=True)
    class ListBackend(BaseVisBackend):
        """Keeps what it is given."""

        def __init__(self, save_dir: str) -> None:
            super().__init__(save_dir)
            self.images: dict[str, np.ndarray] = {}

        @property
        def experiment(self) -> Any:
            return self.images

        def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
            self.images[f"{name}_{step}"] = image

    @VISUALIZERS.register_module(force=True)
    class BoxVisualizer(Visualizer):
        """Draws the boxes of a sample."""

        def add_datasample(self, name: str, image: Any, data_sample: Any = None, **kwargs: Any) -> None:
            self.set_image(image)
            self.draw_bboxes(data_sample["bboxes"])
            self.add_image(name, self.get_image(), kwargs.get("step", 0))

    cfg = {"type": "BoxVisualizer", "vis_backends": [{"type": "ListBackend"}], "save_dir": str(tmp_path)}
    visualizer = VISUALIZERS.build(cfg)
    visualizer.add_datasample("x", image, {"bboxes": torch.tensor([[5, 5, 20, 20]])}, step=7)
    (kept,) = visualizer.get_backend("ListBackend").experiment.items()
    assert kept[0] == "x_7"
    assert (kept[1] != image).any()
