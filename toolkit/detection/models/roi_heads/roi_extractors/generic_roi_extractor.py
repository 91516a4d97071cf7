"""Features of a region from all levels of the pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.roi_heads.roi_extractors.base_roi_extractor import BaseRoIExtractor
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import build_plugin_layer
from toolkit.utils import BuildError

_AGGREGATIONS = ("sum", "concat")


@MODELS.register_module()
class GenericRoIExtractor(BaseRoIExtractor):
    """Each region is pooled from every level (Rossi et al., "A novel Region of Interest Extraction Layer for
    Instance Segmentation", 2020).

    State-dict keys: ``pre_module.*``, ``post_module.*``.

    Args:
        aggregation: 'sum' of the levels, or 'concat' of their channels.
        pre_cfg: Config of a layer that each level passes.
        post_cfg: Config of a layer that the result passes.
        **kwargs: Those of `BaseRoIExtractor`.

    Raises:
        BuildError: The aggregation is another, or the channels don't come to `out_channels`.
    """

    def __init__(
        self,
        aggregation: str = "sum",
        pre_cfg: Mapping[str, Any] | None = None,
        post_cfg: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if aggregation not in _AGGREGATIONS:
            raise BuildError(
                f"aggregation of GenericRoIExtractor must be one of {_AGGREGATIONS}, got {aggregation!r}"
            )
        self.aggregation = aggregation
        self.with_post, self.with_pre = post_cfg is not None, pre_cfg is not None
        if post_cfg is not None:
            self.post_module = build_plugin_layer(post_cfg, "_post_module")[1]
        if pre_cfg is not None:
            self.pre_module = build_plugin_layer(pre_cfg, "_pre_module")[1]

    def forward(self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Features of regions; arguments and result as `SingleRoIExtractor.forward`."""
        if len(feats) == 1:
            return self.roi_layers[0](feats[0], rois)
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        levels = [layer(feat, rois) for layer, feat in zip(self.roi_layers, feats, strict=True)]
        if not len(rois):  # the layers around would have nothing to work on
            return torch.cat(levels, dim=1)[:, : self.out_channels]
        if self.with_pre:
            levels = [self.pre_module(level) for level in levels]
        if self.aggregation == "sum":
            pooled = torch.stack(levels).sum(dim=0)
        else:
            pooled = torch.cat(levels, dim=1)
        if pooled.size(1) != self.out_channels:
            raise BuildError(
                f"GenericRoIExtractor pools {pooled.size(1)} channels, and its out_channels is "
                f"{self.out_channels}"
            )
        return self.post_module(pooled) if self.with_post else pooled
