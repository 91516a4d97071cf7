"""The feed-forward network of a transformer layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.model.base_module import BaseModule, Sequential
from toolkit.model.cnn import build_activation_layer
from toolkit.model.transformer.drop import build_dropout
from toolkit.registry import MODELS
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]
_FORMATS = ("channels_last", "channels_first")


class LayerScale(nn.Module):
    """A learned factor a channel (Touvron et al., "Going deeper with Image Transformers", 2021).

    Args:
        dim: Channels.
        inplace: Whether it works in place.
        data_format: 'channels_last', (N, ..., C), or 'channels_first', (N, C, ...).
        scale: What the factors start with.

    Raises:
        BuildError: `data_format` is another.
    """

    def __init__(
        self, dim: int, inplace: bool = False, data_format: str = "channels_last", scale: float = 1e-5
    ) -> None:
        super().__init__()
        if data_format not in _FORMATS:
            raise BuildError(f"data_format of LayerScale must be one of {_FORMATS}, got {data_format!r}")
        self.inplace = inplace
        self.data_format = data_format
        self.weight = nn.Parameter(torch.full((dim,), float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape in and out."""
        weight: Tensor = self.weight
        if self.data_format == "channels_first":
            weight = weight.view(-1, *(1,) * (x.dim() - 2))
        return x.mul_(weight) if self.inplace else x * weight


@MODELS.register_module()
class FFN(BaseModule):
    """Linear layers with an activation between them, and an identity connection around them (Vaswani et al.,
    "Attention Is All You Need", 2017).

    State-dict keys: ``layers.{i}.0.*`` of the inner linear layers, ``layers.{num_fcs - 1}.*`` of the last,
    and ``gamma2.weight`` where there is a layer scale.

    Args:
        embed_dims: Channels of input and output.
        feedforward_channels: Channels inside.
        num_fcs: How many linear layers, at least 2.
        act_cfg: The activation between them.
        ffn_drop: Dropout after each of them.
        dropout_layer: Config of the dropout before the identity is added; None for none.
        add_identity: Whether the input is added.
        init_cfg: See `BaseModule`.
        layer_scale_init_value: What the factors of a `LayerScale` start with; 0 for none.
        dropout: The older name of `ffn_drop`.
        add_residual: The older name of `add_identity`.

    Raises:
        BuildError: `num_fcs` is less than 2.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        feedforward_channels: int = 1024,
        num_fcs: int = 2,
        act_cfg: Cfg = {"type": "ReLU", "inplace": True},  # noqa: B006 - read only
        ffn_drop: float = 0.0,
        dropout_layer: Cfg | None = None,
        add_identity: bool = True,
        init_cfg: Any = None,
        layer_scale_init_value: float = 0.0,
        dropout: float | None = None,
        add_residual: bool | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_fcs < 2:
            raise BuildError(f"num_fcs of FFN must be at least 2, got {num_fcs}")
        self.embed_dims, self.feedforward_channels, self.num_fcs = embed_dims, feedforward_channels, num_fcs
        ffn_drop = ffn_drop if dropout is None else dropout
        layers: list[nn.Module] = []
        channels = embed_dims
        for _ in range(num_fcs - 1):
            layers.append(
                Sequential(
                    nn.Linear(channels, feedforward_channels),
                    build_activation_layer(act_cfg),
                    nn.Dropout(ffn_drop),
                )
            )
            channels = feedforward_channels
        self.layers = Sequential(*layers, nn.Linear(channels, embed_dims), nn.Dropout(ffn_drop))
        self.dropout_layer = build_dropout(dropout_layer)
        self.add_identity = add_identity if add_residual is None else add_residual
        self.gamma2: nn.Module = nn.Identity()
        if layer_scale_init_value > 0:
            self.gamma2 = LayerScale(embed_dims, scale=layer_scale_init_value)

    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        """(..., embed_dims) in and out.

        Args:
            x: Input.
            identity: What is added to the output, in place of `x`.
        """
        out = self.dropout_layer(self.gamma2(self.layers(x)))
        if not self.add_identity:
            return out
        return (x if identity is None else identity) + out
