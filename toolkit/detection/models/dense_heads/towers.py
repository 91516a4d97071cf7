"""Towers: the convolutions that dense heads put before their predictions, the same for all levels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from toolkit.model.cnn import ConvModule

Cfg = dict[str, Any]
ANCHORS = {
    "type": "AnchorGenerator",
    "octave_base_scale": 4,
    "scales_per_octave": 3,
    "ratios": [0.5, 1.0, 2.0],
    "strides": [8, 16, 32, 64, 128],
}
"""Nine anchors a place on levels 3 to 7 (Lin et al., "Focal Loss for Dense Object Detection", 2017)."""


def tower(
    in_channels: int,
    feat_channels: int,
    count: int,
    conv_cfg: Cfg | None = None,
    norm_cfg: Cfg | None = None,
    **kwargs: Any,
) -> nn.ModuleList:
    """3x3 convolutions, norms and ReLUs that keep the size of a map.

    Args:
        in_channels: Of the first one.
        feat_channels: Of all others.
        count: How many there are.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        **kwargs: Others of `ConvModule`.
    """
    return nn.ModuleList(
        ConvModule(
            feat_channels if i else in_channels,
            feat_channels,
            3,
            padding=1,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            **kwargs,
        )
        for i in range(count)
    )


def run(layers: Iterable[nn.Module], x: Tensor) -> Tensor:
    """What layers make of `x`, one after the other."""
    for layer in layers:
        x = layer(x)
    return x


def normal_init_cfg(name: str, bias_prob: float = 0.01) -> Cfg:
    """Small random weights, and logits `name` that start at a probability of `bias_prob`."""
    return {
        "type": "Normal",
        "layer": "Conv2d",
        "std": 0.01,
        "override": {"type": "Normal", "name": name, "std": 0.01, "bias_prob": bias_prob},
    }
