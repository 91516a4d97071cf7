"""The head of YOLOF."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_head import AnchorHead, Cfg
from toolkit.detection.models.dense_heads.base_dense_head import flat_levels, map_sizes
from toolkit.detection.models.utils import reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.model import bias_init_with_prob, constant_init, normal_init
from toolkit.model.cnn import ConvModule, is_norm
from toolkit.structures import InstanceData

_MOST = 1e8


@MODELS.register_module()
class YOLOFHead(AnchorHead):
    """Classes, boxes and objectness, which is part of the classes' logits, of one level (Chen et al., "You
    Only Look One-level Feature", 2021).

    State-dict keys: ``cls_subnet.i.*``, ``bbox_subnet.i.*``, ``cls_score.*``, ``bbox_pred.*``,
    ``object_pred.*``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature map.
        num_cls_convs: Convolutions before the classes.
        num_reg_convs: Convolutions before the boxes and objectness.
        norm_cfg: Config of their norms.
        **kwargs: Those of `AnchorHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_cls_convs: int = 2,
        num_reg_convs: int = 4,
        norm_cfg: Cfg = {"type": "BN", "requires_grad": True},  # noqa: B006 - read only
        **kwargs: Any,
    ) -> None:
        self.num_cls_convs, self.num_reg_convs, self.norm_cfg = num_cls_convs, num_reg_convs, norm_cfg
        super().__init__(num_classes, in_channels, **kwargs)

    def _init_layers(self) -> None:
        width, anchors = self.in_channels, self.num_base_priors
        self.cls_subnet, self.bbox_subnet = (
            nn.Sequential(
                *(ConvModule(width, width, 3, padding=1, norm_cfg=self.norm_cfg) for _ in range(count))
            )
            for count in (self.num_cls_convs, self.num_reg_convs)
        )
        self.cls_score = nn.Conv2d(width, anchors * self.num_classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(width, anchors * 4, 3, padding=1)
        self.object_pred = nn.Conv2d(width, anchors, 3, padding=1)

    def init_weights(self) -> None:
        """Small random weights; classes start at a probability of 0.01."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, mean=0, std=0.01)
            if is_norm(module):
                constant_init(module, 1)
        assert self.cls_score.bias is not None
        nn.init.constant_(self.cls_score.bias, bias_init_with_prob(0.01))

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, A·C, H, W) and regressions (B, A·4, H, W) of a map (B, in_channels, H, W)."""
        regressed = self.bbox_subnet(x)
        scores = self.cls_score(self.cls_subnet(x)).unflatten(1, (-1, self.num_classes))
        objectness = self.object_pred(regressed).unsqueeze(2)
        # the logit of the product of both probabilities
        both = scores.exp().clamp(max=_MOST) + objectness.exp().clamp(max=_MOST)
        return (scores + objectness - torch.log(1.0 + both)).flatten(1, 2), self.bbox_pred(regressed)

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls`` and ``loss_bbox``; arguments as `AnchorHead.loss_by_feat`."""
        sizes, device = map_sizes(cls_scores), cls_scores[0].device
        anchors = torch.cat(self.prior_generator.grid_priors(sizes, device=device))
        regressed = flat_levels(bbox_preds, 4)
        boxes = self.bbox_coder.decode(anchors.expand_as(regressed), regressed)
        found = [InstanceData(decoder_priors=one) for one in boxes.detach()]
        targets = self.get_targets(
            sizes, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore, device, found
        )
        avg_factor = reduce_mean(torch.as_tensor(targets.avg_factor, dtype=torch.float))
        chosen, goals, weights = [], [], []
        for one, inside, mine in zip(targets.assigned, targets.places, boxes, strict=True):
            places = one.get_extra_property("pos_places")
            chosen.append(mine[places if inside is None else inside[places]])
            goals.append(one.get_extra_property("target_boxes"))
            weights.append(one.get_extra_property("pos_idx"))
        scores = flat_levels(cls_scores, self.cls_out_channels).flatten(0, 1)
        weight = torch.cat(weights).to(boxes.dtype)
        return {
            "loss_cls": self.loss_cls(scores, targets.labels, targets.label_weights, avg_factor=avg_factor),
            "loss_bbox": self.loss_bbox(torch.cat(chosen), torch.cat(goals), weight, avg_factor=avg_factor),
        }
