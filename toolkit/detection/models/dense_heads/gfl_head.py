"""The head of generalized focal loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_head import AnchorHead, Cfg
from toolkit.detection.models.dense_heads.anchor_targets import AnchorTargets
from toolkit.detection.models.dense_heads.base_dense_head import flat_levels, map_sizes
from toolkit.detection.models.dense_heads.towers import normal_init_cfg, run, tower
from toolkit.detection.models.utils import bbox_overlaps, multi_apply, reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import Scale
from toolkit.structures import InstanceData

_NORM = {"type": "GN", "num_groups": 32, "requires_grad": True}
_DFL = {"type": "DistributionFocalLoss", "loss_weight": 0.25}
_INIT = normal_init_cfg("gfl_cls")


class Integral(nn.Module):
    """Means of discrete distributions over 0 to `reg_max`.

    Args:
        reg_max: The largest value.
    """

    project: Tensor

    def __init__(self, reg_max: int = 16) -> None:
        super().__init__()
        self.reg_max = reg_max
        self.register_buffer("project", torch.linspace(0, reg_max, reg_max + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (..., 4·(reg_max + 1)) to the four means (..., 4)."""
        return x.unflatten(-1, (4, self.reg_max + 1)).softmax(-1) @ self.project.type_as(x)


@MODELS.register_module()
class GFLHead(AnchorHead):
    """Scores that are qualities and sides that are distributions (Li et al., "Generalized Focal Loss", 2020).

    State-dict keys: ``cls_convs.i.*``, ``reg_convs.i.*``, ``gfl_cls.*``, ``gfl_reg.*``, ``scales.i.scale``,
    ``integral.project``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        stacked_convs: Convolutions a tower.
        conv_cfg: Config of the towers' convolutions.
        norm_cfg: Config of the towers' norms.
        loss_dfl: Config of the loss of the distributions.
        bbox_coder: Config of the box coder: of distances from a point.
        reg_max: The largest distance that a distribution reaches, in strides.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `AnchorHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        stacked_convs: int = 4,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = _NORM,
        loss_dfl: Cfg = _DFL,
        bbox_coder: Cfg = {"type": "DistancePointBBoxCoder"},  # noqa: B006 - read only
        reg_max: int = 16,
        init_cfg: Any = _INIT,
        **kwargs: Any,
    ) -> None:
        self.stacked_convs, self.conv_cfg, self.norm_cfg = stacked_convs, conv_cfg, norm_cfg
        self.reg_max = reg_max
        super().__init__(num_classes, in_channels, bbox_coder=bbox_coder, init_cfg=init_cfg, **kwargs)
        self.integral = Integral(reg_max)
        self.loss_dfl = MODELS.build(loss_dfl)

    def _init_layers(self) -> None:
        args = (self.in_channels, self.feat_channels, self.stacked_convs, self.conv_cfg, self.norm_cfg)
        self.cls_convs, self.reg_convs = tower(*args), tower(*args)
        self.gfl_cls = nn.Conv2d(self.feat_channels, self.cls_out_channels, 3, padding=1)
        self.gfl_reg = nn.Conv2d(self.feat_channels, self._box_channels, 3, padding=1)
        self.scales = nn.ModuleList(Scale(1.0) for _ in self.prior_generator.strides)

    @property
    def _box_channels(self) -> int:
        return 4 * (self.reg_max + 1)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits of qualities and of distributions, a list over levels each."""
        return multi_apply(self.forward_single, x, self.scales)

    def forward_single(self, x: Tensor, scale: nn.Module) -> tuple[Tensor, ...]:  # type: ignore[override]
        """One level (B, in_channels, H, W): (B, C, H, W) and (B, 4·(reg_max + 1), H, W)."""
        boxes = scale(self.gfl_reg(run(self.reg_convs, x))).float()
        return self.gfl_cls(run(self.cls_convs, x)), boxes

    def anchor_center(self, anchors: Tensor) -> Tensor:
        """The centres (..., 2) of anchors (..., 4)."""
        return (anchors[..., :2] + anchors[..., 2:]) / 2

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_bbox`` and ``loss_dfl``; arguments as `AnchorHead.loss_by_feat`."""
        sizes = map_sizes(cls_scores)
        targets = self.get_targets(
            sizes, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore, cls_scores[0].device
        )
        avg_factor = reduce_mean(torch.as_tensor(targets.avg_factor, dtype=torch.float))
        scores = flat_levels(cls_scores, self.cls_out_channels).flatten(0, 1)
        sides = flat_levels(bbox_preds, self._box_channels).flatten(0, 1)[targets.pos_inds]
        weight = scores.detach()[targets.pos_inds].amax(1).sigmoid()
        losses, quality = self._losses_of_sides(
            sides, weight, targets, self._strides_at(targets.pos_inds, sizes)
        )
        qualities = scores.new_zeros(len(scores)).index_put_((targets.pos_inds,), quality.to(scores.dtype))
        losses["loss_cls"] = self.loss_cls(
            scores, (targets.labels, qualities), targets.label_weights, avg_factor=avg_factor
        )
        return losses

    def _losses_of_sides(
        self, sides: Tensor, weight: Tensor, targets: AnchorTargets, strides: Tensor
    ) -> tuple[dict[str, Any], Tensor]:
        """Losses of the distributions (P, channels) of objects, and the overlaps (P,) with their boxes."""
        strides = strides.unsqueeze(1)
        points = self.anchor_center(targets.pos_anchors) / strides
        goal = targets.pos_gt_bboxes / strides
        boxes = self.bbox_coder.decode(points, self.integral(sides))
        quality = bbox_overlaps(boxes.detach(), goal, is_aligned=True)
        total = reduce_mean(weight.sum()).clamp(min=1)
        distances = self.bbox_coder.encode(points, goal, self.reg_max)
        losses = {
            "loss_bbox": self.loss_bbox(boxes, goal, weight=weight, avg_factor=total),
            "loss_dfl": self.loss_dfl(
                sides.reshape(-1, self.reg_max + 1),
                distances.flatten(),
                weight=weight.repeat_interleave(4),
                avg_factor=4 * total,
            ),
        }
        return losses, quality

    def _decode(
        self, priors: Tensor, bbox_pred: Tensor, level_ids: Tensor, max_shape: tuple[int, int] | Tensor
    ) -> Tensor:
        strides = priors.new_tensor([float(stride[0]) for stride in self.prior_generator.strides])
        distances = self.integral(bbox_pred) * strides[level_ids].unsqueeze(-1)
        return self.bbox_coder.decode(self.anchor_center(priors), distances, max_shape=max_shape)
