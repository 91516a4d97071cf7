from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from toolkit.classification.transforms import (
    CenterCrop,
    ColorJitter,
    PackInputs,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomGrayscale,
    RandomResizedCrop,
    Resize,
    ResizeEdge,
)
from toolkit.utils.errors import ConfigError


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)
    np.random.seed(0)


def image_of(height=24, width=32):
    return np.random.RandomState(1).randint(0, 256, (height, width, 3), dtype=np.uint8)


def run(transform, image=None):
    return transform({"img": image_of() if image is None else image})


class TestPackInputs:
    def test_contents(self):
        results = {
            "img": image_of(),
            "gt_label": 3,
            "img_path": "a.jpg",
            "img_shape": (24, 32),
            "flip": True,
            "other": 1,
            "extra": [1, 2],
        }
        packed = PackInputs(algorithm_keys=("extra",))(results)
        assert packed["inputs"].dtype == torch.uint8
        np.testing.assert_array_equal(packed["inputs"].numpy(), image_of().transpose(2, 0, 1))
        assert packed["inputs"].is_contiguous()
        sample = packed["data_samples"]
        assert sample.gt_label.tolist() == [3]
        assert (sample.img_path, sample.flip, sample.extra) == ("a.jpg", True, [1, 2])
        assert "other" not in sample

    def test_other_images(self):
        assert PackInputs()({"img": np.zeros((4, 5), np.uint8)})["inputs"].shape == (1, 4, 5)
        scores = PackInputs(input_key="x")({"x": torch.zeros(3, 2, 2), "gt_score": [0.0, 1.0]})
        assert scores["inputs"].shape == (3, 2, 2)
        assert scores["data_samples"].gt_score.tolist() == [0, 1]


class TestSizes:
    def test_resize(self):
        results = run(Resize((16, 6)))
        assert results["img"].shape == (6, 16, 3)
        assert results["img_shape"] == (6, 16)
        assert results["scale_factor"] == (0.5, 0.25)
        assert run(Resize(48, keep_ratio=True))["img_shape"] == (36, 48)
        assert run(Resize(scale_factor=0.5))["img_shape"] == (12, 16)
        with pytest.raises(ConfigError, match="scale"):
            Resize()

    @pytest.mark.parametrize(
        ("edge", "shape"), [("short", (12, 16)), ("long", (9, 12)), ("width", (9, 12)), ("height", (12, 16))]
    )
    def test_resize_edge(self, edge, shape):
        assert run(ResizeEdge(12, edge))["img_shape"] == shape
        turned = run(ResizeEdge(12, edge), image_of(32, 24))["img_shape"]
        assert turned == {"short": (16, 12), "long": (12, 9), "width": (16, 12), "height": (12, 9)}[edge]

    def test_resize_edge_refuses(self):
        with pytest.raises(ConfigError, match="shrt"):
            ResizeEdge(3, "shrt")


class TestFlip:
    def test_frequency_and_record(self):
        flips = [run(RandomFlip(prob=0.25)) for _ in range(400)]
        assert 70 < sum(one["flip"] for one in flips) < 130
        for one in flips:
            expected = image_of()[:, ::-1] if one["flip"] else image_of()
            np.testing.assert_array_equal(one["img"], expected)
            assert one["flip_direction"] == ("horizontal" if one["flip"] else None)

    def test_directions(self):
        both = RandomFlip(prob=[0.5, 0.5], direction=["horizontal", "vertical"])
        drawn = [run(both)["flip_direction"] for _ in range(200)]
        assert set(drawn) == {"horizontal", "vertical"}
        shared = [run(RandomFlip(0.5, ["horizontal", "vertical"]))["flip_direction"] for _ in range(400)]
        assert 160 < shared.count(None) < 240
        for wrong in ({"direction": "left"}, {"prob": 1.5}, {"prob": [0.5, 0.5]}):
            with pytest.raises(ConfigError):
                RandomFlip(**wrong)


