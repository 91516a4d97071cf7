from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from toolkit.utils import ConfigError
from toolkit.visualization import Visualizer

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def black() -> Visualizer:
    visualizer = Visualizer("drawing")
    visualizer.set_image(np.zeros((100, 120, 3), np.uint8))
    return visualizer


def at(visualizer: Visualizer, x: int, y: int) -> tuple[int, int, int]:
    return tuple(visualizer.get_image()[y, x].tolist())


def painted(visualizer: Visualizer) -> np.ndarray:
    return visualizer.get_image().any(axis=2)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_boxes(black: Visualizer, kind: Any) -> None:
    black.draw_bboxes(kind([[10, 20, 50, 60], [70, 20, 110, 90]]), ["r", "b"], line_widths=1, alpha=1)
    assert at(black, 10, 40) == at(black, 50, 40) == at(black, 30, 20) == at(black, 30, 60) == RED
    assert at(black, 70, 40) == BLUE
    assert at(black, 30, 40) == (0, 0, 0)
    assert not painted(black)[:18].any()


def test_face_and_alpha(black: Visualizer) -> None:
    black.draw_bboxes(np.array([10, 20, 50, 60]), "none", face_colors="r", alpha=0.5)
    assert at(black, 30, 40)[0] in (127, 128)
    assert at(black, 60, 40) == (0, 0, 0)


def test_widths(black: Visualizer) -> None:
    for width in (1, 2, 3, 4, 7):
        black.set_image(np.zeros((100, 120, 3), np.uint8))
        black.draw_bboxes(np.array([30, 20, 110, 80]), "r", line_widths=width, alpha=1)
        assert (black.get_image()[50, :, 0] == 255).sum() == 2 * width
        for end in ([50, 50], [50, 90]):
            black.set_image(np.zeros((100, 120, 3), np.uint8))
            black.draw_lines(np.array([10, 100]), np.array(end), "r", line_widths=width)
            area = black.get_image()[..., 0].sum() / 255
            assert area / np.hypot(90, end[1] - end[0]) == pytest.approx(width, abs=0.6)


def test_widths_and_letters_suit_the_picture() -> None:
    sizes = []
    for shape in ((240, 320), (480, 640), (800, 1333), (2000, 3000)):
        visualizer = Visualizer("sizes", image=np.zeros((*shape, 3), np.uint8))
        sizes.append((visualizer.default_line_width, visualizer.default_font_size))
    assert sizes == [(1, 10), (2, 13), (4, 24), (9, 57)]


def test_dashes_leave_gaps(black: Visualizer) -> None:
    black.draw_lines(np.array([5, 115]), np.array([50, 50]), "r", "--", 2)
    row = black.get_image()[50, 5:115, 0] > 127
    assert 0.5 < row.mean() < 0.8
    with pytest.raises(ConfigError, match="'=='"):
        black.draw_lines(np.array([5, 115]), np.array([50, 50]), line_styles="==")


def test_polygons_and_circles(black: Visualizer) -> None:
    triangle = np.array([[10, 10], [50, 10], [10, 50]])
    black.draw_polygons([triangle], "none", face_colors="g", alpha=1)
    assert at(black, 15, 15) == GREEN
    assert at(black, 45, 45) == (0, 0, 0)
    black.set_image(np.zeros((100, 120, 3), np.uint8))
    black.draw_circles(np.array([60, 50]), np.array([30]), "none", face_colors="b", alpha=1)
    assert (black.get_image()[..., 2] > 127).sum() == pytest.approx(np.pi * 30**2, rel=0.05)


@pytest.mark.parametrize("marker", [None, ".", "+", "x", "*", "s", "D", "^", "v"])
def test_points(black: Visualizer, marker: str | None) -> None:
    black.draw_points(np.array([[30, 40], [90, 70]]), "r", marker, torch.tensor([11.0, 11.0]))
    ys, xs = np.nonzero(painted(black))
    assert xs[xs < 60].mean() == pytest.approx(30, abs=1.5)
    assert ys[xs < 60].mean() == pytest.approx(40, abs=2.5)
    assert painted(black)[:, :60].sum() > 9


def test_unknown_marker(black: Visualizer) -> None:
    with pytest.raises(ConfigError, match="'Q'"):
        black.draw_points(np.array([1, 1]), marker="Q")


def test_masks_are_blended_in_their_place(black: Visualizer) -> None:
    masks = np.zeros((2, 100, 120), bool)
    masks[0, 10:20, 10:20] = masks[1, 50:60, 50:60] = True
    black.draw_binary_masks(masks, ["r", "g"], [1.0, 0.4])
    assert at(black, 15, 15) == RED
    assert at(black, 55, 55) == (0, 102, 0)
    assert painted(black).sum() == 200
    black.draw_binary_masks(torch.zeros(100, 120))
    with pytest.raises(ConfigError, match="don't lie on"):
        black.draw_binary_masks(np.ones((3, 3)))


