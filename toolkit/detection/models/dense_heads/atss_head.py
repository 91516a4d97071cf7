"""The head of ATSS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_head import AnchorHead, Cfg
from toolkit.detection.models.dense_heads.base_dense_head import flat_levels, map_sizes
from toolkit.detection.models.dense_heads.towers import normal_init_cfg, run, tower
from toolkit.detection.models.utils import multi_apply, reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import Scale
from toolkit.structures import InstanceData

_NORM = {"type": "GN", "num_groups": 32, "requires_grad": True}
_CENTERNESS = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}
_INIT = normal_init_cfg("atss_cls")


@MODELS.register_module()
class ATSSHead(AnchorHead):
    """Classes, boxes and centerness, for anchors that `ATSSAssigner` chooses (Zhang et al., "Bridging the Gap
    Between Anchor-based and Anchor-free Detection", 2019).

    State-dict keys: ``cls_convs.i.*``, ``reg_convs.i.*``, ``atss_cls.*``, ``atss_reg.*``,
    ``atss_centerness.*``, ``scales.i.scale``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        pred_kernel_size: Of the convolutions that predict.
        stacked_convs: Convolutions a tower.
        conv_cfg: Config of the towers' convolutions.
        norm_cfg: Config of the towers' norms.
        reg_decoded_bbox: The loss of boxes is of decoded boxes.
        loss_centerness: Config of the loss of centerness.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `AnchorHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        pred_kernel_size: int = 3,
        stacked_convs: int = 4,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = _NORM,
        reg_decoded_bbox: bool = True,
        loss_centerness: Cfg = _CENTERNESS,
        init_cfg: Any = _INIT,
        **kwargs: Any,
    ) -> None:
        self.pred_kernel_size, self.stacked_convs = pred_kernel_size, stacked_convs
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        super().__init__(
            num_classes, in_channels, reg_decoded_bbox=reg_decoded_bbox, init_cfg=init_cfg, **kwargs
        )
        self.loss_centerness = MODELS.build(loss_centerness)

    def _init_layers(self) -> None:
        args = (self.in_channels, self.feat_channels, self.stacked_convs, self.conv_cfg, self.norm_cfg)
        self.cls_convs, self.reg_convs = tower(*args), tower(*args)
        self.atss_cls = self._predictor(self.cls_out_channels)
        self.atss_reg = self._predictor(4)
        self.atss_centerness = self._predictor(1)
        self.scales = nn.ModuleList(Scale(1.0) for _ in self.prior_generator.strides)

    def _predictor(self, channels: int) -> nn.Conv2d:
        kernel = self.pred_kernel_size
        in_channels = self.feat_channels if self.stacked_convs else self.in_channels
        return nn.Conv2d(in_channels, self.num_base_priors * channels, kernel, padding=kernel // 2)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits, regressions and logits of centerness, a list over levels each."""
        return multi_apply(self.forward_single, x, self.scales)

    def forward_single(self, x: Tensor, scale: nn.Module) -> tuple[Tensor, ...]:  # type: ignore[override]
        """One level (B, in_channels, H, W): (B, A·C, H, W), (B, A·4, H, W) and (B, A, H, W)."""
        regressed = run(self.reg_convs, x)
        boxes = scale(self.atss_reg(regressed)).float()
        return self.atss_cls(run(self.cls_convs, x)), boxes, self.atss_centerness(regressed)

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        centernesses: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_bbox`` and ``loss_centerness``; arguments as `AnchorHead.loss_by_feat`.

        Args:
            cls_scores: See there.
            bbox_preds: See there.
            centernesses: Logits of centerness, (B, A, H_l, W_l) each.
            batch_gt_instances: See there.
            batch_img_metas: See there.
            batch_gt_instances_ignore: See there.
        """
        targets = self.get_targets(
            map_sizes(cls_scores),
            batch_gt_instances,
            batch_img_metas,
            batch_gt_instances_ignore,
            cls_scores[0].device,
        )
        avg_factor = reduce_mean(torch.as_tensor(targets.avg_factor, dtype=torch.float))
        scores = flat_levels(cls_scores, self.cls_out_channels).flatten(0, 1)
        boxes = flat_levels(bbox_preds, 4).flatten(0, 1)[targets.pos_inds]
        centerness = flat_levels(centernesses, 1).flatten()[targets.pos_inds]
        goal = self.centerness_target(targets.pos_anchors, targets.pos_gt_bboxes)
        total = reduce_mean(goal.sum()).clamp(min=1)
        return {
            "loss_cls": self.loss_cls(scores, targets.labels, targets.label_weights, avg_factor=avg_factor),
            "loss_bbox": self._loss_of_boxes(boxes, targets, weight=goal, avg_factor=total),
            "loss_centerness": self.loss_centerness(centerness, goal, avg_factor=avg_factor),
        }

    def centerness_target(self, anchors: Tensor, gts: Tensor) -> Tensor:
        """How central anchors (P, 4) are in boxes (P, 4) that their centres are in: (P,) from 0 to 1.

        The geometric mean of the ratios of the distances to opposite sides (Tian et al., "FCOS", 2019).
        """
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        before, behind = centres - gts[:, :2], gts[:, 2:] - centres
        return (torch.minimum(before, behind) / torch.maximum(before, behind)).prod(1).sqrt()
