"""The head of VarifocalNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.dense_heads.anchor_free_head import FOCAL_LOSS
from toolkit.detection.models.dense_heads.anchor_targets import AnchorTargetMixin
from toolkit.detection.models.dense_heads.base_dense_head import Cfg, flat_levels, map_sizes
from toolkit.detection.models.dense_heads.fcos_head import FCOSHead
from toolkit.detection.models.dense_heads.towers import normal_init_cfg, run
from toolkit.detection.models.task_modules import (
    MlvlPointGenerator,
    PseudoSampler,
    build_assigner,
    build_sampler,
)
from toolkit.detection.models.utils import bbox_overlaps, multi_apply, reduce_mean
from toolkit.detection.registry import MODELS, TASK_UTILS
from toolkit.detection.structures import DetDataSample
from toolkit.model.cnn import ConvModule, DeformConv2d, Scale
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

_RANGES = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8))
_VFL = {
    "type": "VarifocalLoss",
    "use_sigmoid": True,
    "alpha": 0.75,
    "gamma": 2.0,
    "iou_weighted": True,
    "loss_weight": 1.0,
}
_ANCHORS = {
    "type": "AnchorGenerator",
    "ratios": [1.0],
    "octave_base_scale": 8,
    "scales_per_octave": 1,
    "center_offset": 0.0,
    "strides": [8, 16, 32, 64, 128],
}
_NORM = {"type": "GN", "num_groups": 32, "requires_grad": True}
_INIT = normal_init_cfg("vfnet_cls")
_NORM_TYPES = ("reg_denom", "stride")


@MODELS.register_module()
class VFNetHead(FCOSHead, AnchorTargetMixin):  # type: ignore[misc]
    """Boxes, refined at nine points of their own, and scores that are qualities (Zhang et al.,
    "VarifocalNet", 2020).

    State-dict keys: ``cls_convs.*``, ``reg_convs.*``, ``vfnet_reg_conv.*``, ``vfnet_reg.*``, ``scales.*``,
    ``vfnet_reg_refine_dconv.*``, ``vfnet_reg_refine.*``, ``scales_refine.*``, ``vfnet_cls_dconv.*``,
    ``vfnet_cls.*``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        regress_ranges: See `FCOSHead`; with `bbox_norm_type` 'reg_denom' distances are in the ends of these.
        center_sampling: See `FCOSHead`.
        center_sample_radius: See `FCOSHead`.
        sync_num_pos: The number of objects is averaged over all processes.
        gradient_mul: How much of the gradient goes through the offsets into the first boxes.
        bbox_norm_type: 'reg_denom', or 'stride' for distances in strides.
        loss_cls_fl: Config of the loss of classes without `use_vfl`.
        use_vfl: The loss of classes is of qualities.
        loss_cls: Config of that.
        loss_bbox: Config of the loss of the first boxes.
        loss_bbox_refine: Config of the loss of the refined ones.
        norm_cfg: Config of the towers' norms.
        use_atss: Objects are chosen by ``train_cfg.assigner`` from anchors, in place of FCOS's rule.
        reg_decoded_bbox: Accepted for configs of MMDetection; boxes are compared decoded.
        anchor_generator: Config of these anchors.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `AnchorFreeHead`.

    Raises:
        BuildError: `bbox_norm_type` is another.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        regress_ranges: Sequence[Sequence[float]] = _RANGES,
        center_sampling: bool = False,
        center_sample_radius: float = 1.5,
        sync_num_pos: bool = True,
        gradient_mul: float = 0.1,
        bbox_norm_type: str = "reg_denom",
        loss_cls_fl: Cfg = FOCAL_LOSS,
        use_vfl: bool = True,
        loss_cls: Cfg = _VFL,
        loss_bbox: Cfg = {"type": "GIoULoss", "loss_weight": 1.5},  # noqa: B006 - read only
        loss_bbox_refine: Cfg = {"type": "GIoULoss", "loss_weight": 2.0},  # noqa: B006 - read only
        norm_cfg: Cfg | None = _NORM,
        use_atss: bool = True,
        reg_decoded_bbox: bool = True,
        anchor_generator: Cfg = _ANCHORS,
        init_cfg: Any = _INIT,
        **kwargs: Any,
    ) -> None:
        if bbox_norm_type not in _NORM_TYPES:
            raise BuildError(f"bbox_norm_type must be one of {_NORM_TYPES}, got {bbox_norm_type!r}")
        self.sync_num_pos, self.gradient_mul, self.use_vfl = sync_num_pos, gradient_mul, use_vfl
        self.bbox_norm_type, self.use_atss = bbox_norm_type, use_atss
        self.reg_decoded_bbox = reg_decoded_bbox
        super().__init__(
            num_classes,
            in_channels,
            regress_ranges=regress_ranges,
            center_sampling=center_sampling,
            center_sample_radius=center_sample_radius,
            loss_cls=loss_cls if use_vfl else loss_cls_fl,
            loss_bbox=loss_bbox,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg,
            **kwargs,
        )
        ends = [float(one[-1]) for one in regress_ranges]
        self.reg_denoms = [*ends[:-1], ends[-2] * 2]
        self.loss_bbox_refine = MODELS.build(loss_bbox_refine)
        if self.train_cfg is not None and use_atss:
            self.assigner = build_assigner(self.train_cfg["assigner"])
            sampler = self.train_cfg.get("sampler")
            self.sampler = PseudoSampler() if sampler is None else build_sampler(sampler, context=self)
        self.atss_prior_generator = TASK_UTILS.build(anchor_generator)
        offset = anchor_generator.get("center_offset", 0.0) if use_atss else 0.5
        self.prior_generator = MlvlPointGenerator(anchor_generator["strides"], offset)

    @property
    def target_priors(self) -> Any:
        """See `AnchorTargetMixin`."""
        return self.atss_prior_generator

    def _init_predictor(self) -> None:
        width = self.feat_channels
        self.vfnet_reg_conv = ConvModule(
            width,
            width,
            3,
            padding=1,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            bias=self.conv_bias,
        )
        self.vfnet_reg = nn.Conv2d(width, 4, 3, padding=1)
        self.scales = nn.ModuleList(Scale(1.0) for _ in self.strides)
        self.vfnet_reg_refine_dconv = DeformConv2d(width, width, 3, padding=1)
        self.vfnet_reg_refine = nn.Conv2d(width, 4, 3, padding=1)
        self.scales_refine = nn.ModuleList(Scale(1.0) for _ in self.strides)
        self.vfnet_cls_dconv = DeformConv2d(width, width, 3, padding=1)
        self.vfnet_cls = nn.Conv2d(width, self.cls_out_channels, 3, padding=1)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits (B, C, H, W) and refined distances (B, 4, H, W) in pixels, a list over levels each.

        While training the first distances stand between them.
        """
        scores, first, refined = self._all_maps(x)
        return (scores, first, refined) if self.training else (scores, refined)

    def _all_maps(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        units = self.reg_denoms if self.bbox_norm_type == "reg_denom" else self.strides
        return multi_apply(self._level_maps, x, self.scales, self.scales_refine, self.strides, units)

    def _level_maps(
        self, x: Tensor, scale: nn.Module, scale_refine: nn.Module, stride: int, unit: float
    ) -> tuple[Tensor, ...]:
        classified, regressed = run(self.cls_convs, x), run(self.reg_convs, x)
        first = scale(self.vfnet_reg(self.vfnet_reg_conv(regressed))).float().exp() * unit
        offset = self.star_dcn_offset(first, self.gradient_mul, stride).to(regressed.dtype)
        regressed = F.relu(self.vfnet_reg_refine_dconv(regressed, offset))
        refined = scale_refine(self.vfnet_reg_refine(regressed)).float().exp() * first.detach()
        return self.vfnet_cls(F.relu(self.vfnet_cls_dconv(classified, offset))), first, refined

    def star_dcn_offset(self, bbox_pred: Tensor, gradient_mul: float, stride: int) -> Tensor:
        """Offsets (B, 18, H, W) that put the nine taps on a box's centre, corners and sides' middles.

        Args:
            bbox_pred: Distances to the sides in pixels, (B, 4, H, W).
            gradient_mul: How much of the gradient goes through.
            stride: Of the map, in pixels.
        """
        box = ((1 - gradient_mul) * bbox_pred.detach() + gradient_mul * bbox_pred) / stride
        left, top, right, bottom = box.unbind(1)
        none = torch.zeros_like(left)
        down = (1 - top, none, bottom - 1)  # less where a plain convolution's taps are already
        across = (1 - left, none, right - 1)
        return torch.stack([one for y in down for x in across for one in (y, x)], dim=1)

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[DetDataSample]) -> dict[str, Any]:
        """See `BaseDenseHead.loss`."""
        return self._loss_of(self._all_maps(x), batch_data_samples)

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        bbox_preds_refine: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_bbox`` and ``loss_bbox_rf``.

        Args:
            cls_scores: Logits, (B, C, H_l, W_l) each.
            bbox_preds: First distances, (B, 4, H_l, W_l) each.
            bbox_preds_refine: Refined distances.
            batch_gt_instances: ``bboxes`` and ``labels`` of each image.
            batch_img_metas: ``img_shape`` and ``pad_shape`` of each image.
            batch_gt_instances_ignore: ``bboxes`` of ignored regions of each image.
        """
        sizes, device = map_sizes(cls_scores), cls_scores[0].device
        weights = None
        targets: Any
        if self.use_atss:
            targets = AnchorTargetMixin.get_targets(
                self, sizes, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore, device
            )
            weights = targets.label_weights
            points = torch.cat(self.prior_generator.grid_priors(sizes, device=device))
            points = points[targets.pos_inds % len(points)]
        else:
            targets, _ = self.get_targets(sizes, batch_gt_instances, device)
            points = targets.pos_points
        labels, inds, goal = targets.labels.flatten(), targets.pos_inds, targets.pos_gt_bboxes
        scores = flat_levels(cls_scores, self.cls_out_channels).flatten(0, 1)
        num_pos = points.new_tensor(float(len(inds)))
        num_pos = (reduce_mean(num_pos) if self.sync_num_pos else num_pos).clamp(min=1)
        losses = {}
        quality = points.new_zeros(0)
        for name, loss, maps in (
            ("loss_bbox", self.loss_bbox, bbox_preds),
            ("loss_bbox_rf", self.loss_bbox_refine, bbox_preds_refine),
        ):
            boxes = self.bbox_coder.decode(points, flat_levels(maps, 4).flatten(0, 1)[inds])
            quality = bbox_overlaps(boxes.detach(), goal, is_aligned=True).clamp(min=1e-6)
            total = reduce_mean(quality.sum()).clamp(min=1)
            losses[name] = loss(boxes, goal, weight=quality, avg_factor=total)
        if self.use_vfl:
            qualities = scores.new_zeros(len(scores)).index_put_((inds,), quality.to(scores.dtype))
            losses["loss_cls"] = self.loss_cls(scores, (labels, qualities), avg_factor=num_pos)
        else:
            losses["loss_cls"] = self.loss_cls(scores, labels, weight=weights, avg_factor=num_pos)
        return losses
