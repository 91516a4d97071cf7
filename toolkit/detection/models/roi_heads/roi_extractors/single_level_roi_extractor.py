"""Features of a region from one level of the pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.detection.models.layers import RoIAlign, roi_align_cpu, runs_on_cpu
from toolkit.detection.models.roi_heads.roi_extractors.base_roi_extractor import BaseRoIExtractor
from toolkit.detection.registry import MODELS

_NOWHERE = -1e5


@MODELS.register_module()
class SingleRoIExtractor(BaseRoIExtractor):
    """Each region is pooled from the level of its size (Lin et al., "Feature Pyramid Networks", 2016,
    equation 1).

    Level 0 up to a side of ``2 · finest_scale`` pixels, level 1 up to twice that, and so on.

    Args:
        roi_layer: See `BaseRoIExtractor`.
        out_channels: See `BaseRoIExtractor`.
        featmap_strides: See `BaseRoIExtractor`.
        finest_scale: See above.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        roi_layer: Mapping[str, Any],
        out_channels: int,
        featmap_strides: Sequence[int],
        finest_scale: int = 56,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(roi_layer, out_channels, featmap_strides, init_cfg)
        self.finest_scale = finest_scale

    def map_roi_levels(self, rois: Tensor, num_levels: int) -> Tensor:
        """The level of each region (K, 5): (K,) int64 from 0; 0 too, where its corners are the wrong way, or
        no numbers.
        """
        side = _areas(rois).nan_to_num(nan=0.0).clamp(min=0).sqrt()
        return (side / self.finest_scale + 1e-6).log2().floor().clamp(0, num_levels - 1).long()

    def forward(self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Features of regions.

        Args:
            feats: Maps (B, out_channels, H_l, W_l), finest first.
            rois: (K, 5), as image index, x1, y1, x2, y2.
            roi_scale_factor: Pool from regions that are longer by this factor; their level stays.

        Returns:
            (K, out_channels, h, w), in the order of `rois`.
        """
        if len(feats) == 1:
            return self.roi_layers[0](feats[0], rois)
        levels = self.map_roi_levels(rois, len(feats))
        # A region whose corners are the wrong way, or no numbers, has no level, and no features: it is put
        # outside the maps.
        wrong = ~(_areas(rois) >= 0)[:, None].expand(-1, 4)
        rois = rois.masked_fill(F.pad(wrong, (1, 0)), _NOWHERE)  # all but the index of the image
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        layers: list[Any] = list(self.roi_layers)
        if runs_on_cpu(feats[0]) and all(type(layer) is RoIAlign for layer in layers):
            pooled = roi_align_cpu(
                [feat.float() for feat in feats],
                rois.float(),
                levels,
                layers[0].output_size,
                [layer.spatial_scale for layer in layers],
                layers[0].sampling_ratio,
                layers[0].aligned,
            )
            return pooled.to(feats[0].dtype)
        return self._level_by_level(feats, rois, levels)

    def _level_by_level(self, feats: Sequence[Tensor], rois: Tensor, levels: Tensor) -> Tensor:
        # Regions are ordered by level, so that one transfer tells how many each level has.
        order = levels.argsort(stable=True)
        counts = torch.bincount(levels, minlength=len(feats)).tolist()
        # A level without regions takes part too: its features keep a gradient, of zero.
        pooled = [
            layer(feat, part)
            for layer, feat, part in zip(self.roi_layers, feats, rois[order].split(counts), strict=True)
        ]
        place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        return torch.cat(pooled)[place]


def _areas(rois: Tensor) -> Tensor:
    return (rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])
