"""The best places and classes of a level, chosen in two ways."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.models.dense_heads.candidates import _batched, at_places, best_candidates


def listed(scores: torch.Tensor) -> list[list[tuple[float, int, int]]]:
    """All (score, place, class) of each image, highest first, by brute force."""
    batch, anchors, classes, places = scores.shape
    return [
        sorted(
            (
                (float(scores[b, a, c, p]), p * anchors + a, c)
                for a in range(anchors)
                for c in range(classes)
                for p in range(places)
            ),
            key=lambda one: -one[0],
        )
        for b in range(batch)
    ]


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)),
    most=st.integers(-1, 30),
    sigmoid=st.booleans(),
    seed=st.integers(0, 9),
)
def test_both_ways_find_the_highest(shape: tuple[int, ...], most: int, sigmoid: bool, seed: int) -> None:
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    scores = logits if sigmoid else logits.sigmoid()
    for values, places, labels in (best_candidates(scores, most, sigmoid), _batched(scores, most, sigmoid)):
        for b, expected in enumerate(listed(logits.sigmoid())):
            count = len(expected) if most <= 0 else min(most, len(expected))
            found = sorted(
                zip(values[b].tolist(), places[b].tolist(), labels[b].tolist(), strict=True), reverse=True
            )
            assert [one[1:] for one in found] == [one[1:] for one in expected[:count]]
            assert [one[0] for one in found] == pytest.approx([one[0] for one in expected[:count]])


def test_scores_that_are_too_low_are_left_out() -> None:
    scores = torch.tensor([[[[0.9, 0.2, 0.5]]], [[[0.1, 0.2, 0.05]]]])
    values, places, _ = best_candidates(scores, 2, least=0.15)
    assert values.tolist() == [pytest.approx([0.9, 0.5]), [pytest.approx(0.2), float("-inf")]]
    assert places[:, 0].tolist() == [0, 1]


def test_a_threshold_means_the_same_for_logits() -> None:
    logits = torch.randn(1, 2, 3, 50, generator=torch.Generator().manual_seed(0)) * 4
    one = best_candidates(logits, 100, sigmoid=True, least=0.3)
    two = best_candidates(logits.sigmoid(), 100, least=0.3)
    for left, right in zip(one, two, strict=True):
        assert torch.equal(left, right)


def test_equal_scores_go_as_in_the_sort_of_all_that_is_above_the_threshold() -> None:
    scores = (torch.randn(1, 3, 4, 100, generator=torch.Generator().manual_seed(0)) * 20).sigmoid()
    flat = scores.permute(0, 3, 1, 2).flatten()
    kept = (flat > 0.5).nonzero().squeeze(1)
    expected = kept[flat[kept].sort(descending=True).indices[:50]]
    _, places, labels = best_candidates(scores, 50, least=0.5)
    assert torch.equal(places[0] * 4 + labels[0], expected)


def test_maps_are_read_at_places() -> None:
    x = torch.arange(2 * 6 * 4).view(2, 6, 2, 2)  # 2 priors of 3 channels at 4 places
    flat = x.permute(0, 2, 3, 1).reshape(2, 8, 3)
    places = torch.tensor([[0, 5], [7, 2]])
    assert torch.equal(at_places(x, places, 2), torch.stack((flat[0, [0, 5]], flat[1, [7, 2]])))
