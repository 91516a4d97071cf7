from __future__ import annotations

import math

import pytest
import torch

from toolkit.model.transformer import MultiScaleDeformableAttention, multi_scale_deformable_attn
from toolkit.utils import BuildError

SIZES = [(3, 4), (2, 2)]


def at(grid: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """The bilinear value of a map (H, W, D) at a place of it, in pixels; outside there is nothing."""
    total = torch.zeros(grid.size(-1))
    left, top = math.floor(x), math.floor(y)
    for row in (top, top + 1):
        for col in (left, left + 1):
            if 0 <= row < grid.size(0) and 0 <= col < grid.size(1):
                total += (1 - abs(x - col)) * (1 - abs(y - row)) * grid[row, col]
    return total


def naive(value: torch.Tensor, locations: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    batch, queries, heads, _, points, _ = locations.shape
    out = torch.zeros(batch, queries, heads, value.size(-1))
    for b in range(batch):
        for q in range(queries):
            for h in range(heads):
                start = 0
                for level, (height, width) in enumerate(SIZES):
                    grid = value[b, start : start + height * width, h].view(height, width, -1)
                    for p in range(points):
                        x, y = locations[b, q, h, level, p].tolist()
                        place = at(grid, x * width - 0.5, y * height - 0.5)
                        out[b, q, h] += weights[b, q, h, level, p] * place
                    start += height * width
    return out.flatten(2)


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    value = torch.randn(2, 16, 2, 3)
    locations = torch.rand(2, 4, 2, 2, 3, 2) * 1.6 - 0.3  # some of them outside
    return value, locations, torch.rand(2, 4, 2, 2, 3)


@pytest.mark.parametrize("shapes", [SIZES, torch.tensor(SIZES)], ids=["numbers", "tensor"])
def test_equals_loops(shapes: object) -> None:
    value, locations, weights = inputs()
    found = multi_scale_deformable_attn(value, shapes, locations, weights)  # type: ignore[arg-type]
    torch.testing.assert_close(found, naive(value, locations, weights))


def test_gradients_reach_everything() -> None:
    args = [one.double().requires_grad_() for one in inputs()]
    assert torch.autograd.gradcheck(
        lambda value, locations, weights: multi_scale_deformable_attn(value, SIZES, locations, weights),
        args,
        atol=1e-4,
    )


def test_module_samples_around_points_and_within_boxes() -> None:
    torch.manual_seed(0)
    attention = MultiScaleDeformableAttention(8, 2, num_levels=2, num_points=3, batch_first=True).eval()
    torch.nn.init.normal_(attention.attention_weights.weight)
    query, value = torch.randn(2, 4, 8), torch.randn(2, 16, 8)
    padding = torch.rand(2, 16) > 0.7
    boxes = torch.rand(2, 4, 2, 4)
    offsets = attention.sampling_offsets(query).view(2, 4, 2, 2, 3, 2)
    weights = attention.attention_weights(query).view(2, 4, 2, -1).softmax(-1).view(2, 4, 2, 2, 3)
    values = attention.value_proj(value).masked_fill(padding[..., None], 0).view(2, 16, 2, 4)
    size = torch.tensor([(w, h) for h, w in SIZES]).view(1, 1, 1, 2, 1, 2)
    points = boxes[:, :, None, :, None]
    for references, places in (
        (boxes[..., :2], points[..., :2] + offsets / size),
        (boxes, points[..., :2] + offsets / 3 * points[..., 2:] * 0.5),
    ):
        expected = attention.output_proj(naive(values, places, weights)) + query
        found = attention(
            query,
            value=value,
            key_padding_mask=padding,
            reference_points=references,
            spatial_shapes=SIZES,
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_starts_with_heads_that_look_in_all_directions() -> None:
    attention = MultiScaleDeformableAttention(8, 4, num_levels=2, num_points=3)
    offsets = attention.sampling_offsets(torch.zeros(1, 8)).view(4, 2, 3, 2)
    for head, direction in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):
        for point in range(3):
            expected = torch.tensor(direction).float() * (point + 1)
            torch.testing.assert_close(offsets[head, :, point], expected.expand(2, -1), atol=1e-6, rtol=0)


def test_length_first_is_the_same_transposed() -> None:
    torch.manual_seed(0)
    first = MultiScaleDeformableAttention(8, 2, num_levels=2, batch_first=True).eval()
    second = MultiScaleDeformableAttention(8, 2, num_levels=2).eval()
    second.load_state_dict(first.state_dict())
    query, value, references = torch.randn(2, 4, 8), torch.randn(2, 16, 8), torch.rand(2, 4, 2, 2)
    expected = first(query, value=value, reference_points=references, spatial_shapes=SIZES)
    found = second(
        query.transpose(0, 1),
        value=value.transpose(0, 1),
        reference_points=references,
        spatial_shapes=SIZES,
    )
    torch.testing.assert_close(found.transpose(0, 1), expected)


def test_channels_must_fit_the_heads() -> None:
    with pytest.raises(BuildError, match="10 and 4"):
        MultiScaleDeformableAttention(10, 4)
