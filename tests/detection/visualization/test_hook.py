"""DetVisualizationHook, with a real visualizer and images on disk."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from toolkit.detection.datasets import ShapesDataset
from toolkit.detection.registry import HOOKS
from toolkit.detection.structures import DetDataSample
from toolkit.detection.visualization import DetLocalVisualizer, DetVisualizationHook
from toolkit.structures import InstanceData


@pytest.fixture
def runner(tmp_path):
    visualizer = DetLocalVisualizer(
        vis_backends=[{"type": "LocalVisBackend"}], save_dir=str(tmp_path / "log")
    )
    return SimpleNamespace(work_dir=str(tmp_path), timestamp="now", iter=100, visualizer=visualizer)


def make_outputs(tmp_path, count: int = 2) -> list[DetDataSample]:
    outputs = []
    for number in range(count):
        path = tmp_path / f"{number}.jpg"
        cv2.imwrite(str(path), np.full((60, 80, 3), 128, np.uint8))
        sample = DetDataSample(metainfo={"img_path": str(path)})
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([[10.0, 10, 40, 50]]), labels=torch.tensor([0]), scores=torch.tensor([0.9])
        )
        outputs.append(sample)
    return outputs


def pictures(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))


def test_nothing_is_drawn_unless_asked_for(runner, tmp_path):
    hook = DetVisualizationHook()
    hook.after_val_iter(runner, 0, None, make_outputs(tmp_path))
    hook.after_test_iter(runner, 0, None, make_outputs(tmp_path))
    assert pictures(tmp_path / "log") == []


def test_validation_draws_the_first_image_of_every_so_many_batches(runner, tmp_path):
    hook = DetVisualizationHook(draw=True, interval=2)
    for batch in range(4):
        hook.after_val_iter(runner, batch, None, make_outputs(tmp_path))
    drawn = pictures(tmp_path / "log")
    assert len(drawn) == 2
    assert all("val_img" in name for name in drawn)


def test_a_test_writes_every_image_under_its_name(runner, tmp_path):
    hook = DetVisualizationHook(draw=True, test_out_dir="drawn")
    hook.before_test(runner)
    for batch in range(2):
        hook.after_test_iter(runner, batch, None, make_outputs(tmp_path))
    assert pictures(tmp_path / "now" / "drawn") == ["0.jpg", "1.jpg"]
    assert pictures(tmp_path / "log") == []


def test_a_test_without_a_folder_goes_to_the_backends(runner, tmp_path):
    hook = DetVisualizationHook(draw=True)
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, None, make_outputs(tmp_path))
    assert len(pictures(tmp_path / "log")) == 2


def test_embedded_pictures_are_drawn_too(runner, tmp_path):
    outputs = make_outputs(tmp_path, 1)
    outputs[0].set_metainfo({"img_path": ShapesDataset(num_images=1).get_data_info(0)["img_path"]})
    DetVisualizationHook(draw=True).after_val_iter(runner, 0, None, outputs)
    assert len(pictures(tmp_path / "log")) == 1


def test_it_is_found_under_its_name():
    assert HOOKS.get("DetVisualizationHook") is DetVisualizationHook
