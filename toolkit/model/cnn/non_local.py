"""Non-local means of features, a plugin of residual blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.model.cnn.conv_module import ConvModule
from toolkit.registry import MODELS
from toolkit.utils import BuildError, did_you_mean

_MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


@MODELS.register_module()
class NonLocal2d(nn.Module):
    """Adds to each place a mean of all others, weighted by similarity (Wang et al., "Non-local Neural
    Networks", 2017).

    Args:
        in_channels: Channels of the input and the output.
        sub_sample: Whether keys and values are max-pooled by 2.
        conv_cfg: Config of the convolutions.
        reduction: Similarities and values have ``in_channels // reduction`` channels.
        use_scale: Divide the embedded Gaussian's products by the root of their channels.
        norm_cfg: Config of the norm of the output.
        mode: 'embedded_gaussian', 'gaussian', 'dot_product' or 'concatenation'.
        std: Deviation of the initial weights.
        zeros_init: Whether the last layer starts at zero, the whole as the identity.

    Raises:
        BuildError: `mode` is unknown.
    """

    _abbr_ = "nonlocal_block"

    def __init__(
        self,
        in_channels: int,
        sub_sample: bool = False,
        conv_cfg: Mapping[str, Any] | None = {"type": "Conv2d"},
        reduction: int = 2,
        use_scale: bool = True,
        norm_cfg: Mapping[str, Any] | None = None,
        mode: str = "embedded_gaussian",
        std: float = 0.01,
        zeros_init: bool = True,
    ) -> None:
        super().__init__()
        if mode not in _MODES:
            raise BuildError(f"NonLocal2d has no mode {mode!r}{did_you_mean(mode, _MODES)}")
        self.in_channels, self.reduction, self.use_scale = in_channels, reduction, use_scale
        self.inter_channels = max(in_channels // reduction, 1)
        self.mode, self.sub_sample, self.std, self.zeros_init = mode, sub_sample, std, zeros_init
        plain: dict[str, Any] = {"kernel_size": 1, "conv_cfg": conv_cfg, "act_cfg": None}
        value: nn.Module = ConvModule(in_channels, self.inter_channels, **plain)
        self.g = value
        self.conv_out = ConvModule(self.inter_channels, in_channels, norm_cfg=norm_cfg, **plain)
        pool = nn.MaxPool2d(2) if sub_sample else nn.Identity()
        if mode != "gaussian":
            self.theta = ConvModule(in_channels, self.inter_channels, **plain)
        keyed = mode != "gaussian"
        self.phi: nn.Module = ConvModule(in_channels, self.inter_channels, **plain) if keyed else pool
        if mode == "concatenation":
            self.concat_project = ConvModule(self.inter_channels * 2, 1, 1, bias=False)
        self.init_weights()
        if sub_sample:
            self.g = nn.Sequential(value, pool)
            if mode != "gaussian":
                self.phi = nn.Sequential(self.phi, pool)

    def init_weights(self) -> None:
        """Small normal weights; with `zeros_init`, zero in the last layer."""
        last: Any = self.conv_out.conv if self.conv_out.norm is None else self.conv_out.norm
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module not in (last, self._joint):
                nn.init.normal_(module.weight, std=self.std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.zeros_init:
            nn.init.zeros_(last.weight)
        else:
            nn.init.normal_(last.weight, std=self.std)
        if last.bias is not None:
            nn.init.zeros_(last.bias)

    @property
    def _joint(self) -> nn.Module | None:
        return self.concat_project.conv if self.mode == "concatenation" else None

    def _similarity(self, x: Tensor) -> Tensor:
        """Weights of the keys for each query: (N, queries, keys)."""
        if self.mode == "gaussian":
            return (x.flatten(2).transpose(1, 2) @ self.phi(x).flatten(2)).softmax(dim=-1)
        query, key = self.theta(x).flatten(2), self.phi(x).flatten(2)  # (N, inter_channels, places)
        if self.mode == "concatenation":
            shape = (-1, -1, query.shape[2], key.shape[2])
            pairs = torch.cat((query[..., None].expand(shape), key[:, :, None].expand(shape)), dim=1)
            return self.concat_project(pairs).squeeze(1) / key.shape[2]
        products = query.transpose(1, 2) @ key
        if self.mode == "dot_product":
            return products / products.shape[-1]
        if self.use_scale:
            products = products / query.shape[1] ** 0.5
        return products.softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in, the same shape out."""
        value = self.g(x).flatten(2).transpose(1, 2)
        mean = (self._similarity(x) @ value).transpose(1, 2)
        return x + self.conv_out(mean.reshape(x.shape[0], self.inter_channels, *x.shape[2:]))
