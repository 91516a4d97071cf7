from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from toolkit.classification.structures import DataSample
from toolkit.classification.visualization import UniversalVisualizer, VisualizationHook


@pytest.fixture
def visualizer():
    made = UniversalVisualizer(name="test-cls", vis_backends=None)
    made.dataset_meta = {"classes": ("cat", "dog")}
    return made


def sample():
    return DataSample().set_gt_label(0).set_pred_label(1).set_pred_score([0.25, 0.75])


def test_caption_is_drawn(visualizer):
    image = np.full((200, 300, 3), 200, np.uint8)
    drawn = visualizer.visualize_cls(image, sample())
    assert drawn.shape == image.shape
    assert (drawn[:60] != 200).any()
    assert (drawn[150:] == 200).all()
    assert (image == 200).all()
    without = visualizer.visualize_cls(image, sample(), draw_gt=False, draw_pred=False)
    assert (without == image).all()
    assert (visualizer.visualize_cls(image, sample(), draw_gt=False) != drawn).any()


def test_small_pictures_are_enlarged(visualizer):
    image = np.zeros((32, 32, 3), np.uint8)
    assert visualizer.visualize_cls(image, sample()).shape == (160, 160, 3)
    assert visualizer.visualize_cls(image, sample(), resize=64).shape == (64, 64, 3)
    assert visualizer.visualize_cls(image, sample(), rescale_factor=2).shape == (64, 64, 3)


def test_labels_without_names(visualizer):
    visualizer.dataset_meta = None
    assert visualizer.visualize_cls(np.zeros((99, 99, 3), np.uint8), sample()).any()


def test_add_datasample_to_a_file(visualizer, tmp_path):
    path = str(tmp_path / "new" / "x.png")
    visualizer.add_datasample("x", np.zeros((160, 160, 3), np.uint8), sample(), out_file=path)
    assert cv2.imread(path).shape == (160, 160, 3)


def test_hook(visualizer, tmp_path):
    source = str(tmp_path / "in.png")
    cv2.imwrite(source, np.zeros((40, 40, 3), np.uint8))
    outputs = [sample() for _ in range(4)]
    for output in outputs:
        output.set_metainfo({"img_path": source})
    runner = SimpleNamespace(visualizer=visualizer, iter=7, train_loop=None)
    VisualizationHook(enable=False).after_test_iter(runner, 0, outputs=outputs)
    hook = VisualizationHook(enable=True, interval=3, out_dir=str(tmp_path / "out"), draw_gt=False)
    hook.after_test_iter(runner, 0, outputs=outputs)
    hook.after_val_iter(runner, 1, outputs=outputs)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["in_0.png", "in_3.png", "in_6.png"]
