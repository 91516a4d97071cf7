"""The extra layers of SSD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule, DepthwiseSeparableConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_INIT = (
    {"type": "Xavier", "distribution": "uniform", "layer": "Conv2d"},
    {"type": "Constant", "val": 1, "layer": "BatchNorm2d"},
)


class L2Norm(nn.Module):
    """Features of a place scaled to a length that is learnt a channel (Liu et al., "ParseNet", 2015).

    Args:
        n_dims: Channels.
        scale: What the lengths start at.
        eps: Added to what is divided by.
    """

    def __init__(self, n_dims: int, scale: float = 20.0, eps: float = 1e-10) -> None:
        super().__init__()
        self.n_dims, self.scale, self.eps = n_dims, scale, eps
        self.weight = nn.Parameter(torch.full((n_dims,), float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_dims, H, W) in, the same shape and type out; computed in single precision."""
        full = x.float()
        norm = full.pow(2).sum(1, keepdim=True).sqrt() + self.eps
        return (self.weight[None, :, None, None].float() * full / norm).type_as(x)


@MODELS.register_module()
class SSDNeck(BaseModule):
    """Coarser and coarser maps after the backbone's (Liu et al., "SSD", 2015, figure 2).

    State-dict keys: ``l2_norm.weight``, ``extra_layers.i.0.*``, ``extra_layers.i.1.*``. Detectors of earlier
    versions of MMDetection had these in the backbone; their checkpoints load.

    Args:
        in_channels: Channels of the backbone's maps.
        out_channels: Channels of all maps; begins with `in_channels`.
        level_strides: Stride of each level's second convolution.
        level_paddings: Its padding.
        l2_norm_scale: Of the first map's `L2Norm`; None or 0 for none.
        last_kernel_size: Of the last level's second convolution.
        use_depthwise: Second convolutions are depthwise separable.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The lists don't go together.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        level_strides: Sequence[int],
        level_paddings: Sequence[int],
        l2_norm_scale: float | None = 20.0,
        last_kernel_size: int = 3,
        use_depthwise: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = {"type": "ReLU"},  # noqa: B006 - read only
        init_cfg: Any = _INIT,
    ) -> None:
        super().__init__([init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or ()))
        given = len(in_channels)
        count = len(out_channels) - given
        if list(out_channels[:given]) != list(in_channels) or count <= 0:
            raise BuildError(
                f"out_channels of SSDNeck must begin with in_channels {tuple(in_channels)} and go on, got "
                f"{tuple(out_channels)}"
            )
        if not count == len(level_strides) == len(level_paddings):
            raise BuildError(
                f"SSDNeck adds {count} levels: level_strides and level_paddings need as many values, got "
                f"{len(level_strides)} and {len(level_paddings)}"
            )
        if l2_norm_scale:
            self.l2_norm = L2Norm(in_channels[0], l2_norm_scale)
            assert isinstance(self.init_cfg, list)
            self.init_cfg.append({"type": "Constant", "val": l2_norm_scale, "override": {"name": "l2_norm"}})
        second = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.extra_layers = nn.ModuleList()
        for i in range(count):
            before, after = out_channels[given - 1 + i], out_channels[given + i]
            kernel = last_kernel_size if i == count - 1 else 3
            stride, padding = level_strides[i], level_paddings[i]
            self.extra_layers.append(
                nn.Sequential(
                    ConvModule(before, after // 2, 1, **common),
                    second(after // 2, after, kernel, stride=stride, padding=padding, **common),
                )
            )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The backbone's maps (N, in_channels[i], H_i, W_i) and further, coarser ones."""
        outs = list(inputs)
        if hasattr(self, "l2_norm"):
            outs[0] = self.l2_norm(outs[0])
        x = inputs[-1]
        for layer in self.extra_layers:
            x = layer(x)
            outs.append(x)
        return tuple(outs)

    @staticmethod
    def upgrade_detector(state_dict: dict[str, Any], prefix: str) -> None:
        """Rename the keys of a detector's old checkpoint, in place."""
        extra = f"{prefix}backbone.extra."
        for key in [key for key in state_dict if key.startswith(extra)]:
            number, _, rest = key[len(extra) :].partition(".")
            level, place = divmod(int(number), 2)
            state_dict[f"{prefix}neck.extra_layers.{level}.{place}.conv.{rest}"] = state_dict.pop(key)
        old = f"{prefix}backbone.l2_norm.weight"
        if old in state_dict:
            state_dict[f"{prefix}neck.l2_norm.weight"] = state_dict.pop(old)
