"""The heads of RTMDet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_head import AnchorTargets, Cfg
from toolkit.detection.models.dense_heads.atss_head import ATSSHead
from toolkit.detection.models.dense_heads.base_dense_head import flat_levels, map_sizes
from toolkit.detection.models.dense_heads.towers import run
from toolkit.detection.models.layers.csp_layer import NORM_CFG, conv_type
from toolkit.detection.models.layers.transformer.utils import inverse_sigmoid
from toolkit.detection.models.utils import distance2bbox, reduce_mean, sigmoid_geometric_mean
from toolkit.detection.registry import MODELS
from toolkit.model import bias_init_with_prob, constant_init, normal_init
from toolkit.model.cnn import Scale, is_norm
from toolkit.structures import InstanceData

_SILU = {"type": "SiLU"}


@MODELS.register_module()
class RTMDetHead(ATSSHead):
    """Classes and distances to the four sides, trained on soft labels (Lyu et al., "RTMDet", 2022).

    State-dict keys: ``cls_convs.i.*``, ``reg_convs.i.*``, ``rtm_cls.*``, ``rtm_reg.*``, ``rtm_obj.*`` where
    there is objectness, and ``scales.i.scale``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        with_objectness: Scores are geometric means of those of classes and of objectness.
        act_cfg: Config of the towers' activations.
        **kwargs: Those of `ATSSHead`. The ``anchor_generator`` must be a `MlvlPointGenerator`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        with_objectness: bool = True,
        act_cfg: Cfg | None = {"type": "ReLU"},  # noqa: B006 - read only
        **kwargs: Any,
    ) -> None:
        self.act_cfg, self.with_objectness = act_cfg, with_objectness
        super().__init__(num_classes, in_channels, **kwargs)

    def _init_layers(self) -> None:
        self.cls_convs, self.reg_convs = self._tower(), self._tower()
        self.rtm_cls: nn.Module = self._predictor(self.cls_out_channels)
        self.rtm_reg: nn.Module = self._predictor(4)
        if self.with_objectness:
            self.rtm_obj: nn.Module = self._predictor(1)
        self.scales = nn.ModuleList(Scale(1.0) for _ in self.prior_generator.strides)

    def _tower(self, use_depthwise: bool = False) -> nn.ModuleList:
        return nn.ModuleList(
            conv_type(use_depthwise)(
                self.feat_channels if i else self.in_channels,
                self.feat_channels,
                3,
                padding=1,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
            )
            for i in range(self.stacked_convs)
        )

    def _layer(self, name: str, level: int) -> Any:
        """The layers of a name for a level; here they are the same for all levels."""
        return getattr(self, name)

    reg_bias = 0.0
    """What the bias of distances starts at."""

    def init_weights(self) -> None:
        """Small random weights, norms of 1; classes and objectness start at a probability of 0.01."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, mean=0, std=0.01)
            elif is_norm(module):
                constant_init(module, 1)
        start = {"rtm_cls": bias_init_with_prob(0.01), "rtm_reg": self.reg_bias}
        if self.with_objectness:
            start["rtm_obj"] = start["rtm_cls"]
        for name, bias in start.items():
            for level in range(len(self.prior_generator.strides)):
                nn.init.constant_(self._layer(name, level).bias, bias)
        self.is_init = True

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, ...]:
        """Logits (B, C, H, W) and distances in pixels (B, 4, H, W), a list over levels each."""
        scores, boxes = zip(*(self._forward_level(level, x) for level, x in enumerate(feats)), strict=True)
        return list(scores), list(boxes)

    def _forward_level(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        regressed = run(self._layer("reg_convs", level), x)
        scores = self._layer("rtm_cls", level)(run(self._layer("cls_convs", level), x))
        if self.with_objectness:
            objectness = self._layer("rtm_obj", level)(regressed)
            scores = inverse_sigmoid(sigmoid_geometric_mean(scores, objectness))
        distances = self._distances(level, self._layer("rtm_reg", level)(regressed))
        return scores, distances * self.prior_generator.strides[level][0]

    def _distances(self, level: int, regressions: Tensor) -> Tensor:
        """Distances in strides from regressions, any shape."""
        return self.scales[level](regressions.exp()).float()

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls`` and ``loss_bbox``; arguments as `AnchorHead.loss_by_feat`."""
        return self._loss_and_targets(
            cls_scores, bbox_preds, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
        )[0]

    def _loss_and_targets(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        gts: list[InstanceData],
        metas: list[dict[str, Any]],
        ignored: list[InstanceData | None] | None,
    ) -> tuple[dict[str, Any], AnchorTargets]:
        sizes = map_sizes(cls_scores)
        priors = torch.cat(
            self.prior_generator.grid_priors(sizes, device=cls_scores[0].device, with_stride=True)
        )
        scores = flat_levels(cls_scores, self.cls_out_channels)
        boxes = distance2bbox(priors, flat_levels(bbox_preds, 4))
        targets, quality = self._matched(sizes, priors, scores.detach(), boxes.detach(), gts, metas, ignored)
        pos_quality = quality[targets.pos_inds]
        total = reduce_mean(pos_quality.sum()).clamp(min=1)
        losses = {
            "loss_cls": self.loss_cls(
                scores.flatten(0, 1), (targets.labels, quality), targets.label_weights, avg_factor=total
            ),
            "loss_bbox": self.loss_bbox(
                boxes.flatten(0, 1)[targets.pos_inds],
                targets.pos_gt_bboxes,
                weight=pos_quality,
                avg_factor=total,
            ),
        }
        return losses, targets

    @torch.no_grad()
    def _matched(
        self,
        featmap_sizes: list[tuple[int, int]],
        priors: Tensor,
        scores: Tensor,
        boxes: Tensor,
        gts: list[InstanceData],
        metas: list[dict[str, Any]],
        ignored: list[InstanceData | None] | None,
    ) -> tuple[AnchorTargets, Tensor]:
        """What the points of a batch are to become, and how well their boxes fit, (B·N,), 0 for background.

        Args:
            featmap_sizes: Height and width of each level.
            priors: Points with strides, (N, 4).
            scores: Logits, (B, N, C).
            boxes: (B, N, 4).
            gts: ``bboxes`` and ``labels``, and for masks ``masks`` as a tensor, of each image.
            metas: ``img_shape`` and ``pad_shape`` of each image.
            ignored: ``bboxes`` of ignored regions of each image.
        """
        assigned, places = [], []
        quality = scores.new_zeros(scores.shape[:2], dtype=torch.float32)
        for i, (gt, meta) in enumerate(zip(gts, metas, strict=True)):
            inside = self._inside(featmap_sizes, meta, priors.device)
            at = slice(None) if inside is None else inside
            predicted = InstanceData(priors=priors[at], scores=scores[i, at], bboxes=boxes[i, at])
            result = self.assigner.assign(predicted, gt, None if ignored is None else ignored[i])
            quality[i, at] = torch.where(result.gt_inds > 0, result.max_overlaps, 0.0)
            assigned.append(result)
            places.append(inside)
        return self._targets_of_all(priors, assigned, places, gts), quality.flatten()


