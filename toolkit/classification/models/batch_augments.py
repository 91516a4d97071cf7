"""Augmentations that mix the images of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.classification.registry import TASK_UTILS
from toolkit.utils.errors import ConfigError

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@TASK_UTILS.register_module()
class Mixup:
    """Blend each image and its scores with another one's (Zhang et al., "mixup", ICLR 2018).

    Args:
        alpha: The share is drawn from Beta(alpha, alpha).
        num_classes: Accepted for older configs; the scores say how many.
    """

    def __init__(self, alpha: float, num_classes: int | None = None) -> None:
        if alpha <= 0:
            raise ConfigError(f"alpha of {type(self).__name__} must be positive, but got {alpha!r}")
        self.alpha = alpha

    def __call__(self, inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (N, C, H, W) and scores (N, num_classes); new tensors."""
        share = float(np.random.beta(self.alpha, self.alpha))
        order = _order(inputs)
        return torch.lerp(inputs[order], inputs, share), torch.lerp(scores[order], scores, share)


@TASK_UTILS.register_module()
class CutMix(Mixup):
    """Paste a rectangle of another image into each (Yun et al., "CutMix", ICCV 2019).

    Args:
        alpha: The share of the image that stays is drawn from Beta(alpha, alpha).
        num_classes: Accepted for older configs.
    """

    def __call__(self, inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (N, C, H, W) and scores (N, num_classes); new tensors."""
        height, width = inputs.shape[-2:]
        side = math.sqrt(1 - np.random.beta(self.alpha, self.alpha))
        top, bottom = _span(height, side)
        left, right = _span(width, side)
        order = _order(inputs)
        mixed = inputs.clone()
        mixed[..., top:bottom, left:right] = inputs[order, ..., top:bottom, left:right]
        # The rectangle may have been cut at the border, so its area counts, not what was drawn.
        share = 1 - (bottom - top) * (right - left) / (height * width)
        return mixed, torch.lerp(scores[order], scores, share)


def _order(inputs: Tensor) -> Tensor:
    return torch.from_numpy(np.random.permutation(len(inputs))).to(inputs.device)


def _span(length: int, part: float) -> tuple[int, int]:
    half, center = int(length * part) // 2, np.random.randint(length)
    return max(center - half, 0), min(center + half, length)


class RandomBatchAugment:
    """One of several batch augmentations, or none, for each batch.

    Args:
        augments: The augmentations or their configs.
        probs: Probability of each; what is missing to 1 leaves the batch as it is. Equal by default, of sum
            1.
    """

    def __init__(
        self,
        augments: Mapping[str, Any] | Sequence[Mapping[str, Any] | Mix],
        probs: float | Sequence[float] | None = None,
    ) -> None:
        several = [augments] if isinstance(augments, Mapping) or callable(augments) else list(augments)
        self.augments: list[Mix] = [one if callable(one) else TASK_UTILS.build(one) for one in several]
        if probs is None:
            probs = [1 / len(self.augments)] * len(self.augments)
        self.probs = [probs] if isinstance(probs, (int, float)) else list(probs)
        if len(self.probs) != len(self.augments) or min(self.probs) < 0 or sum(self.probs) > 1 + 1e-6:
            raise ConfigError(
                f"probs of {len(self.augments)} batch augmentations must be as many, with a sum of at "
                f"most 1, but got {probs!r}"
            )

    def __call__(self, inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Augment images (N, C, H, W) and scores (N, num_classes), or give them back."""
        place = int(np.searchsorted(np.cumsum(self.probs), np.random.rand(), side="right"))
        # Rounding may leave the sum of probabilities a little below one.
        if place == len(self.augments):
            if sum(self.probs) < 1 - 1e-6:
                return inputs, scores
            place -= 1
        return self.augments[place](inputs, scores)