def test_text_lies_where_it_is_aligned(black: Visualizer) -> None:
    for horizontal, vertical in (("left", "top"), ("center", "center"), ("right", "bottom")):
        black.set_image(np.zeros((100, 120, 3), np.uint8))
        black.draw_texts(
            "Wgy", np.array([60, 50]), 20, "w", vertical, horizontal, bboxes={"facecolor": "b", "pad": 0}
        )
        ys, xs = np.nonzero(painted(black))
        left, top = (
            {"left": 60, "center": 40, "right": 17}[horizontal],
            {"top": 50, "center": 38, "bottom": 26}[vertical],
        )
        assert xs.min() == pytest.approx(left, abs=4)
        assert ys.min() == pytest.approx(top, abs=2)
        assert ys.max() - ys.min() == pytest.approx(24, abs=2)


def test_plain_text_is_outlined(black: Visualizer) -> None:
    black.set_image(np.full((100, 120, 3), 255, np.uint8))
    black.draw_texts("abc", np.array([10, 10]), 30, "w")
    assert (black.get_image() < 60).all(axis=2).sum() > 50


def test_lines_of_text_and_other_fonts(black: Visualizer) -> None:
    from matplotlib.font_manager import FontProperties

    black.draw_texts("a\nb", np.array([10, 10]), 20, "w")
    assert painted(black)[45:60].any()
    for arguments in (
        {"font_families": "serif"},
        {"font_families": "monospace"},
        {"font_properties": FontProperties(family="DejaVu Sans")},
    ):
        black.set_image(np.zeros((100, 120, 3), np.uint8))
        black.draw_texts("Ж", np.array([50, 50]), 20, "w", **arguments)
        assert painted(black).any()


def test_labels_hide_neither_each_other_nor_those_before(black: Visualizer) -> None:
    box = np.array([[20, 30, 60, 70]])
    black.draw_labels(["one"], box, "r", 10, alpha=1)
    first = (black.get_image() == RED).all(axis=2)
    black.draw_labels(["two", "six"], np.repeat(box, 2, 0), ["g", "b"], 10, alpha=1)
    image = black.get_image()
    areas = [(image == color).all(axis=2) for color in (RED, GREEN, BLUE)]
    assert (areas[0] == first).all()
    assert all(area.sum() > 100 for area in areas)


def test_shapes_off_the_picture(black: Visualizer) -> None:
    far = np.array([[-1e9, -1e9, 1e9, 1e9], [500, 500, 600, 600], [-50, 20, 10, 30]])
    black.draw_bboxes(far, "r", alpha=1)
    black.draw_labels(["a", "b", "c"], far, "r")
    black.draw_points(np.array([[-100, 3], [np.nan, 3]]))
    black.draw_texts("far", np.array([500, 500]))
    assert at(black, 5, 20) == RED


def test_nothing_to_draw(black: Visualizer) -> None:
    black.draw_bboxes(np.zeros((0, 4))).draw_labels([], np.zeros((0, 4))).draw_points(np.zeros((0, 2)))
    black.draw_polygons([]).draw_binary_masks(np.zeros((0, 100, 120))).draw_texts([], np.zeros((0, 2)))
    assert not painted(black).any()


@pytest.mark.parametrize(
    ("method", "arguments", "text"),
    [
        ("draw_bboxes", [np.zeros((2, 3))], "bboxes"),
        ("draw_bboxes", [np.array([5, 5, 1, 1])], "x1 <= x2"),
        ("draw_circles", [np.zeros((2, 2)), np.zeros(1)], "2 centers but 1 radii"),
        ("draw_lines", [np.zeros((2, 2)), np.zeros((1, 2))], "x_datas"),
        ("draw_texts", [["a"], np.zeros((2, 2))], "1 texts but 2 positions"),
        ("draw_labels", [["a"], np.zeros((2, 4))], "1 texts but 2 boxes"),
        ("set_image", [np.zeros((4, 4, 5))], "picture"),
    ],
)
def test_bad_arguments(black: Visualizer, method: str, arguments: list[Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        getattr(black, method)(*arguments)


def test_pictures_of_all_kinds() -> None:
    visualizer = Visualizer("kinds")
    with pytest.raises(RuntimeError, match="set_image"):
        visualizer.get_image()
    for image in (np.full((4, 5), 7), np.full((4, 5, 1), 7.2), torch.full((4, 5, 3), 7, dtype=torch.uint8)):
        visualizer.set_image(image)
        assert visualizer.get_image().shape == (4, 5, 3)
        assert visualizer.get_image().dtype == np.uint8
        assert (visualizer.get_image() == 7).all()
    visualizer.set_image(np.array([[300.0, -5.0]]))
    assert visualizer.get_image()[0, :, 0].tolist() == [255, 0]


def test_the_given_picture_is_not_changed() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    visualizer = Visualizer("copy", image=image)
    visualizer.draw_bboxes(np.array([2, 2, 10, 10]))
    assert not image.any()
    visualizer.get_image()[:] = 9
    assert visualizer.get_image().max() != 9


def test_twenty_labelled_boxes_take_milliseconds() -> None:
    visualizer = Visualizer("quick", image=np.zeros((480, 640, 3), np.uint8))
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 400, (20, 2))
    boxes = np.concatenate([corner, corner + 80], 1)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        visualizer.draw_bboxes(boxes).draw_labels(["person: 93.2"] * 20, boxes)
        took.append(time.perf_counter() - start)
    # 5 ms on a quiet machine; a figure of matplotlib takes some 200.
    assert min(took) < 0.06