class TestCrops:
    @settings(deadline=None, max_examples=40)
    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.booleans())
    def test_random_crop(self, rows, columns, padding, pad_if_needed):
        results = run(RandomCrop((rows, columns), padding=padding or None, pad_if_needed=pad_if_needed))
        if pad_if_needed:
            assert results["img_shape"] == (rows, columns)
        else:
            assert results["img_shape"] == (min(rows, 24 + 2 * padding), min(columns, 32 + 2 * padding))

    def test_random_crop_reaches_every_place(self):
        image = np.arange(20, dtype=np.uint8).reshape(4, 5)
        corners = {int(run(RandomCrop((2, 2)), image)["img"][0, 0]) for _ in range(300)}
        assert corners == {0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13}
        padded = RandomCrop((4, 5), padding=1, pad_val=99)
        assert any((run(padded, image)["img"] == 99).any() for _ in range(20))

    def test_random_resized_crop(self):
        results = run(RandomResizedCrop((10, 14)))
        assert results["img"].shape == (10, 14, 3)
        gradient = np.broadcast_to(np.arange(200, dtype=np.float32), (100, 200))
        crop = RandomResizedCrop(20, crop_ratio_range=(0.25, 0.25), aspect_ratio_range=(1, 1))
        spans = [np.ptp(run(crop, gradient)["img"]) for _ in range(20)]
        # A quarter of 100 x 200 is a square of 71: 20 samples of it span 71 * 19/20.
        np.testing.assert_allclose(spans, 71 * 0.95, atol=1)
        with pytest.raises(ConfigError, match="crop_ratio_range"):
            RandomResizedCrop(20, crop_ratio_range=(1.0, 0.5))

    def test_random_resized_crop_of_an_extreme_image(self):
        wide = np.zeros((2, 300, 3), np.uint8)
        assert RandomResizedCrop(8, crop_ratio_range=(1.0, 1.0))._draw(*wide.shape[:2]) == (0, 148, 2, 3)

    def test_center_crop(self):
        results = run(CenterCrop((8, 4)))
        np.testing.assert_array_equal(results["img"], image_of()[10:14, 12:20])
        assert run(CenterCrop(40))["img_shape"] == (24, 32)
        assert run(CenterCrop(40, auto_pad=True))["img_shape"] == (40, 40)
        with pytest.raises(ConfigError, match="crop_size"):
            CenterCrop(0)


class TestColour:
    @pytest.mark.parametrize(
        ("name", "reference", "tolerance"),
        [
            ("brightness", F.adjust_brightness, 1),
            ("contrast", F.adjust_contrast, 2),
            ("saturation", F.adjust_saturation, 3),
        ],
    )
    @pytest.mark.parametrize("factor", [0.4, 1.7])
    def test_is_torchvisions(self, name, reference, tolerance, factor):
        ours = run(ColorJitter(**{name: (factor, factor)}))["img"]
        rgb = torch.from_numpy(image_of()[..., ::-1].copy()).permute(2, 0, 1)
        theirs = reference(rgb, factor).permute(1, 2, 0).numpy()[..., ::-1]
        assert np.abs(ours.astype(int) - theirs).max() <= tolerance

    def test_hue_is_torchvisions(self):
        ours = run(ColorJitter(hue=(0.2, 0.2)))["img"].astype(int)
        rgb = torch.from_numpy(image_of()[..., ::-1].copy()).permute(2, 0, 1)
        theirs = F.adjust_hue(rgb, 0.2).permute(1, 2, 0).numpy()[..., ::-1]
        # Hue is kept in 256 steps here.
        assert np.abs(ours - theirs).mean() < 2.5

    def test_neutral_and_wrong(self):
        np.testing.assert_array_equal(run(ColorJitter())["img"], image_of())
        for wrong in ({"hue": 0.7}, {"brightness": (2, 1)}, {"contrast": (-1, 1)}):
            with pytest.raises(ConfigError):
                ColorJitter(**wrong)

    def test_grayscale(self):
        gray = run(RandomGrayscale(prob=1.0, keep_channels=True))["img"]
        assert gray.shape == (24, 32, 3)
        assert (gray == gray[..., :1]).all()
        np.testing.assert_array_equal(run(RandomGrayscale(prob=0.0))["img"], image_of())


class TestErasing:
    @pytest.mark.parametrize("mode", ["const", "rand"])
    def test_area(self, mode):
        shares = []
        for _ in range(100):
            image = np.full((60, 60, 3), 200, np.uint8)
            erased = run(RandomErasing(erase_prob=1.0, mode=mode, fill_color=(0, 0, 0)), image)["img"]
            shares.append((erased != 200).any(axis=2).mean())
            assert (image == 200).all()
        assert min(shares) > 0.01
        assert max(shares) < 0.42

    def test_never(self):
        np.testing.assert_array_equal(run(RandomErasing(erase_prob=0.0))["img"], image_of())

    def test_noise_and_wrong(self):
        noisy = run(RandomErasing(1.0, mode="rand", fill_std=(5, 5, 5), aspect_range=2.0))["img"]
        assert noisy.dtype == np.uint8
        for wrong in ({"mode": "x"}, {"erase_prob": 2}, {"min_area_ratio": 0.5, "max_area_ratio": 0.1}):
            with pytest.raises(ConfigError):
                RandomErasing(**wrong)
