"""Checkpoints of the authors' Swin Transformer, and of other window sizes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

logger = logging.getLogger(__name__)

_TABLE = "relative_position_bias_table"


def convert_swin_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the authors' code under our keys, without those of the classifier.

    Their patches are merged in the order (0, 0), (1, 0), (0, 1), (1, 1), all channels of a place at a time;
    here it is that of `torch.nn.Unfold`: (0, 0), (0, 1), (1, 0), (1, 1), all places of a channel at a time.
    """
    converted = {}
    for key, value in weights.items():
        if key.startswith("head"):
            continue
        if key.startswith("layers"):
            key, value = _of_layer(key, value)
        elif key.startswith("patch_embed"):
            key = key.replace("proj", "projection")
        converted[key] = value
    return converted


def _of_layer(key: str, value: Tensor) -> tuple[str, Tensor]:
    if "downsample" in key and ("reduction." in key or "norm." in key):
        value = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :].transpose(-1, -2).flatten(-2)
    for theirs, ours in (
        ("attn.", "attn.w_msa."),
        ("mlp.fc1.", "ffn.layers.0.0."),
        ("mlp.fc2.", "ffn.layers.1."),
    ):
        key = key.replace(theirs, ours)
    return key.replace("layers", "stages", 1), value


def resize_position_biases(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose position biases fit the window size of a model.

    Args:
        weights: Those of a checkpoint.
        own: Those of the model, whose shapes count.
    """
    fitted = dict(weights)
    for key, table in weights.items():
        if not key.endswith(_TABLE) or key not in own or table.shape == own[key].shape:
            continue
        (count, heads), (wanted, own_heads) = table.shape, own[key].shape
        if heads != own_heads:
            logger.warning("%s is of %d heads, not %d, and is left out", key, heads, own_heads)
            continue
        side, own_side = math.isqrt(count), math.isqrt(wanted)
        grid = table.t().reshape(1, heads, side, side)
        grid = F.interpolate(grid, size=(own_side, own_side), mode="bicubic")
        fitted[key] = grid.view(heads, wanted).t().contiguous()
    return fitted
