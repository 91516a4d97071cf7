"""Convolutions whose weights are features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import build_activation_layer, build_norm_layer

Cfg = dict[str, Any]


@MODELS.register_module()
class DynamicConv(BaseModule):
    """Two 1x1 convolutions of the features of a region, with weights made of the features of its object.

    From "Sparse R-CNN: End-to-End Object Detection with Learnable Proposals" (Sun et al., 2020). State-dict
    keys: ``dynamic_layer.*``, ``norm_in.*``, ``norm_out.*``, ``fc_layer.*``, ``fc_norm.*``.

    Args:
        in_channels: Of regions and objects.
        feat_channels: Between the two convolutions.
        out_channels: Of the output; None for `in_channels`.
        input_feat_shape: Side of a region's features.
        with_proj: Bring all of a region to one vector by a linear layer.
        act_cfg: Config of the activation.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int = 256,
        feat_channels: int = 64,
        out_channels: int | None = None,
        input_feat_shape: int = 7,
        with_proj: bool = True,
        act_cfg: Cfg = {"type": "ReLU", "inplace": True},  # noqa: B006 - read only
        norm_cfg: Cfg = {"type": "LN"},  # noqa: B006 - read only
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.feat_channels = in_channels, feat_channels
        self.out_channels = out_channels or in_channels
        self.with_proj = with_proj
        self.num_params_in = in_channels * feat_channels
        self.num_params_out = self.out_channels * feat_channels
        self.dynamic_layer = nn.Linear(in_channels, self.num_params_in + self.num_params_out)
        self.norm_in = build_norm_layer(norm_cfg, feat_channels)[1]
        self.norm_out = build_norm_layer(norm_cfg, self.out_channels)[1]
        self.activation = build_activation_layer(act_cfg)
        if with_proj:
            self.fc_layer = nn.Linear(self.out_channels * input_feat_shape**2, self.out_channels)
            self.fc_norm = build_norm_layer(norm_cfg, self.out_channels)[1]

    def forward(self, param_feature: Tensor, input_feature: Tensor) -> Tensor:
        """Features of objects (R, in_channels) and of their regions (R, in_channels, h, w).

        Returns:
            (R, out_channels), without projection (R, h·w, out_channels).
        """
        weights = self.dynamic_layer(param_feature)
        first, second = weights.split([self.num_params_in, self.num_params_out], dim=1)
        x = input_feature.flatten(2).transpose(1, 2)
        x = torch.bmm(x, first.reshape(-1, self.in_channels, self.feat_channels))
        x = self.activation(self.norm_in(x))
        x = torch.bmm(x, second.reshape(-1, self.feat_channels, self.out_channels))
        x = self.activation(self.norm_out(x))
        if self.with_proj:
            x = self.activation(self.fc_norm(self.fc_layer(x.flatten(1))))
        return x
