"""VGG as SSD uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.utils import BuildError

_BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)
_INIT: Any = [
    {"type": "Kaiming", "layer": "Conv2d"},
    {"type": "Constant", "val": 1, "layer": "BatchNorm2d"},
    {"type": "Normal", "std": 0.01, "layer": "Linear"},
]


@MODELS.register_module()
class SSDVGG(BaseModule):
    """VGG (Simonyan and Zisserman 2014) with its fully connected layers as convolutions (Liu et al., "SSD",
    2015, section 3).

    State-dict keys: ``features.i.*``, counted as in torchvision's VGG.

    Args:
        depth: 11, 13, 16 or 19.
        with_last_pool: Keep the pooling after the fifth stage.
        ceil_mode: Sizes of pooled maps are rounded up.
        out_indices: Not used; `out_feature_indices` says what comes out.
        out_feature_indices: Layers of ``features`` whose output comes out.
        pretrained: A checkpoint; the older way to say ``init_cfg``.
        init_cfg: See `BaseModule`.
        input_size: Accepted for older configs, not used.
        l2_norm_scale: Accepted for older configs, not used; it is an argument of `SSDNeck`.

    Raises:
        BuildError: The depth is another, or both `pretrained` and `init_cfg` are given.
    """

    def __init__(
        self,
        depth: int,
        with_last_pool: bool = False,
        ceil_mode: bool = True,
        out_indices: Sequence[int] = (3, 4),
        out_feature_indices: Sequence[int] = (22, 34),
        pretrained: str | None = None,
        init_cfg: Any = None,
        input_size: int | None = None,
        l2_norm_scale: float | None = None,
    ) -> None:
        if depth not in _BLOCKS:
            raise BuildError(f"depth of SSDVGG must be one of {list(_BLOCKS)}, got {depth}")
        if init_cfg and pretrained:
            raise BuildError("SSDVGG: set init_cfg or pretrained, not both")
        if pretrained:
            init_cfg = {"type": "Pretrained", "checkpoint": pretrained}
        super().__init__(init_cfg or _INIT)
        layers: list[nn.Module] = []
        channels = 3
        for count, width in zip(_BLOCKS[depth], _CHANNELS, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=ceil_mode))
        if not with_last_pool:
            layers.pop()
        layers += [
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(512, 1024, 3, padding=6, dilation=6),
            nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, 1),
            nn.ReLU(inplace=True),
        ]
        self.features = nn.Sequential(*layers)
        self.out_feature_indices = out_feature_indices

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the maps of the layers asked for."""
        outs = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.out_feature_indices:
                outs.append(x)
        return tuple(outs)
