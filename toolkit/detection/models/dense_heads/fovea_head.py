"""The head of FoveaBox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_free_head import INIT_CFG, AnchorFreeHead
from toolkit.detection.models.dense_heads.base_dense_head import flat_levels, map_sizes
from toolkit.detection.models.dense_heads.point_targets import (
    PointTargets,
    chosen_targets,
    level_numbers,
    padded_gts,
)
from toolkit.detection.models.dense_heads.towers import run
from toolkit.detection.models.utils import bbox2distance, box_area, distance2bbox, multi_apply
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule, DeformConv2d
from toolkit.structures import InstanceData

_ALIGN_INIT = {
    "type": "Normal",
    "layer": "Conv2d",
    "std": 0.1,
    "override": {"type": "Normal", "name": "conv_adaption", "std": 0.01},
}
# Distances are from this part to this multiple of a level's length.
_LEAST, _MOST = 1 / 16, 16.0


class FeatureAlign(BaseModule):
    """A deformable convolution whose offsets follow from predicted boxes.

    State-dict keys: ``conv_offset.weight`` and ``conv_adaption.weight``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Of the convolution.
        deform_groups: Groups of channels with offsets of their own.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        deform_groups: int = 4,
        init_cfg: Any = _ALIGN_INIT,
    ) -> None:
        super().__init__(init_cfg)
        self.conv_offset = nn.Conv2d(4, deform_groups * kernel_size * kernel_size * 2, 1, bias=False)
        self.conv_adaption = DeformConv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=(kernel_size - 1) // 2,
            deform_groups=deform_groups,
        )

    def forward(self, x: Tensor, shape: Tensor) -> Tensor:
        """(B, in_channels, H, W) and distances (B, 4, H, W) to (B, out_channels, H, W)."""
        return self.conv_adaption(x, self.conv_offset(shape)).relu()


