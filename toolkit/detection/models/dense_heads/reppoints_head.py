"""The head of RepPoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_free_head import FOCAL_LOSS, AnchorFreeHead
from toolkit.detection.models.dense_heads.base_dense_head import Cfg, flat_levels, map_sizes
from toolkit.detection.models.dense_heads.towers import normal_init_cfg, run
from toolkit.detection.models.task_modules import AssignResult, MlvlPointGenerator, build_assigner
from toolkit.detection.models.utils import distance2bbox, get_box_tensor, multi_apply
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import DeformConv2d
from toolkit.structures import InstanceData
from toolkit.utils import BuildError, did_you_mean

_METHODS = ("moment", "minmax", "partial_minmax")
_LOSS_INIT = {"type": "SmoothL1Loss", "beta": 1.0 / 9.0, "loss_weight": 0.5}
_LOSS_REFINE = {"type": "SmoothL1Loss", "beta": 1.0 / 9.0, "loss_weight": 1.0}


@MODELS.register_module()
class RepPointsHead(AnchorFreeHead):
    """Objects as sets of points, placed and then refined (Yang et al., "RepPoints", 2019).

    Points are in strides relative to their place, y before x. State-dict keys: ``moment_transfer`` with
    'moment', ``cls_convs.i.*``, ``reg_convs.i.*``, and ``reppoints_cls_conv``, ``reppoints_cls_out``,
    ``reppoints_pts_init_conv``, ``reppoints_pts_init_out``, ``reppoints_pts_refine_conv`` and
    ``reppoints_pts_refine_out``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        point_feat_channels: Channels before the predictions.
        num_points: How many points; an odd number squared.
        gradient_mul: Part of the gradient that goes from the second stage to the points of the first.
        point_strides: Of each level, in pixels.
        point_base_scale: Size of the first boxes, in strides.
        loss_cls: Config of the loss of classes.
        loss_bbox_init: Config of the loss of the first boxes.
        loss_bbox_refine: Config of the loss of the refined boxes.
        use_grid_points: Points are a regular grid in a predicted box.
        center_init: Points start at their place, in place of a grid around it.
        transform_method: How a box follows from points: 'moment' (mean and deviation), 'minmax', or
            'partial_minmax' (of the first four).
        moment_mul: Part of the gradient of `moment`'s two factors.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `AnchorFreeHead`. ``train_cfg`` has ``init`` and ``refine``, each with an
            ``assigner`` and a ``pos_weight``.

    Raises:
        BuildError: `num_points` or `transform_method` is another.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        point_feat_channels: int = 256,
        num_points: int = 9,
        gradient_mul: float = 0.1,
        point_strides: Sequence[int] = (8, 16, 32, 64, 128),
        point_base_scale: int = 4,
        loss_cls: Cfg = FOCAL_LOSS,
        loss_bbox_init: Cfg = _LOSS_INIT,
        loss_bbox_refine: Cfg = _LOSS_REFINE,
        use_grid_points: bool = False,
        center_init: bool = True,
        transform_method: str = "moment",
        moment_mul: float = 0.01,
        init_cfg: Any = normal_init_cfg("reppoints_cls_out"),  # noqa: B008 - read only
        **kwargs: Any,
    ) -> None:
        self.num_points, self.point_feat_channels = num_points, point_feat_channels
        self.use_grid_points, self.center_init = use_grid_points, center_init
        self.dcn_kernel = math.isqrt(num_points)
        if self.dcn_kernel**2 != num_points or self.dcn_kernel % 2 == 0:
            raise BuildError(f"num_points must be an odd number squared, such as 9; got {num_points}")
        if transform_method not in _METHODS:
            near = did_you_mean(transform_method, _METHODS)
            raise BuildError(f"transform_method must be one of {_METHODS}, got {transform_method!r}{near}")
        super().__init__(num_classes, in_channels, loss_cls=loss_cls, init_cfg=init_cfg, **kwargs)
        self.gradient_mul, self.point_base_scale = gradient_mul, point_base_scale
        self.point_strides = point_strides
        self.prior_generator = MlvlPointGenerator(point_strides, offset=0.0)
        self.transform_method, self.moment_mul = transform_method, moment_mul
        if transform_method == "moment":
            self.moment_transfer = nn.Parameter(torch.zeros(2))
        if self.train_cfg is not None:
            self.init_assigner = build_assigner(self.train_cfg["init"]["assigner"])
            self.refine_assigner = build_assigner(self.train_cfg["refine"]["assigner"])
        self.loss_bbox_init = MODELS.build(loss_bbox_init)
        self.loss_bbox_refine = MODELS.build(loss_bbox_refine)

    def _init_layers(self) -> None:
        self.cls_convs, self.reg_convs = self._tower(), self._tower()
        kernel, width, wide = self.dcn_kernel, self.feat_channels, self.point_feat_channels
        outputs = 4 if self.use_grid_points else 2 * self.num_points
        self.reppoints_cls_conv = DeformConv2d(width, wide, kernel, 1, kernel // 2)
        self.reppoints_cls_out = nn.Conv2d(wide, self.cls_out_channels, 1)
        self.reppoints_pts_init_conv = nn.Conv2d(width, wide, 3, padding=1)
        self.reppoints_pts_init_out = nn.Conv2d(wide, outputs, 1)
        self.reppoints_pts_refine_conv = DeformConv2d(width, wide, kernel, 1, kernel // 2)
        self.reppoints_pts_refine_out = nn.Conv2d(wide, outputs, 1)

    def _grid(self, like: Tensor) -> Tensor:
        """The places that a convolution looks at, (1, 2·num_points, 1, 1)."""
        steps = torch.arange(self.dcn_kernel, device=like.device, dtype=like.dtype) - self.dcn_kernel // 2
        return torch.cartesian_prod(steps, steps).view(1, -1, 1, 1)

    def forward(self, feats: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Lists over levels: logits (B, C, H, W), and while training the points of both stages
        (B, 2·num_points, H, W), else the refined boxes in strides (B, 4, H, W).
        """
        scores, init, refined = multi_apply(self.forward_single, feats)
        if self.training:
            return scores, init, refined
        return scores, [self.points2bbox(points) for points in refined]

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """One level (B, in_channels, H, W): logits, and the points of both stages."""
        cls_feat, pts_feat = run(self.cls_convs, x), run(self.reg_convs, x)
        grid, scale = self._grid(x), self.point_base_scale / 2
        init = self.reppoints_pts_init_out(self.reppoints_pts_init_conv(pts_feat).relu())
        box = x.new_tensor([-scale, -scale, scale, scale]).view(1, 4, 1, 1)
        if self.use_grid_points:
            init, box = self._grid_in_box(init, box)
        elif not self.center_init:
            init = init + grid / grid.max() * scale
        shown = (1 - self.gradient_mul) * init.detach() + self.gradient_mul * init
        offset = shown - grid
        scores = self.reppoints_cls_out(self.reppoints_cls_conv(cls_feat, offset).relu())
        refined = self.reppoints_pts_refine_out(self.reppoints_pts_refine_conv(pts_feat, offset).relu())
        if self.use_grid_points:
            refined, _ = self._grid_in_box(refined, box.detach())
        else:
            refined = refined + init.detach()
        return scores, init, refined

    def _grid_in_box(self, reg: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """A regular grid of points (B, 2·num_points, H, W) in a regressed box, and that box.

        Args:
            reg: Offsets of centre and logarithms of size relative to `box`, (B, 4, H, W).
            box: (B or 1, 4, H or 1, W or 1).
        """
        size = (box[:, 2:] - box[:, :2]).clamp(min=1e-6)
        wide = size * reg[:, 2:].exp()
        corner = (box[:, :2] + box[:, 2:]) / 2 + size * reg[:, :2] - 0.5 * wide
        steps = torch.linspace(0, 1, self.dcn_kernel, device=reg.device, dtype=reg.dtype).view(1, -1, 1, 1)
        x, y = (corner[:, i : i + 1] + wide[:, i : i + 1] * steps for i in range(2))  # (B, kernel, H, W)
        y, x = torch.broadcast_tensors(y.unsqueeze(2), x.unsqueeze(1))
        return torch.stack((y, x), dim=3).flatten(1, 3), torch.cat((corner, corner + wide), dim=1)

    def points2bbox(self, points: Tensor) -> Tensor:
        """Boxes (N, 4, ...) around points (N, 2·num_points, ...), in the unit of the points."""
        y, x = points.unflatten(1, (-1, 2)).unbind(2)
        if self.transform_method != "moment":
            if self.transform_method == "partial_minmax":
                y, x = y[:, :4], x[:, :4]
            return torch.stack((x.amin(1), y.amin(1), x.amax(1), y.amax(1)), dim=1)
        transfer = self.moment_transfer * self.moment_mul
        width, height = (transfer + self.moment_transfer.detach() * (1 - self.moment_mul)).exp()
        half_x, half_y = x.std(1) * width, y.std(1) * height
        x, y = x.mean(1), y.mean(1)
        return torch.stack((x - half_x, y - half_y, x + half_x, y + half_y), dim=1)

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Any]:
        """See `BaseDenseHead.loss`; the same in both modes."""
        return self._loss_of(multi_apply(self.forward_single, x), batch_data_samples)

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        pts_preds_init: list[Tensor],
        pts_preds_refine: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_pts_init`` and ``loss_pts_refine``.

        Args:
            cls_scores: Logits, (B, C, H_l, W_l) each.
            pts_preds_init: Points of the first stage, (B, 2·num_points, H_l, W_l) each.
            pts_preds_refine: Points of the second stage, the same.
            batch_gt_instances: ``bboxes`` and ``labels`` of each image.
            batch_img_metas: ``img_shape`` and ``pad_shape`` of each image.
            batch_gt_instances_ignore: ``bboxes`` of ignored regions of each image.
        """
        sizes, device = map_sizes(cls_scores), cls_scores[0].device
        priors = torch.cat(self.prior_generator.grid_priors(sizes, device=device, with_stride=True))
        points = [flat_levels(maps, 2 * self.num_points) for maps in (pts_preds_init, pts_preds_refine)]
        around = priors[:, [0, 1, 0, 1]]
        reach = priors.new_tensor([-0.5, -0.5, 0.5, 0.5]) * self.point_base_scale
        by_point = type(self.init_assigner).__name__ == "PointAssigner"
        first = priors if by_point else around + reach * priors[:, 2:3]
        with torch.no_grad():
            boxes = self.points2bbox(points[0].flatten(0, 1)).view(len(points[0]), -1, 4)
            candidates = boxes * priors[:, 2:3] + around
        places = [self.prior_generator.inside_inds(sizes, meta, -1, device) for meta in batch_img_metas]
        losses = {}
        stages = (
            ("init", first.expand(len(places), -1, -1), self.init_assigner, self.loss_bbox_init),
            ("refine", candidates, self.refine_assigner, self.loss_bbox_refine),
        )
        for (name, proposals, assigner, loss), own in zip(stages, points, strict=True):
            results = self._assigned(
                assigner, proposals, places, batch_gt_instances, batch_gt_instances_ignore
            )
            gt_inds = torch.stack([result.gt_inds for result in results])
            factor = (gt_inds > 0).sum(1).clamp(min=1).sum()
            pos, goal = _objects(gt_inds, batch_gt_instances)
            at = pos % len(priors)
            unit = self.point_base_scale * priors[at, 2:3]
            predicted = self.points2bbox(own.flatten(0, 1)[pos]) * priors[at, 2:3] + around[at]
            losses[f"loss_pts_{name}"] = loss(predicted / unit, goal / unit, avg_factor=factor)
        losses["loss_cls"] = self._loss_of_classes(cls_scores, results, gt_inds, factor)
        return losses

    def _assigned(
        self,
        assigner: Any,
        proposals: Tensor,
        places: Sequence[Tensor | None],
        gts: Sequence[InstanceData],
        ignored: Sequence[InstanceData | None] | None,
    ) -> list[AssignResult]:
        """What the proposals (B, N, 4) of each image stand for; those of the padding are ignored."""
        results = []
        for i, (inside, gt) in enumerate(zip(places, gts, strict=True)):
            priors = proposals[i] if inside is None else proposals[i, inside]
            result = assigner.assign(InstanceData(priors=priors), gt, None if ignored is None else ignored[i])
            if inside is not None:
                whole = result.gt_inds.new_full((proposals.size(1),), -1)
                result.labels = whole.index_put((inside,), result.labels)
                result.gt_inds = whole.index_put((inside,), result.gt_inds)
            results.append(result)
        return results

    def _loss_of_classes(
        self, cls_scores: list[Tensor], results: Sequence[AssignResult], gt_inds: Tensor, factor: Tensor
    ) -> Tensor:
        assert self.train_cfg is not None
        labels = torch.stack([result.labels for result in results])
        labels = torch.where(gt_inds > 0, labels, self.num_classes)
        weights = (gt_inds >= 0).float()
        pos_weight = self.train_cfg["refine"].get("pos_weight", -1)
        if pos_weight > 0:
            weights = torch.where(gt_inds > 0, pos_weight, weights)
        scores = flat_levels(cls_scores, self.cls_out_channels).flatten(0, 1)
        return self.loss_cls(scores, labels.flatten(), weights.flatten(), avg_factor=factor)

    def _decode(
        self, priors: Tensor, bbox_pred: Tensor, level_ids: Tensor, max_shape: tuple[int, int] | Tensor
    ) -> Tensor:
        stride = bbox_pred.new_tensor(self.point_strides)[level_ids].unsqueeze(-1)
        sides = torch.cat((-bbox_pred[..., :2], bbox_pred[..., 2:]), dim=-1) * stride
        return distance2bbox(priors, sides, max_shape)


def _objects(gt_inds: Tensor, gts: Sequence[InstanceData]) -> tuple[Tensor, Tensor]:
    """The proposals that are objects, counted over all images, (P,), and the boxes of their ground truths."""
    boxes = [get_box_tensor(gt.bboxes)[inds[inds > 0] - 1] for gt, inds in zip(gts, gt_inds, strict=True)]
    return (gt_inds.flatten() > 0).nonzero().squeeze(1), torch.cat(boxes)
