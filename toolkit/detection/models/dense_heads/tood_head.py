"""The head of TOOD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.dense_heads.anchor_head import Cfg
from toolkit.detection.models.dense_heads.anchor_targets import AnchorTargets
from toolkit.detection.models.dense_heads.atss_head import ATSSHead
from toolkit.detection.models.dense_heads.base_dense_head import flat_levels, map_sizes
from toolkit.detection.models.task_modules import AssignResult, build_assigner
from toolkit.detection.models.utils import distance2bbox, multi_apply, reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.logging import MessageHub
from toolkit.model import bias_init_with_prob, normal_init
from toolkit.model.cnn import ConvModule, Scale, deform_conv2d
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

_INITIAL_LOSS = {
    "type": "FocalLoss",
    "use_sigmoid": True,
    "activated": True,
    "gamma": 2.0,
    "alpha": 0.25,
    "loss_weight": 1.0,
}
_ANCHOR_TYPES = ("anchor_free", "anchor_based")


class TaskDecomposition(nn.Module):
    """Features for one task out of those of all layers, weighted a layer and an image.

    Args:
        feat_channels: Channels of a layer.
        stacked_convs: How many layers there are.
        la_down_rate: How much narrower the attention is inside.
        conv_cfg: Config of the convolution.
        norm_cfg: Config of its norm.
    """

    def __init__(
        self,
        feat_channels: int,
        stacked_convs: int,
        la_down_rate: int = 8,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        self.feat_channels, self.stacked_convs = feat_channels, stacked_convs
        width = feat_channels * stacked_convs
        self.layer_attention = nn.Sequential(
            nn.Conv2d(width, width // la_down_rate, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // la_down_rate, stacked_convs, 1),
            nn.Sigmoid(),
        )
        self.reduction_conv = ConvModule(
            width, feat_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, bias=norm_cfg is None
        )

    def init_weights(self) -> None:
        """Small random weights."""
        for layer in self.layer_attention:
            if isinstance(layer, nn.Conv2d):
                normal_init(layer, std=0.001)
        normal_init(self.reduction_conv.conv, std=0.01)

    def forward(self, feat: Tensor, avg_feat: Tensor) -> Tensor:
        """Features of all layers (B, S·C, H, W) and their means (B, S·C, 1, 1) to (B, C, H, W)."""
        # weighting the layers is weighting the columns of the convolution, which are fewer than the places
        weight = self.layer_attention(avg_feat).view(-1, 1, self.stacked_convs, 1)
        kernel = self.reduction_conv.conv.weight.view(1, self.feat_channels, self.stacked_convs, -1)
        out = torch.bmm((weight * kernel).flatten(2), feat.flatten(2)).unflatten(2, feat.shape[2:])
        if self.reduction_conv.norm is not None:
            out = self.reduction_conv.norm(out)
        return self.reduction_conv.activate(out)


@MODELS.register_module()
class TOODHead(ATSSHead):
    """Both tasks on common features, aligned with each other (Feng et al., "TOOD: Task-aligned One-stage
    Object Detection", 2021).

    State-dict keys: ``inter_convs.i.*``, ``cls_decomp.*``, ``reg_decomp.*``, ``tood_cls.*``, ``tood_reg.*``,
    ``cls_prob_module.*``, ``reg_offset_module.*``, ``scales.i.scale``. Its scores are probabilities, and its
    boxes are in strides.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        num_dcn: How many of the common convolutions, from the first on, are deformable.
        anchor_type: Boxes are distances from points ('anchor_free') or offsets of anchors ('anchor_based').
        initial_loss_cls: Config of the loss of classes in the first epochs.
        **kwargs: Those of `ATSSHead`. ``train_cfg`` has ``initial_epoch``, how many epochs
            ``initial_assigner`` is used before ``assigner``, and ``alpha`` and ``beta`` of the latter.

    Raises:
        BuildError: `anchor_type` is another.
    """

    activated_scores = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_dcn: int = 0,
        anchor_type: str = "anchor_free",
        initial_loss_cls: Cfg = _INITIAL_LOSS,
        **kwargs: Any,
    ) -> None:
        if anchor_type not in _ANCHOR_TYPES:
            raise BuildError(f"anchor_type of TOODHead must be one of {_ANCHOR_TYPES}, got {anchor_type!r}")
        self.num_dcn, self.anchor_type = num_dcn, anchor_type
        super().__init__(num_classes, in_channels, **kwargs)
        if self.train_cfg is not None:
            self.initial_epoch: int = self.train_cfg["initial_epoch"]
            self.alignment_assigner = self.assigner
            self.initial_assigner = build_assigner(self.train_cfg["initial_assigner"])
            self.initial_loss_cls = MODELS.build(initial_loss_cls)

    def _init_layers(self) -> None:
        width, count = self.feat_channels, self.stacked_convs
        deformable = {"type": "DCNv2", "deform_groups": 4}
        self.inter_convs = nn.ModuleList(
            ConvModule(
                width if i else self.in_channels,
                width,
                3,
                padding=1,
                conv_cfg=deformable if i < self.num_dcn else self.conv_cfg,
                norm_cfg=self.norm_cfg,
            )
            for i in range(count)
        )
        self.cls_decomp = TaskDecomposition(width, count, count * 8, self.conv_cfg, self.norm_cfg)
        self.reg_decomp = TaskDecomposition(width, count, count * 8, self.conv_cfg, self.norm_cfg)
        self.tood_cls = nn.Conv2d(width, self.num_base_priors * self.cls_out_channels, 3, padding=1)
        self.tood_reg = nn.Conv2d(width, self.num_base_priors * 4, 3, padding=1)
        self.cls_prob_module = self._aligner(1)
        self.reg_offset_module = self._aligner(4 * 2)
        self.scales = nn.ModuleList(Scale(1.0) for _ in self.prior_generator.strides)

    def _aligner(self, channels: int) -> nn.Sequential:
        width = self.feat_channels
        return nn.Sequential(
            nn.Conv2d(width * self.stacked_convs, width // 4, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // 4, channels, 3, padding=1),
        )

    def init_weights(self) -> None:
        """Small random weights; scores start at 0.01."""
        rare = bias_init_with_prob(0.01)
        for module in self.inter_convs:
            assert isinstance(module, ConvModule)
            normal_init(module.conv, std=0.01)
        for layers, std in ((self.cls_prob_module, 0.01), (self.reg_offset_module, 0.001)):
            normal_init(layers[0], std=std)
            normal_init(layers[-1], std=std)
        normal_init(self.cls_prob_module[-1], std=0.01, bias=rare)
        self.cls_decomp.init_weights()
        self.reg_decomp.init_weights()
        normal_init(self.tood_cls, std=0.01, bias=rare)
        normal_init(self.tood_reg, std=0.01)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Scores (B, C, H, W) from 0 to 1 and boxes (B, 4, H, W) in strides, a list over levels each."""
        anchors = self.prior_generator.grid_priors(map_sizes(x), device=x[0].device)
        strides = [float(stride[0]) for stride in self.prior_generator.strides]
        return multi_apply(self._forward_level, x, self.scales, anchors, strides)

    def _forward_level(
        self, x: Tensor, scale: nn.Module, anchors: Tensor, stride: float
    ) -> tuple[Tensor, Tensor]:
        layers = []
        for layer in self.inter_convs:
            x = layer(x)
            layers.append(x)
        feat = torch.cat(layers, 1)
        mean = F.adaptive_avg_pool2d(feat, (1, 1))
        logits = self.tood_cls(self.cls_decomp(feat, mean))
        # the geometric mean of two probabilities
        scores = ((F.logsigmoid(logits) + F.logsigmoid(self.cls_prob_module(feat))) / 2).exp()
        regressed = self.tood_reg(self.reg_decomp(feat, mean))
        boxes = self._boxes(regressed, scale, anchors, stride)
        offset = self.reg_offset_module(feat).to(boxes.dtype)
        # each side may come from a place near by
        moved = deform_conv2d(boxes, offset, boxes.new_ones(boxes.size(1), 1, 1, 1))
        turned = (moved[:, :2] > moved[:, 2:]).any(1, keepdim=True)
        return scores, torch.where(turned, boxes, moved)

    def _boxes(self, regressed: Tensor, scale: nn.Module, anchors: Tensor, stride: float) -> Tensor:
        """Boxes (B, 4, H, W) in strides, from a map of regressions of that shape."""
        if self.anchor_type == "anchor_free":
            distances = scale(regressed.exp()).float().permute(0, 2, 3, 1).flatten(1, 2)
            boxes = distance2bbox((anchors[:, :2] + anchors[:, 2:]) / 2 / stride, distances)
        else:
            offsets = scale(regressed).float().permute(0, 2, 3, 1).flatten(1, 2)
            boxes = self.bbox_coder.decode(anchors.expand_as(offsets), offsets) / stride
        return boxes.transpose(1, 2).reshape(regressed.shape)

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls`` and ``loss_bbox``; arguments as `AnchorHead.loss_by_feat`."""
        sizes = map_sizes(cls_scores)
        scores = flat_levels(cls_scores, self.cls_out_channels)
        boxes = flat_levels(bbox_preds, 4)  # in strides
        every = torch.arange(boxes.size(1), device=boxes.device)
        whole = boxes.detach() * self._strides_at(every, sizes).unsqueeze(1)
        found = [
            InstanceData(scores=score, bboxes=box) for score, box in zip(scores.detach(), whole, strict=True)
        ]
        targets = self.get_targets(
            sizes, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore, scores.device, found
        )
        scores, pos = scores.flatten(0, 1), targets.pos_inds
        if self._begins():
            goal: Any = targets.labels
            weight = self.centerness_target(targets.pos_anchors, targets.pos_gt_bboxes)
            loss, total = self.initial_loss_cls, scores.new_tensor(float(len(pos)))
        else:
            weight = self._alignment(targets, _count(batch_gt_instances))
            goal = (targets.labels, scores.new_zeros(len(scores)).index_put_((pos,), weight.to(scores)))
            loss, total = self.loss_cls, weight.sum()
        box_goal = targets.pos_gt_bboxes / self._strides_at(pos, sizes).unsqueeze(1)
        return {
            "loss_cls": loss(scores, goal, targets.label_weights, avg_factor=reduce_mean(total).clamp(min=1)),
            "loss_bbox": self.loss_bbox(
                boxes.flatten(0, 1)[pos],
                box_goal,
                weight=weight,
                avg_factor=reduce_mean(weight.sum()).clamp(min=1),
            ),
        }

    def _begins(self) -> bool:
        """Whether these are the first epochs."""
        hub = MessageHub.get_current_instance()
        return int(hub.get_info("epoch", 0)) < self.initial_epoch

    def _assign(
        self,
        priors: InstanceData,
        gt: InstanceData,
        ignored: InstanceData | None,
        inside: Tensor | None,
        level_counts: Sequence[int],
    ) -> AssignResult:
        if self._begins():
            self.assigner = self.initial_assigner
            return super()._assign(InstanceData(priors=priors.priors), gt, ignored, inside, level_counts)
        assert self.train_cfg is not None
        alpha, beta = self.train_cfg["alpha"], self.train_cfg["beta"]
        return self.alignment_assigner.assign(priors, gt, ignored, alpha, beta)

    def _alignment(self, targets: AnchorTargets, num_gts: int) -> Tensor:
        """How well the objects (P,) are aligned: an object's best has the largest overlap that it has."""
        metrics = targets.of_objects([one.get_extra_property("assign_metrics") for one in targets.assigned])
        overlaps = targets.of_objects([one.max_overlaps for one in targets.assigned])
        owners = targets.pos_gt_inds
        most, widest = (
            values.new_zeros(num_gts).scatter_reduce(0, owners, values, "amax")[owners]
            for values in (metrics, overlaps)
        )
        return metrics / (most + 1e-7) * widest

    def _decode(
        self, priors: Tensor, bbox_pred: Tensor, level_ids: Tensor, max_shape: tuple[int, int] | Tensor
    ) -> Tensor:
        strides = priors.new_tensor([float(stride[0]) for stride in self.prior_generator.strides])
        return bbox_pred * strides[level_ids].unsqueeze(-1)


def _count(gts: Sequence[InstanceData]) -> int:
    return sum(len(gt.bboxes) for gt in gts)