@MODELS.register_module()
class FoveaHead(AnchorFreeHead):
    """Classes and boxes at the middle of objects (Kong et al., "FoveaBox", 2019).

    State-dict keys: those of `AnchorFreeHead`, and ``feature_adaption.*`` with `with_deform`.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        base_edge_list: The length of each level, in pixels, that distances are in units of.
        scale_ranges: For each level, from where to where the square roots of its objects' areas are.
        sigma: The side of an object's middle, as a part of the object's.
        with_deform: Classes are predicted from features that are aligned to the predicted boxes.
        deform_groups: See `FeatureAlign`.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `AnchorFreeHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        base_edge_list: Sequence[int] = (16, 32, 64, 128, 256),
        scale_ranges: Sequence[Sequence[float]] = ((8, 32), (16, 64), (32, 128), (64, 256), (128, 512)),
        sigma: float = 0.4,
        with_deform: bool = False,
        deform_groups: int = 4,
        init_cfg: Any = INIT_CFG,
        **kwargs: Any,
    ) -> None:
        self.base_edge_list, self.scale_ranges, self.sigma = base_edge_list, scale_ranges, sigma
        self.with_deform, self.deform_groups = with_deform, deform_groups
        super().__init__(num_classes, in_channels, init_cfg=init_cfg, **kwargs)

    def _init_layers(self) -> None:
        self.reg_convs = self._tower()
        self.conv_reg = nn.Conv2d(self.feat_channels, 4, 3, padding=1)
        if not self.with_deform:
            self.cls_convs = self._tower()
            self.conv_cls = nn.Conv2d(self.feat_channels, self.cls_out_channels, 3, padding=1)
            return
        wide = 4 * self.feat_channels
        common: dict[str, Any] = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg}
        self.cls_convs = nn.ModuleList(
            (
                ConvModule(self.feat_channels, wide, 3, padding=1, **common),
                ConvModule(wide, wide, 1, **common),
            )
        )
        self.feature_adaption = FeatureAlign(
            self.feat_channels, self.feat_channels, kernel_size=3, deform_groups=self.deform_groups
        )
        self.conv_cls = nn.Conv2d(wide, self.cls_out_channels, 3, padding=1)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits (B, C, H, W) and logarithms of distances (B, 4, H, W), a list over levels each."""
        return multi_apply(self.forward_single, x)

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """One level (B, in_channels, H, W): logits and logarithms of distances."""
        bbox_pred = self.conv_reg(run(self.reg_convs, x))
        if self.with_deform:
            x = self.feature_adaption(x, bbox_pred.exp())
        return self.conv_cls(run(self.cls_convs, x)), bbox_pred

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls`` and ``loss_bbox``.

        Args:
            cls_scores: Logits, (B, C, H_l, W_l) each.
            bbox_preds: Logarithms of distances, (B, 4, H_l, W_l) each.
            batch_gt_instances: ``bboxes`` and ``labels`` of each image.
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Not used.
        """
        targets, goal = self.get_targets(map_sizes(cls_scores), batch_gt_instances, cls_scores[0].device)
        scores = flat_levels(cls_scores, self.cls_out_channels).flatten(0, 1)
        boxes = flat_levels(bbox_preds, 4).flatten(0, 1)[targets.pos_inds]
        num_pos = len(targets.pos_inds)
        return {
            "loss_cls": self.loss_cls(
                scores, targets.labels.flatten(), avg_factor=num_pos + len(batch_gt_instances)
            ),
            "loss_bbox": self.loss_bbox(boxes, goal, avg_factor=max(num_pos, 1)),
        }

    @torch.no_grad()
    def get_targets(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        batch_gt_instances: Sequence[InstanceData],
        device: torch.device,
    ) -> tuple[PointTargets, Tensor]:
        """What the points of a batch are to become, and the logarithms of distances (P, 4) of objects.

        Args:
            featmap_sizes: Height and width of each level.
            batch_gt_instances: See `loss_by_feat`.
            device: Where the points are.
        """
        points = torch.cat(self.prior_generator.grid_priors(featmap_sizes, device=device))
        levels = level_numbers(featmap_sizes, device)  # (N,)
        strides = torch.tensor(self.strides, device=device)
        size = torch.tensor(featmap_sizes, device=device).flip(1) - 1  # (L, 2) as last x, last y
        boxes, labels = padded_gts(batch_gt_instances)
        corners = boxes.unsqueeze(2) / strides[:, None]  # (B, G, L, 4)
        half = 0.5 * (corners[..., 2:] - corners[..., :2])
        first = torch.ceil(corners[..., :2] + (1 - self.sigma) * half - 0.5).long()
        last = torch.floor(corners[..., :2] + (1 + self.sigma) * half - 0.5).long()
        first, last = (torch.minimum(cell.clamp(min=0), size) for cell in (first, last))
        lengths = box_area(boxes).sqrt().unsqueeze(-1)  # (B, G, 1)
        low, high = torch.tensor(self.scale_ranges, device=device).unbind(1)
        fits = (lengths >= low) & (lengths <= high)  # (B, G, L)
        cells = torch.div(points, strides[levels].unsqueeze(1), rounding_mode="floor")  # (N, 2)
        inside = ((cells >= first[:, :, levels]) & (cells <= last[:, :, levels])).all(-1)
        found = chosen_targets(points, inside & fits[:, :, levels], boxes, labels, self.num_classes)
        unit = torch.tensor(self.base_edge_list, device=device)[levels[found.pos_inds % len(points)]]
        distances = bbox2distance(found.pos_points, found.pos_gt_bboxes) / unit.unsqueeze(1)
        return found, distances.clamp(min=_LEAST, max=_MOST).log()

    def _decode(
        self, priors: Tensor, bbox_pred: Tensor, level_ids: Tensor, max_shape: tuple[int, int] | Tensor
    ) -> Tensor:
        lengths = bbox_pred.new_tensor(self.base_edge_list)[level_ids].unsqueeze(-1)
        if isinstance(max_shape, Tensor):
            last: Any = max_shape - 1
        else:
            last = (max_shape[0] - 1, max_shape[1] - 1)
        return distance2bbox(priors, bbox_pred.exp() * lengths, last)
