"""Regions pooled from moving cells: against torchvision's RoIAlign of each cell, moved, as its own region."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.ops import roi_align

from toolkit.detection.models.layers import DeformRoIPool, deform_roi_pool
from toolkit.detection.models.roi_heads import SingleRoIExtractor
from toolkit.detection.registry import MODELS
from toolkit.utils import DataError

SIZE = (2, 3)
SCALE, GAMMA = 0.25, 0.1


def inputs(count: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two maps, regions of which some reach over the border, and offsets large enough to push cells out."""
    torch.manual_seed(0)
    center, half = torch.rand(count, 2) * 80, 2 + torch.rand(count, 2) * 40
    image = torch.randint(0, 2, (count, 1))
    return (
        torch.randn(2, 4, 20, 24),
        torch.cat((image, center - half, center + half), 1),
        torch.randn(count, 2, *SIZE) * 4,
    )


def cell_by_cell(feat: torch.Tensor, rois: torch.Tensor, offset: torch.Tensor, ratio: int) -> torch.Tensor:
    sides = rois[:, 3:] - rois[:, 1:3]
    size = sides / torch.tensor([SIZE[1], SIZE[0]])
    columns = []
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            start = rois[:, 1:3] + size * torch.tensor([x, y]) + GAMMA * sides * offset[:, :, y, x]
            cell = torch.cat((rois[:, :1], start, start + size), 1)
            columns.append(roi_align(feat, cell, 1, SCALE, ratio, True).flatten(1))
    return torch.stack(columns, -1).view(len(rois), -1, *SIZE)


@pytest.mark.parametrize("ratio", [0, 2])
def test_equals_a_region_for_each_cell(ratio: int) -> None:
    feat, rois, offset = inputs()
    ours, theirs = feat.clone().requires_grad_(), feat.clone().requires_grad_()
    found = deform_roi_pool(ours, rois, offset, SIZE, SCALE, ratio, GAMMA)
    expected = cell_by_cell(theirs, rois, offset, ratio)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    grad = torch.randn_like(found)
    found.backward(grad)
    expected.backward(grad)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-5)


def test_gradient_of_the_offsets() -> None:
    """On a plane the value changes with a cell's place as the plane does: by its slope times the scale."""
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij")
    roi, offset = torch.tensor([[0.0, 40, 24, 80, 72]]), torch.zeros(1, 2, *SIZE, requires_grad=True)
    deform_roi_pool((3 * x + 5 * y)[None, None], roi, offset, SIZE, SCALE, 2, GAMMA).sum().backward()
    assert offset.grad is not None
    torch.testing.assert_close(offset.grad[0, 0], torch.full(SIZE, 3 * GAMMA * 40 * SCALE))
    torch.testing.assert_close(offset.grad[0, 1], torch.full(SIZE, 5 * GAMMA * 48 * SCALE))


def test_without_offsets_it_is_roi_align() -> None:
    feat, rois, offset = inputs()
    expected = roi_align(feat, rois, SIZE, SCALE, 0, True)
    layer = DeformRoIPool(SIZE, SCALE)
    torch.testing.assert_close(layer(feat, rois), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer(feat, rois, 0 * offset), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("roi", [[0, 9, 9, 9, 9.0], [0, 9, 9, 2, 20.0], [0, 2, float("nan"), 9, 9]])
def test_regions_without_area_have_no_features(roi: list[float]) -> None:
    pooled = deform_roi_pool(torch.ones(1, 2, 20, 20), torch.tensor([roi]), torch.zeros(1, 2, *SIZE), SIZE)
    assert pooled.abs().sum() == 0


@pytest.mark.parametrize("kind", ["DeformRoIPoolPack", "ModulatedDeformRoIPoolPack"])
def test_packs_begin_as_roi_align(kind: str) -> None:
    """Half of it, where cells are weighted by a sigmoid of zero; and all of the layers learn."""
    feat, rois, _ = inputs()
    layer = MODELS.build(
        {
            "type": kind,
            "output_size": SIZE,
            "output_channels": 4,
            "deform_fc_channels": 8,
            "spatial_scale": SCALE,
        }
    )
    names = [f"offset_fc.{place}.{part}" for place in (0, 2, 4) for part in ("weight", "bias")]
    if kind.startswith("Modulated"):
        names += [f"mask_fc.{place}.{part}" for place in (0, 2) for part in ("weight", "bias")]
    assert list(layer.state_dict()) == names
    share = 0.5 if kind.startswith("Modulated") else 1.0
    expected = share * roi_align(feat, rois, SIZE, SCALE, 0, True)
    torch.testing.assert_close(layer(feat, rois), expected, atol=1e-5, rtol=1e-5)
    for name, param in layer.named_parameters():
        torch.nn.init.normal_(param, std=0.3) if name.endswith("weight") else None
    layer(feat, rois).square().sum().backward()
    assert all(param.grad.abs().sum() > 0 for param in layer.parameters())


def test_wrong_channels_are_told() -> None:
    layer = MODELS.build({"type": "DeformRoIPoolPack", "output_size": 2, "output_channels": 8})
    with pytest.raises(DataError, match=r"8 channels .*have 4"):
        layer(*inputs()[:2])


def test_in_an_extractor_with_no_region_at_all() -> None:
    pool: dict[str, Any] = {"type": "DeformRoIPoolPack", "output_size": 2, "output_channels": 4}
    extractor = SingleRoIExtractor(pool, 4, [4, 8])
    maps = [torch.randn(1, 4, 20, 20), torch.randn(1, 4, 10, 10)]
    pooled = extractor(maps, torch.zeros(0, 5))
    assert pooled.shape == (0, 4, 2, 2)
    pooled.sum().backward()
    assert all(param.grad is not None for param in extractor.parameters())
    assert extractor(maps, torch.tensor([[0.0, 2, 2, 30, 30], [0, 2, 2, 79, 79]])).shape == (2, 4, 2, 2)
