"""The heads of RTMDet-Ins, with masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.dense_heads.anchor_head import AnchorTargets, Cfg
from toolkit.detection.models.dense_heads.base_dense_head import Meta, flat_levels, map_sizes
from toolkit.detection.models.dense_heads.rtmdet_head import RTMDetHead, SeparateNorms
from toolkit.detection.models.dense_heads.towers import run, tower
from toolkit.detection.models.layers.dynamic_masks import DynamicMasks
from toolkit.detection.models.utils import reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.structures import InstanceData

_LOSS_MASK = {"type": "DiceLoss", "loss_weight": 2.0, "eps": 5e-6, "reduction": "mean"}
# Relative coordinates are in units of this many strides.
_COORD_UNIT = 8


class MaskFeatModule(BaseModule):
    """Prototypes of masks from a pyramid, at the size of its finest map.

    State-dict keys: ``fusion_conv.*``, ``stacked_convs.i.*`` and ``projection.*``.

    Args:
        in_channels: Channels of the maps.
        feat_channels: Channels inside.
        stacked_convs: How many convolutions.
        num_levels: How many maps.
        num_prototypes: Channels of the output.
        act_cfg: Config of the activations.
        norm_cfg: Config of the norms.
    """

    def __init__(
        self,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 4,
        num_levels: int = 3,
        num_prototypes: int = 8,
        act_cfg: Cfg | None = {"type": "ReLU", "inplace": True},  # noqa: B006 - read only
        norm_cfg: Cfg | None = {"type": "BN"},  # noqa: B006 - read only
    ) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.fusion_conv = nn.Conv2d(num_levels * in_channels, in_channels, 1)
        convs = tower(in_channels, feat_channels, stacked_convs, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.stacked_convs = nn.Sequential(*convs)
        self.projection = nn.Conv2d(feat_channels, num_prototypes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Maps (B, in_channels, H_l, W_l), finest first, to (B, num_prototypes, H_0, W_0)."""
        size = features[0].shape[-2:]
        coarse = (F.interpolate(x, size=size, mode="bilinear") for x in features[1 : self.num_levels])
        fused = self.fusion_conv(torch.cat((features[0], *coarse), dim=1))
        return self.projection(self.stacked_convs(fused))