class SeparateNorms:
    """For heads whose levels have predictors and norms of their own, but the same convolutions.

    ``X.i.*`` of the head is ``X.level.i.*`` here.

    Args:
        share_conv: Whether the convolutions are the same.
    """

    share_conv: bool

    def _layer(self, name: str, level: int) -> Any:
        return getattr(self, name)[level]

    def _share(self, *towers: nn.ModuleList) -> None:
        """Use the convolutions of the first level in all."""
        if self.share_conv:
            for levels in towers:
                layers = [list(level.children()) for level in levels]
                for same in zip(*layers, strict=True):
                    for layer in same[1:]:
                        layer.conv = same[0].conv


@MODELS.register_module()
class RTMDetSepBNHead(SeparateNorms, RTMDetHead):
    """The head of RTMDet with norms of their own a level.

    State-dict keys: ``cls_convs.level.i.*``, ``reg_convs.level.i.*``, ``rtm_cls.level.*``,
    ``rtm_reg.level.*``, and ``rtm_obj.level.*`` where there is objectness.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        share_conv: The levels share their convolutions.
        use_depthwise: The towers' convolutions are depthwise separable.
        norm_cfg: Config of the towers' norms.
        act_cfg: Config of the towers' activations.
        pred_kernel_size: Of the convolutions that predict.
        exp_on_reg: Distances are exponentials.
        **kwargs: Those of `RTMDetHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        share_conv: bool = True,
        use_depthwise: bool = False,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = _SILU,
        pred_kernel_size: int = 1,
        exp_on_reg: bool = False,
        **kwargs: Any,
    ) -> None:
        self.share_conv, self.exp_on_reg, self.use_depthwise = share_conv, exp_on_reg, use_depthwise
        super().__init__(
            num_classes,
            in_channels,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            pred_kernel_size=pred_kernel_size,
            **kwargs,
        )

    def _init_layers(self) -> None:
        levels = range(len(self.prior_generator.strides))
        self.cls_convs = nn.ModuleList(self._tower(self.use_depthwise) for _ in levels)
        self.reg_convs = nn.ModuleList(self._tower(self.use_depthwise) for _ in levels)
        self.rtm_cls = nn.ModuleList(self._predictor(self.cls_out_channels) for _ in levels)
        self.rtm_reg = nn.ModuleList(self._predictor(4) for _ in levels)
        if self.with_objectness:
            self.rtm_obj = nn.ModuleList(self._predictor(1) for _ in levels)
        self._share(self.cls_convs, self.reg_convs)

    def _distances(self, level: int, regressions: Tensor) -> Tensor:
        return regressions.exp() if self.exp_on_reg else regressions
