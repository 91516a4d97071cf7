"""DetLocalVisualizer: what it draws, and where it goes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.registry import VISUALIZERS
from toolkit.detection.structures import DetDataSample
from toolkit.detection.visualization import DetLocalVisualizer
from toolkit.detection.visualization.palette import class_color, generated_color
from toolkit.structures import InstanceData

RED, BLUE = (255, 0, 0), (0, 0, 255)


def make_visualizer(**kwargs) -> DetLocalVisualizer:
    visualizer = DetLocalVisualizer(alpha=1.0, **kwargs)
    visualizer.dataset_meta = {"classes": ("cat", "dog"), "palette": [RED, BLUE]}
    return visualizer


def make_sample(**fields) -> DetDataSample:
    sample = DetDataSample()
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[40.0, 50, 90, 95]]), labels=torch.tensor([0]))
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[100.0, 60, 150, 100], [10.0, 60, 30, 100]]),
        labels=torch.tensor([1, 0]),
        scores=torch.tensor([0.9, 0.2]),
    )
    for name, value in fields.items():
        setattr(sample, name, value)
    return sample


def grey() -> np.ndarray:
    return np.full((120, 160, 3), 128, np.uint8)


def test_ground_truth_is_on_the_left_and_the_prediction_on_the_right():
    visualizer = make_visualizer()
    visualizer.add_datasample("x", grey(), make_sample())
    picture = visualizer.get_image()
    assert picture.shape == (120, 320, 3)
    left, right = picture[:, :160], picture[:, 160:]
    assert left[70, 40].tolist() == list(RED)
    assert right[80, 100].tolist() == list(BLUE)
    # inside of a box the image is seen, and a detection below the threshold isn't drawn
    assert left[80, 70].tolist() == [128] * 3
    assert (right[60:101, 5:35] == 128).all()


@pytest.mark.parametrize(
    ("flags", "width"), [((True, False), 160), ((False, True), 160), ((False, False), 160)]
)
def test_either_alone(flags, width):
    visualizer = make_visualizer()
    visualizer.add_datasample("x", grey(), make_sample(), draw_gt=flags[0], draw_pred=flags[1])
    assert visualizer.get_image().shape == (120, width, 3)


def test_a_sample_without_ground_truth_has_one_panel():
    sample = make_sample(gt_instances=InstanceData())
    visualizer = make_visualizer()
    visualizer.add_datasample("x", grey(), sample)
    assert visualizer.get_image().shape == (120, 160, 3)
    visualizer.add_datasample("x", grey(), None)
    assert np.array_equal(visualizer.get_image(), grey())


def test_nothing_detected_leaves_the_image_as_it_is():
    visualizer = make_visualizer()
    visualizer.add_datasample("x", grey(), make_sample(), draw_gt=False, pred_score_thr=0.95)
    assert np.array_equal(visualizer.get_image(), grey())


def test_the_image_given_is_not_drawn_on():
    image = grey()
    make_visualizer().add_datasample("x", image, make_sample())
    assert np.array_equal(image, grey())


@pytest.mark.parametrize("kind", ["bitmaps", "tensor"])
def test_masks_are_tinted(kind):
    mask = np.zeros((1, 120, 160), np.uint8)
    mask[0, 55:90, 45:85] = 1
    sample = make_sample()
    masks = BitmapMasks(mask, 120, 160) if kind == "bitmaps" else torch.from_numpy(mask).bool()
    sample.gt_instances.masks = masks
    visualizer = make_visualizer()
    visualizer.add_datasample("x", grey(), sample, draw_pred=False)
    picture = visualizer.get_image()
    # half of the grey and half of red
    assert np.abs(picture[85, 80].astype(int) - [191, 64, 64]).max() <= 2


def test_boxes_beyond_the_border_and_without_area():
    odd = InstanceData(
        bboxes=torch.tensor([[-50.0, -50, 500, 500], [20, 20, 20, 20], [155, 115, 170, 130]]),
        labels=torch.tensor([0, 1, 5]),
        scores=torch.ones(3),
    )
    visualizer = make_visualizer()
    visualizer.add_datasample("x", grey(), make_sample(pred_instances=odd), draw_gt=False)
    assert not np.array_equal(visualizer.get_image(), grey())


def test_a_file_instead_of_the_backends(tmp_path):
    path = tmp_path / "deep" / "out.png"
    visualizer = make_visualizer(vis_backends=[{"type": "LocalVisBackend"}], save_dir=str(tmp_path / "log"))
    visualizer.add_datasample("x", grey(), make_sample(), out_file=str(path))
    stored = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert np.array_equal(stored, visualizer.get_image())
    assert not list((tmp_path / "log").rglob("*.png"))
    visualizer.add_datasample("y", grey(), make_sample(), step=7)
    (kept,) = (tmp_path / "log").rglob("*.png")
    assert "y" in kept.name
    assert "7" in kept.name


def test_without_meta_labels_are_numbers_and_colours_generated():
    visualizer = DetLocalVisualizer(alpha=1.0)
    visualizer.add_datasample("x", grey(), make_sample(), draw_pred=False)
    assert visualizer.get_image()[70, 40].tolist() == list(generated_color(0))


def test_colours():
    assert class_color(1, [RED, BLUE]) == BLUE
    assert class_color(9, RED) == RED
    assert class_color(2, [RED, BLUE]) == class_color(2, None) == generated_color(2)
    many = [generated_color(label) for label in range(20)]
    apart = [max(abs(a - b) for a, b in zip(x, y, strict=True)) for n, x in enumerate(many) for y in many[:n]]
    assert min(apart) > 20


def test_it_is_found_under_its_name():
    assert VISUALIZERS.get("DetLocalVisualizer") is DetLocalVisualizer


@pytest.mark.parametrize("color", [(0, 255, 0), [(0, 255, 0), (0, 255, 0)]])
def test_letters_of_another_colour(color):
    green = np.asarray([0, 255, 0])
    pictures = [
        make_visualizer(text_color=one).draw_instances(grey(), make_sample().gt_instances)
        for one in (None, color)
    ]
    plain, colored = ((picture == green).all(axis=2).sum() for picture in pictures)
    assert plain == 0
    assert colored > 5
    white = (pictures[1] == 255).all(axis=2)
    assert not white.any()


class Noting(DetLocalVisualizer):
    """Remembers the labels that it wrote."""

    def draw_labels(self, texts, bboxes, *args, **kwargs):
        self.written = texts
        return super().draw_labels(texts, bboxes, *args, **kwargs)


def labels_of(boxes, labels, scores=None) -> list[str]:
    visualizer = Noting()
    visualizer.dataset_meta = {"classes": ("cat", "dog")}
    fields = {} if scores is None else {"scores": torch.tensor(scores)}
    instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.tensor(labels), **fields)
    visualizer.draw_instances(np.zeros((300, 400, 3), np.uint8), instances)
    return visualizer.written


def grid(count: int, side: float) -> list[list[float]]:
    corners = [(20.0 * (n % 20), 20.0 * (n // 20)) for n in range(count)]
    return [[x, y, x + side, y + side] for x, y in corners]


def test_small_objects_far_apart_have_their_labels():
    boxes = [[50.0 * n, 40.0 * n, 50.0 * n + 8, 40.0 * n + 8] for n in range(6)]
    assert labels_of(boxes, [0, 1] * 3, [0.5] * 6) == ["cat 0.50", "dog 0.50"] * 3


def test_too_many_labels_become_short_and_then_fewer():
    scores = np.linspace(0.99, 0.5, 200).tolist()
    some = labels_of(grid(40, 19), [0] * 40, scores[:40])
    assert some == [f"{score:.2f}" for score in scores[:40]]
    # where the picture would be covered, only the surest have one, and only where there is room
    assert labels_of(grid(200, 19), [0] * 200, scores) == []
    large = labels_of(grid(200, 60), [0] * 200, scores)
    assert large == sorted(large, reverse=True)
    assert large[0] == "0.99"
    assert 20 < len(large) < 80
    assert labels_of(grid(200, 60), [0] * 200) == []
    mixed = labels_of(grid(200, 90), [0, 1] * 100, scores)
    assert mixed[:2] == ["cat 0.99", "dog 0.99"]
    assert 5 < len(mixed) < 40