@MODELS.register_module()
class RTMDetInsHead(RTMDetHead):
    """The head of RTMDet with a branch that predicts the weights of small networks for masks.

    Each object's network takes the prototypes and the coordinates relative to its point (Tian et al.,
    "Conditional Convolutions for Instance Segmentation", 2020). State-dict keys: those of `RTMDetHead`,
    ``kernel_convs.i.*``, ``rtm_kernel.*`` and ``mask_head.*``.

    Args:
        *args: Those of `RTMDetHead`.
        num_prototypes: Channels of the prototypes.
        dyconv_channels: Channels inside the small networks.
        num_dyconvs: Their layers.
        mask_loss_stride: Masks are compared at every so many-th pixel.
        loss_mask: Config of the loss of masks.
        **kwargs: Those of `RTMDetHead`. ``test_cfg`` has a ``mask_thr_binary``, too.
    """

    kept = ("level_ids", "places")

    def __init__(
        self,
        *args: Any,
        num_prototypes: int = 8,
        dyconv_channels: int = 8,
        num_dyconvs: int = 3,
        mask_loss_stride: int = 4,
        loss_mask: Cfg = _LOSS_MASK,
        **kwargs: Any,
    ) -> None:
        self.num_prototypes, self.mask_loss_stride = num_prototypes, mask_loss_stride
        self.dynamic_masks = DynamicMasks(num_prototypes, dyconv_channels, num_dyconvs)
        super().__init__(*args, **kwargs)
        self.loss_mask = MODELS.build(loss_mask)

    def _init_layers(self) -> None:
        super()._init_layers()
        self.kernel_convs: nn.ModuleList = self._tower()
        self.rtm_kernel: nn.Module = self._predictor(self.dynamic_masks.num_params)
        self.mask_head = self._mask_head()

    def _mask_head(self) -> MaskFeatModule:
        return MaskFeatModule(
            self.in_channels,
            self.feat_channels,
            num_levels=len(self.prior_generator.strides),
            num_prototypes=self.num_prototypes,
            act_cfg=self.act_cfg,
            norm_cfg=self.norm_cfg,
        )

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, ...]:
        """Logits, distances and parameters of small networks (B, P, H, W), lists over levels; prototypes."""
        scores, boxes = super().forward(feats)
        kernels = [
            self._layer("rtm_kernel", level)(run(self._layer("kernel_convs", level), x))
            for level, x in enumerate(feats)
        ]
        return scores, boxes, kernels, self.mask_head(feats)

    def _distances(self, level: int, regressions: Tensor) -> Tensor:
        return self.scales[level](regressions)

    @torch.no_grad()
    def predict_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        kernel_preds: list[Tensor],
        mask_feat: Tensor,
        score_factors: list[Tensor] | None = None,
        batch_img_metas: Sequence[Meta] = (),
        cfg: Cfg | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """From maps to detections with ``masks``, (K, H, W) bool.

        Masks have the size of the original image with `rescale`, else that of the batch. Arguments as
        `BaseDenseHead.predict_by_feat`, and the networks' parameters and the prototypes.
        """
        cfg = self.test_cfg if cfg is None else cfg
        assert cfg is not None, "a head needs test_cfg to predict"
        results = super().predict_by_feat(
            cls_scores, bbox_preds, score_factors, batch_img_metas, cfg, rescale, with_nms
        )
        sizes = map_sizes(cls_scores)
        firsts = torch.tensor([0, *(h * w for h, w in sizes)]).cumsum(0).to(mask_feat.device)
        priors = torch.cat(self.prior_generator.grid_priors(sizes, device=mask_feat.device, with_stride=True))
        for i, (found, meta) in enumerate(zip(results, batch_img_metas, strict=True)):
            index = firsts[found.pop("level_ids")] + found.pop("places")
            kernels = torch.cat([kernel[i].flatten(1) for kernel in kernel_preds], dim=1)[:, index].T
            logits = self._mask_logits(mask_feat[i], kernels, priors[index])
            found.masks = self._full_masks(logits, meta, cfg["mask_thr_binary"], rescale)
        return results

    def _mask_logits(self, mask_feat: Tensor, kernels: Tensor, priors: Tensor) -> Tensor:
        """Logits (K, H, W) from prototypes (C, H, W), parameters (K, P), and points with strides (K, 4)."""
        height, width = mask_feat.shape[-2:]
        coords = self.prior_generator.single_level_grid_priors((height, width), 0, device=mask_feat.device)
        coords = coords.view(height, width, 2)
        return self.dynamic_masks(mask_feat, kernels, coords, priors[:, :2], priors[:, 2] * _COORD_UNIT)

    def _full_masks(self, logits: Tensor, meta: Meta, threshold: float, rescale: bool) -> Tensor:
        """Masks (K, H, W) bool of full size from logits (K, h, w)."""
        if not len(logits):
            height, width = meta["ori_shape" if rescale else "img_shape"][:2]
            return logits.new_zeros((0, height, width), dtype=torch.bool)
        stride = self.prior_generator.strides[0][0]
        logits = F.interpolate(logits[None], scale_factor=stride, mode="bilinear")
        if rescale:
            (height, width), (scale_x, scale_y) = meta["ori_shape"][:2], meta["scale_factor"]
            size = [math.ceil(logits.shape[-2] / scale_y), math.ceil(logits.shape[-1] / scale_x)]
            logits = F.interpolate(logits, size=size, mode="bilinear")[..., :height, :width]
        return logits[0].sigmoid_() > threshold

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        kernel_preds: list[Tensor],
        mask_feat: Tensor,
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_bbox`` and ``loss_mask``.

        Args:
            cls_scores: Logits, (B, C, H_l, W_l) each.
            bbox_preds: Distances in pixels, (B, 4, H_l, W_l) each.
            kernel_preds: Parameters of the small networks, (B, P, H_l, W_l) each.
            mask_feat: Prototypes, (B, num_prototypes, H_0, W_0).
            batch_gt_instances: ``bboxes``, ``labels`` and ``masks`` of each image, of the batch's size.
            batch_img_metas: ``img_shape`` and ``pad_shape`` of each image.
            batch_gt_instances_ignore: ``bboxes`` of ignored regions of each image.
        """
        gts = [
            InstanceData(
                bboxes=gt.bboxes,
                labels=gt.labels,
                masks=gt.masks
                if isinstance(gt.masks, Tensor)
                else gt.masks.to_tensor(dtype=torch.bool, device=mask_feat.device),
            )
            for gt in batch_gt_instances
        ]
        losses, targets = self._loss_and_targets(
            cls_scores, bbox_preds, gts, batch_img_metas, batch_gt_instances_ignore
        )
        kernels = flat_levels(kernel_preds, self.dynamic_masks.num_params)
        losses["loss_mask"] = self._loss_of_masks(mask_feat, kernels, targets, [gt.masks for gt in gts])
        return losses

    def _loss_of_masks(
        self, mask_feat: Tensor, kernels: Tensor, targets: AnchorTargets, masks: list[Tensor]
    ) -> Tensor:
        """The loss of the masks of the points that are objects.

        Args:
            mask_feat: Prototypes, (B, C, h, w).
            kernels: (B, N, P).
            targets: Of the points.
            masks: Ground truths, (G_i, H, W) each.
        """
        num_pos = reduce_mean(mask_feat.new_full((), len(targets.pos_inds))).clamp(min=1)
        if not len(targets.pos_inds):
            return mask_feat.sum() * 0 + kernels.sum() * 0
        kernels = kernels.flatten(0, 1)[targets.pos_inds]
        image = torch.div(targets.pos_inds, targets.labels.numel() // len(masks), rounding_mode="floor")
        counts = torch.bincount(image, minlength=len(masks)).tolist()
        parts = zip(mask_feat, kernels.split(counts), targets.pos_anchors.split(counts), strict=True)
        logits = torch.cat([self._mask_logits(*part) for part in parts])
        scale = self.prior_generator.strides[0][0] // self.mask_loss_stride
        logits = F.interpolate(logits[None], scale_factor=scale, mode="bilinear")[0]
        goal = torch.cat([self._mask_goal(mask, logits.shape[-2:]) for mask in masks])
        return self.loss_mask(logits, goal[targets.pos_gt_inds], weight=None, avg_factor=num_pos)

    def _mask_goal(self, masks: Tensor, size: Sequence[int]) -> Tensor:
        """Masks (G, H, W) of an image at the stride of their loss, in the size of the padded batch."""
        step = self.mask_loss_stride
        small = masks[:, step // 2 :: step, step // 2 :: step]
        return F.pad(small, (0, size[1] - small.size(2), 0, size[0] - small.size(1)))


@MODELS.register_module()
class RTMDetInsSepBNHead(SeparateNorms, RTMDetInsHead):
    """The head of RTMDet-Ins with norms of their own a level.

    Classes and boxes share one tower: ``reg_convs.*`` are ``cls_convs.*``. State-dict keys:
    ``cls_convs.level.i.*``, ``reg_convs.level.i.*``, ``kernel_convs.level.i.*``, ``rtm_cls.level.*``,
    ``rtm_reg.level.*``, ``rtm_kernel.level.*``, ``rtm_obj.level.*`` where there is objectness, and
    ``mask_head.*``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        share_conv: The levels share the convolutions of classes and boxes.
        with_objectness: See `RTMDetHead`.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        pred_kernel_size: Of the convolutions that predict.
        **kwargs: Those of `RTMDetInsHead`.
    """

    reg_bias = 1.0

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        share_conv: bool = True,
        with_objectness: bool = False,
        norm_cfg: Cfg | None = {"type": "BN", "requires_grad": True},  # noqa: B006 - read only
        act_cfg: Cfg | None = {"type": "SiLU", "inplace": True},  # noqa: B006 - read only
        pred_kernel_size: int = 1,
        **kwargs: Any,
    ) -> None:
        self.share_conv = share_conv
        super().__init__(
            num_classes,
            in_channels,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            pred_kernel_size=pred_kernel_size,
            with_objectness=with_objectness,
            **kwargs,
        )

    def _init_layers(self) -> None:
        levels = range(len(self.prior_generator.strides))
        self.cls_convs = nn.ModuleList(self._tower() for _ in levels)
        # As published checkpoints have it: the very same layers under two names.
        self.reg_convs = nn.ModuleList(self.cls_convs)
        self.kernel_convs = nn.ModuleList(self._tower() for _ in levels)
        self.rtm_cls = nn.ModuleList(self._predictor(self.cls_out_channels) for _ in levels)
        self.rtm_reg = nn.ModuleList(self._predictor(4) for _ in levels)
        self.rtm_kernel = nn.ModuleList(self._predictor(self.dynamic_masks.num_params) for _ in levels)
        self.rtm_obj = nn.ModuleList(self._predictor(1) for _ in levels if self.with_objectness)
        self._share(self.cls_convs)
        self.mask_head = self._mask_head()

    def _distances(self, level: int, regressions: Tensor) -> Tensor:
        return F.relu(regressions)
