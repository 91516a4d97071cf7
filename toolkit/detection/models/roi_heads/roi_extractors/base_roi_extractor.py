"""Base class of RoI extractors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule


class BaseRoIExtractor(BaseModule):
    """Features of regions, from a pyramid.

    Args:
        roi_layer: Config of the layer that pools a region, such as ``dict(type='RoIAlign', output_size=7)``.
        out_channels: Channels of the maps.
        featmap_strides: Pixels of the image a pixel of each map.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        roi_layer: Mapping[str, Any],
        out_channels: int,
        featmap_strides: Sequence[int],
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.roi_layers = nn.ModuleList(
            MODELS.build({**roi_layer, "spatial_scale": 1 / stride}) for stride in featmap_strides
        )
        self.out_channels = out_channels
        self.featmap_strides = list(featmap_strides)

    @property
    def num_inputs(self) -> int:
        """How many maps it takes."""
        return len(self.featmap_strides)

    def roi_rescale(self, rois: Tensor, scale_factor: float) -> Tensor:
        """Regions (K, 5), with sides longer by a factor, around the same centres."""
        center = (rois[:, 1:3] + rois[:, 3:5]) / 2
        half = (rois[:, 3:5] - rois[:, 1:3]) * (scale_factor / 2)
        return torch.cat((rois[:, :1], center - half, center + half), dim=1)

    @abstractmethod
    def forward(self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Features (K, out_channels, h, w) of regions (K, 5), as image index, x1, y1, x2, y2."""
