from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionGenerator
from torchvision.models.detection.image_list import ImageList

from toolkit.detection.models.task_modules import AnchorGenerator, anchor_inside_flags
from toolkit.utils import BuildError

SIZES = [(6, 8), (3, 4)]


def make(**kwargs: object) -> AnchorGenerator:
    settings: dict[str, object] = {"strides": [8, 16], "ratios": [0.5, 1.0, 2.0], "scales": [4.0]}
    return AnchorGenerator(**{**settings, **kwargs})  # type: ignore[arg-type]


def test_equals_torchvisions_anchors() -> None:
    # torchvision rounds its base anchors: sizes and ratios are chosen so that there is nothing to round
    ours = make(ratios=[1.0, 0.25, 4.0], scales=[4.0, 8.0], scale_major=True)
    theirs = TorchvisionGenerator(((32, 64), (64, 128)), ((1.0, 0.25, 4.0),) * 2)
    images = ImageList(torch.zeros(1, 3, 48, 64), [(48, 64)])
    expected = theirs(images, [torch.zeros(1, 1, *size) for size in SIZES])[0]
    found = torch.cat(ours.grid_priors(SIZES, device="cpu"))
    torch.testing.assert_close(found, expected)


def test_anchors_of_faster_rcnn() -> None:
    generator = AnchorGenerator(strides=[4], ratios=[0.5, 1.0, 2.0], scales=[8])
    base = generator.base_anchors[0]
    assert base[1].tolist() == [-16, -16, 16, 16]
    sizes = base[:, 2:] - base[:, :2]
    torch.testing.assert_close(sizes.prod(1), torch.full((3,), 32.0**2))
    torch.testing.assert_close(sizes[:, 1] / sizes[:, 0], torch.tensor([0.5, 1.0, 2.0]))
    assert generator.num_base_priors == [3]


def test_sparse_priors_are_those_of_the_grid() -> None:
    generator = make()
    for level, size in enumerate(SIZES):
        grid = generator.single_level_grid_priors(size, level, device="cpu")
        some = torch.tensor([0, 5, len(grid) - 1, 7])
        torch.testing.assert_close(generator.sparse_priors(some, size, level, device="cpu"), grid[some])


def test_octave_scales_and_order() -> None:
    octave = make(scales=None, octave_base_scale=4, scales_per_octave=3)
    assert octave.scales.tolist() == pytest.approx([4, 4 * 2 ** (1 / 3), 4 * 2 ** (2 / 3)])
    by_ratio, by_scale = make(scales=[1.0, 2.0]), make(scales=[1.0, 2.0], scale_major=False)
    ratios_first = by_scale.base_anchors[0].view(2, 3, 4).transpose(0, 1)
    torch.testing.assert_close(by_ratio.base_anchors[0].view(3, 2, 4), ratios_first)
    shifted = make(center_offset=0.5).base_anchors[0]
    torch.testing.assert_close((shifted[:, :2] + shifted[:, 2:]) / 2, torch.full((3, 2), 4.0))


def test_only_cells_of_the_padded_image_are_valid() -> None:
    generator = make()
    flags = generator.valid_flags(SIZES, (40, 48), device="cpu")
    assert [int(flag.sum()) for flag in flags] == [5 * 6 * 3, 3 * 3 * 3]
    assert generator.inside_inds(SIZES, {"img_shape": (48, 64)}, -1, torch.device("cpu")) is None
    meta = {"img_shape": (30, 40), "pad_shape": (40, 48)}
    inds = generator.inside_inds(SIZES, meta, -1, torch.device("cpu"))
    assert inds is not None
    torch.testing.assert_close(inds, torch.cat(flags).nonzero().squeeze(1))


def test_anchors_that_leave_the_image_are_left_out() -> None:
    generator = make()
    anchors = torch.cat(generator.grid_priors(SIZES, device="cpu"))
    everything = torch.ones(len(anchors), dtype=torch.bool)
    inside = anchor_inside_flags(anchors, everything, (48, 64), 0)
    low, high = anchors[inside].amin(0), anchors[inside].amax(0)
    assert inside.any()
    assert (low[:2] >= 0).all()
    assert high[2] < 64
    assert high[3] < 48
    inds = generator.inside_inds(SIZES, {"img_shape": (48, 64)}, 0, torch.device("cpu"))
    assert inds is not None
    assert inds.tolist() == inside.nonzero().squeeze(1).tolist()
    assert anchor_inside_flags(anchors, everything, (48, 64), -1) is everything


def test_anchors_are_kept_for_the_last_sizes_only() -> None:
    generator = make()
    first = generator.grid_priors(SIZES, device="cpu")
    assert generator.grid_priors(SIZES, device="cpu") is first
    for height in range(1, 50):
        generator.grid_priors([(height, 8), (3, 4)], device="cpu")
    assert len(generator._cache) <= 32
    assert generator.grid_priors(SIZES, device="cpu") is not first


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"scales": None}, "scales"),
        ({"octave_base_scale": 4, "scales_per_octave": 3}, "one of both"),
        ({"base_sizes": [1]}, "base_sizes"),
        ({"center_offset": 2}, "center_offset"),
        ({"center_offset": 0.5, "centers": [(0, 0), (0, 0)]}, "not both"),
    ],
)
def test_contradictions_are_told(kwargs: dict[str, object], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        make(**kwargs)


def test_another_number_of_maps_is_told() -> None:
    with pytest.raises(BuildError, match="2 strides"):
        make().grid_priors([(1, 1)], device="cpu")
