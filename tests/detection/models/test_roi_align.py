from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align, roi_pool

from toolkit.detection.models.layers import RoIAlign, RoIPool, roi_align_cpu
from toolkit.detection.models.roi_heads import SingleRoIExtractor
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

place = st.floats(-60, 200, width=32)


def regions(count: int, images: int, size: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 2, generator=generator) * size
    half = torch.rand(count, 2, generator=generator) * size / 3
    image = torch.randint(0, images, (count, 1), generator=generator)
    return torch.cat((image, center - half, center + half), dim=1)


@settings(deadline=None, max_examples=60)
@given(st.tuples(place, place, place, place), st.sampled_from([0, 2]), st.booleans())
def test_any_region_equals_torchvisions(corners: tuple[float, ...], ratio: int, aligned: bool) -> None:
    # empty and far outside ones too; of inverted ones torchvision crashes, where it counts the samples itself
    assume(ratio > 0 or not aligned or (corners[0] <= corners[2] and corners[1] <= corners[3]))
    torch.manual_seed(0)
    feat = torch.randn(1, 3, 20, 17, dtype=torch.float64)
    roi = torch.tensor([[0.0, *corners]], dtype=torch.float64)
    expected = roi_align(feat, roi, (3, 5), 0.125, ratio, aligned)
    found = roi_align_cpu([feat], roi, None, (3, 5), [0.125], ratio, aligned)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_inverted_regions_are_empty() -> None:
    roi = torch.tensor([[0.0, 10, 10, 2, 20]])
    assert roi_align_cpu([torch.ones(1, 2, 20, 20)], roi, None, (3, 3), [1.0]).abs().sum() == 0


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("corner", [float("nan"), float("inf"), -float("inf")])
def test_regions_with_corners_that_are_no_numbers_are_empty(corner: float, ratio: int) -> None:
    rois = torch.tensor([[0.0, 2, 2, corner, 20], [0, corner, 2, 9, corner], [0, 2, 2, 9, 9]])
    pooled = roi_align_cpu([torch.ones(1, 2, 20, 20)], rois, None, (3, 3), [1.0], ratio, False)
    assert pooled.flatten(1).sum(1).ne(0).tolist() == [False, False, True]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradient_equals_torchvisions(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    feat = torch.randn(2, 6, 24, 32, dtype=torch.float64).contiguous(memory_format=memory_format)
    rois = regions(40, 2, 100).double()
    grad = torch.randn(40, 6, 7, 7, dtype=torch.float64)
    ours, theirs = feat.clone().requires_grad_(), feat.contiguous().clone().requires_grad_()
    roi_align_cpu([ours], rois, None, (7, 7), [0.25]).backward(grad)
    roi_align(theirs, rois, 7, 0.25, 0, True).backward(grad)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-9, rtol=1e-9)


def extractor() -> SingleRoIExtractor:
    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0}
    cfg = {"type": "SingleRoIExtractor", "roi_layer": layer, "out_channels": 4, "featmap_strides": [4, 8, 16]}
    return MODELS.build(cfg)


def test_levels_by_size() -> None:
    sides = torch.tensor([10.0, 111, 113, 223, 225, 3000])
    rois = torch.stack((torch.zeros(6), torch.zeros(6), torch.zeros(6), sides, sides), dim=1)
    assert extractor().map_roi_levels(rois, 3).tolist() == [0, 0, 1, 1, 2, 2]


def test_extractor_takes_each_region_from_its_level() -> None:
    torch.manual_seed(0)
    feats = [torch.randn(2, 4, 80 // 2**i, 100 // 2**i, requires_grad=True) for i in range(3)]
    rois = torch.cat((regions(60, 2, 320), torch.tensor([[1.0, 10, 10, 300, 310]])))
    pool = extractor()
    levels = pool.map_roi_levels(rois, 3)
    assert set(levels.tolist()) == {0, 1, 2}
    expected = torch.stack(
        [
            roi_align(feats[level], roi[None], 7, 1 / (4 * 2**level), 0, True)[0]
            for level, roi in zip(levels.tolist(), rois, strict=True)
        ]
    )
    torch.testing.assert_close(pool(feats, rois), expected, atol=1e-4, rtol=1e-4)
    # the way of other devices, run on this one
    torch.testing.assert_close(pool._level_by_level(feats, rois, levels), expected, atol=1e-4, rtol=1e-4)
    bigger = pool(feats, rois, roi_scale_factor=1.5)
    torch.testing.assert_close(
        bigger, pool._level_by_level(feats, pool.roi_rescale(rois, 1.5), levels), atol=1e-4, rtol=1e-4
    )


def test_levels_without_regions_get_a_gradient_of_zero() -> None:
    feats = [torch.randn(1, 4, 40 // 2**i, 40 // 2**i, requires_grad=True) for i in range(3)]
    pool = extractor()
    for rois in (torch.tensor([[0.0, 0, 0, 20, 20]]), torch.zeros(0, 5)):
        for feat in feats:
            feat.grad = None
        out = pool(feats, rois)
        assert out.shape == (len(rois), 4, 7, 7)
        out.sum().backward()
        assert all(feat.grad is not None for feat in feats)
        assert feats[2].grad is not None
        assert feats[2].grad.abs().sum() == 0


def test_layers() -> None:
    feat, rois = torch.randn(1, 2, 16, 16), regions(5, 1, 60)
    layer = RoIAlign(3, spatial_scale=0.25, sampling_ratio=2, aligned=False)
    torch.testing.assert_close(layer(feat, rois), roi_align(feat, rois, 3, 0.25, 2, False))
    half = layer(feat.half(), rois)
    assert half.dtype == torch.float16
    torch.testing.assert_close(RoIPool(3, 0.25)(feat, rois), roi_pool(feat, rois, 3, 0.25))
    with pytest.raises(BuildError, match="max"):
        RoIAlign(3, pool_mode="max")
