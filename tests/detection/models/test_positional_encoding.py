from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from toolkit.detection.models.layers import (
    LearnedPositionalEncoding,
    SinePositionalEncoding,
    SinePositionalEncoding3D,
)
from toolkit.utils import BuildError


def by_the_formula(row: float, col: float, feats: int, temperature: float) -> list[float]:
    values = []
    for position in (row, col):
        for i in range(feats):
            angle = position / temperature ** (2 * (i // 2) / feats)
            values.append(math.cos(angle) if i % 2 else math.sin(angle))
    return values


def test_follows_the_formula() -> None:
    encoding = SinePositionalEncoding(4, temperature=20)(torch.zeros(1, 3, 5, dtype=torch.bool))
    for row in range(3):
        for col in range(5):
            expected = by_the_formula(row + 1, col + 1, 4, 20)
            assert encoding[0, :, row, col].tolist() == pytest.approx(expected, abs=1e-6)


def test_normalized_counts_what_is_not_padding() -> None:
    mask = torch.ones(1, 3, 5, dtype=torch.bool)
    mask[:, :2, :4] = False
    encoding = SinePositionalEncoding(4, normalize=True, offset=-0.5)(mask)
    expected = by_the_formula(1.5 / 2 * 2 * math.pi, 0.5 / 4 * 2 * math.pi, 4, 10000)
    assert encoding[0, :, 1, 0].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_no_mask_is_a_mask_of_nothing(normalize: bool) -> None:
    encoding = SinePositionalEncoding(4, normalize=normalize)
    expected = encoding(torch.zeros(2, 3, 5, dtype=torch.bool))
    torch.testing.assert_close(encoding(None, input=torch.zeros(2, 7, 3, 5)), expected)


def test_frames_are_added() -> None:
    mask = torch.zeros(1, 2, 3, 5, dtype=torch.bool)
    clips, images = SinePositionalEncoding3D(4)(mask), SinePositionalEncoding(4)(mask[0])
    assert clips.shape == (1, 2, 8, 3, 5)
    frames = clips[0] - images
    for first, second in pairwise(frames.flatten(2).unbind(2)):
        torch.testing.assert_close(first, second)  # the same at all places
    assert frames[1, :, 0, 0].tolist() == pytest.approx(by_the_formula(2, 0, 8, 10000)[:8], abs=1e-5)


def test_learned_has_columns_first() -> None:
    encoding = LearnedPositionalEncoding(2, row_num_embed=4, col_num_embed=6)
    found = encoding(torch.zeros(3, 4, 5, dtype=torch.bool))
    assert found.shape == (3, 4, 4, 5)
    torch.testing.assert_close(found[1, :2, 3, 2], encoding.col_embed.weight[2])
    torch.testing.assert_close(found[1, 2:, 3, 2], encoding.row_embed.weight[3])


def test_scale_must_be_a_number() -> None:
    with pytest.raises(BuildError, match="scale"):
        SinePositionalEncoding(4, normalize=True, scale="2pi")  # type: ignore[arg-type]
