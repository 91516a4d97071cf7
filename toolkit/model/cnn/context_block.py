"""Global context (GCNet), a plugin of residual blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from toolkit.registry import MODELS
from toolkit.utils import BuildError

_POOLING = ("avg", "att")
_FUSION = ("channel_add", "channel_mul")


@MODELS.register_module()
class ContextBlock(nn.Module):
    """A summary of the whole map, transformed and added to or multiplied with each of its places.

    From "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond" (Cao et al. 2019).

    Args:
        in_channels: Channels of the input and the output.
        ratio: The summary is transformed in ``int(in_channels * ratio)`` channels.
        pooling_type: How it is summed up: 'att': by learned weights of the places; 'avg': by their mean.
        fusion_types: 'channel_add', 'channel_mul', or both.

    Raises:
        BuildError: `pooling_type` or one of `fusion_types` is unknown.
    """

    _abbr_ = "context_block"

    def __init__(
        self,
        in_channels: int,
        ratio: float,
        pooling_type: str = "att",
        fusion_types: Sequence[str] = ("channel_add",),
    ) -> None:
        super().__init__()
        if pooling_type not in _POOLING:
            raise BuildError(f"pooling_type of ContextBlock must be one of {_POOLING}, got {pooling_type!r}")
        if isinstance(fusion_types, str) or not fusion_types or not set(fusion_types) <= set(_FUSION):
            raise BuildError(
                f"fusion_types of ContextBlock must be a list out of {_FUSION}, got {fusion_types!r}"
            )
        self.in_channels, self.ratio = in_channels, ratio
        self.planes = int(in_channels * ratio)
        self.pooling_type, self.fusion_types = pooling_type, tuple(fusion_types)
        if pooling_type == "att":
            self.conv_mask = nn.Conv2d(in_channels, 1, 1)
        self.channel_add_conv = self._transform() if "channel_add" in fusion_types else None
        self.channel_mul_conv = self._transform() if "channel_mul" in fusion_types else None
        self.reset_parameters()

    def _transform(self) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(self.in_channels, self.planes, 1),
            nn.LayerNorm([self.planes, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(self.planes, self.in_channels, 1),
        )

    def reset_parameters(self) -> None:
        """The last layers start at zero: adding starts as the identity."""
        if self.pooling_type == "att":
            nn.init.kaiming_normal_(self.conv_mask.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(self.conv_mask.bias)  # type: ignore[arg-type]
        for transform in (self.channel_add_conv, self.channel_mul_conv):
            if transform is not None:
                for param in transform[-1].parameters():
                    nn.init.zeros_(param)

    def spatial_pool(self, x: Tensor) -> Tensor:
        """The summary of a map: (N, C, H, W) to (N, C, 1, 1)."""
        if self.pooling_type == "avg":
            return x.mean(dim=(2, 3), keepdim=True)
        weights = self.conv_mask(x).flatten(2).softmax(dim=2)  # (N, 1, HW)
        return torch.matmul(x.flatten(2), weights.transpose(1, 2)).unsqueeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in, the same shape out."""
        context = self.spatial_pool(x)
        if self.channel_mul_conv is not None:
            x = x * torch.sigmoid(self.channel_mul_conv(context))
        if self.channel_add_conv is not None:
            x = x + self.channel_add_conv(context)
        return x
