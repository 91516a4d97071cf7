from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from toolkit.classification.models import CutMix, Mixup, RandomBatchAugment
from toolkit.utils.errors import ConfigError


@pytest.fixture(autouse=True)
def _seeded():
    np.random.seed(0)


def flat_batch(n=6, size=10):
    """Image i is the constant i, of class i: mixing shows in the pixels what it must show in the scores."""
    images = torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 1, size, size).clone()
    return images, F.one_hot(torch.arange(n), n).float()


@pytest.mark.parametrize("kind", [Mixup, CutMix])
def test_pixels_and_scores_are_mixed_alike(kind):
    images, scores = flat_batch()
    changed = 0
    for _ in range(20):
        mixed, target = kind(alpha=1.0)(images, scores)
        expected = target @ torch.arange(6.0)
        torch.testing.assert_close(mixed.mean((1, 2, 3)), expected)
        changed += not torch.equal(target, scores)
    assert changed > 15
    assert torch.equal(images, flat_batch()[0])


def test_cutmix_pastes_a_rectangle():
    images, scores = flat_batch()
    mixed, _ = CutMix(alpha=1.0)(images, scores)
    for number, image in enumerate(mixed[:, 0]):
        rows, columns = (image != number).nonzero(as_tuple=True)
        if len(rows):
            assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)


def test_choice_between_augmentations():
    images, scores = flat_batch()
    augment = RandomBatchAugment(
        [{"type": "Mixup", "alpha": 1.0}, lambda x, y: (x + 100, y)], probs=[0.0, 0.3]
    )
    plain = sum(augment(images, scores)[0] is images for _ in range(300))
    assert 170 < plain < 250
    assert RandomBatchAugment({"type": "CutMix", "alpha": 1.0})(images, scores)[0] is not images
    with pytest.raises(ConfigError, match="probs"):
        RandomBatchAugment([{"type": "Mixup", "alpha": 1.0}], probs=[0.5, 0.6])
    with pytest.raises(ConfigError, match="alpha"):
        Mixup(0)
