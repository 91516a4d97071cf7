"""Batches on the device: what is moved, and images against a naive reference."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from toolkit.model import BaseDataPreprocessor, ImgDataPreprocessor
from toolkit.structures import BaseDataElement, InstanceData
from toolkit.utils import ConfigError, DataError

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def naive(images: list[Tensor], divisor: int, pad_value: float, flip: bool, mean: list, std: list) -> Tensor:
    """Step by step, with a copy at each."""
    done = []
    for img in images:
        img = img[[2, 1, 0]] if flip else img
        done.append((img.float() - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1))
    height, width = (-(-max(img.shape[axis] for img in images) // divisor) * divisor for axis in (1, 2))
    padded = [
        F.pad(img, (0, width - img.shape[2], 0, height - img.shape[1]), value=pad_value) for img in done
    ]
    return torch.stack(padded)


def make_images(sizes: list[tuple[int, int]], dtype: torch.dtype = torch.uint8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (3, *size), generator=generator).to(dtype) for size in sizes]


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=4),
    divisor=st.sampled_from([1, 8, 32]),
    pad_value=st.sampled_from([0, 114.0]),
    flip=st.booleans(),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
    channels_last=st.booleans(),
)
def test_images_of_any_size(
    sizes: list, divisor: int, pad_value: float, flip: bool, dtype: torch.dtype, channels_last: bool
) -> None:
    images = make_images(sizes, dtype)
    before = [img.clone() for img in images]
    preprocessor = ImgDataPreprocessor(MEAN, STD, divisor, pad_value, bgr_to_rgb=flip)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    if channels_last:
        preprocessor.to(memory_format=memory_format)
    batch = preprocessor({"inputs": images})["inputs"]
    assert torch.equal(batch, naive(images, divisor, pad_value, flip, MEAN, STD))
    assert batch.is_contiguous(memory_format=memory_format)
    assert all(torch.equal(now, then) for now, then in zip(images, before, strict=True))
    if len(set(sizes)) == 1:
        stacked = torch.stack(images)
        kept = stacked.clone()
        whole = preprocessor({"inputs": stacked})["inputs"]
        assert torch.equal(whole, batch)
        assert whole.is_contiguous(memory_format=memory_format)
        assert torch.equal(stacked, kept)


def test_a_batch_in_channels_last_stays_so() -> None:
    inputs = torch.rand(2, 3, 5, 6).to(memory_format=torch.channels_last)
    for args in ({}, {"mean": MEAN, "std": STD, "rgb_to_bgr": True, "pad_size_divisor": 4}):
        batch = ImgDataPreprocessor(**args)({"inputs": inputs})["inputs"]
        assert batch.is_contiguous(memory_format=torch.channels_last)


def test_images_without_normalisation_become_float() -> None:
    images = make_images([(4, 5)])
    data = ImgDataPreprocessor()({"inputs": images, "data_samples": ["a"]})
    assert torch.equal(data["inputs"][0], images[0].float())
    assert data["data_samples"] == ["a"]


def test_grey_images_and_a_single_mean() -> None:
    images = [torch.full((1, 2, 2), 10, dtype=torch.uint8)]
    data = ImgDataPreprocessor([4], [2])({"inputs": images})
    assert torch.equal(data["inputs"], torch.full((1, 1, 2, 2), 3.0))
    assert data["data_samples"] is None


def test_mean_and_std_are_no_part_of_the_state() -> None:
    assert not ImgDataPreprocessor(MEAN, STD).state_dict()


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ({"mean": MEAN}, "go together"),
        ({"mean": [1, 2], "std": [1, 2]}, "got 2"),
        ({"bgr_to_rgb": True, "rgb_to_bgr": True}, "undo each other"),
    ],
)
def test_wrong_arguments_are_named(args: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        ImgDataPreprocessor(**args)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"inputs": [torch.zeros(1, 2, 2)]}, "3 channels .* has 1"),
        ({"inputs": [torch.zeros(2, 2)]}, r"\(C, H, W\), got \(2, 2\)"),
        ({"inputs": torch.zeros(3, 2, 2)}, r"got shape \(3, 2, 2\)"),
        ({"inputs": ["a.jpg"]}, "got list"),
        ({"inputs": []}, "got list"),
        ({"img": []}, "'inputs'"),
        ([], "'inputs'"),
    ],
)
def test_wrong_batches_are_named(data: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        ImgDataPreprocessor(MEAN, STD)(data)


def test_everything_nested_is_moved() -> None:
    pair = namedtuple("pair", "a b")
    element = BaseDataElement(boxes=torch.zeros(2, 4))
    element.inner = InstanceData(labels=torch.zeros(2))
    data = {
        "x": [torch.zeros(1), (torch.zeros(1), "text")],
        "p": pair(torch.zeros(1), None),
        "e": element,
        "n": 3,
    }
    moved = BaseDataPreprocessor().to("meta")(data)
    assert moved["x"][0].is_meta
    assert moved["x"][1][0].is_meta
    assert moved["x"][1][1] == "text"
    assert isinstance(moved["p"], pair)
    assert moved["p"].a.is_meta
    assert moved["e"].boxes.is_meta
    assert moved["e"].inner.labels.is_meta
    assert moved["n"] == 3


def test_what_is_in_place_is_not_copied() -> None:
    element = BaseDataElement(boxes=torch.zeros(2, 4), metainfo={"img_path": "a.jpg"})
    element.inner = InstanceData(labels=torch.zeros(2))
    tensor = torch.zeros(1)
    data = BaseDataPreprocessor()({"inputs": [tensor], "data_samples": [element]})
    assert data["inputs"][0] is tensor
    assert data["data_samples"][0] is element


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu() -> None:
    images = make_images([(7, 5), (3, 9)])
    preprocessor = ImgDataPreprocessor(MEAN, STD, 8, bgr_to_rgb=True, non_blocking=True).cuda()
    batch = preprocessor({"inputs": images})["inputs"]
    assert batch.is_cuda
    assert torch.allclose(batch.cpu(), naive(images, 8, 0, True, MEAN, STD), atol=1e-5)
