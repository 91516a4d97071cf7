"""The head of YOLOv3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_targets import AnchorTargetMixin, AnchorTargets
from toolkit.detection.models.dense_heads.base_dense_head import (
    BaseDenseHead,
    Cfg,
    Meta,
    flat_map,
    map_sizes,
)
from toolkit.detection.models.dense_heads.candidates import best_candidates
from toolkit.detection.models.task_modules import PseudoSampler, build_assigner, build_sampler
from toolkit.detection.registry import MODELS, TASK_UTILS
from toolkit.model import bias_init_with_prob, constant_init, normal_init
from toolkit.model.cnn import ConvModule, is_norm
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

_ANCHORS = {
    "type": "YOLOAnchorGenerator",
    "base_sizes": [
        [(116, 90), (156, 198), (373, 326)],
        [(30, 61), (62, 45), (59, 119)],
        [(10, 13), (16, 30), (33, 23)],
    ],
    "strides": [32, 16, 8],
}
_BCE = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}


@MODELS.register_module()
class YOLOV3Head(AnchorTargetMixin, BaseDenseHead):
    """Place in the cell, size, objectness and classes of each anchor (Redmon and Farhadi, "YOLOv3", 2018).

    State-dict keys: ``convs_bridge.level.*``, ``convs_pred.level.*``.

    Args:
        num_classes: Without background.
        in_channels: Channels of each feature map, coarsest first.
        out_channels: Channels inside, for each map.
        anchor_generator: Config of the anchors.
        bbox_coder: Config of the box coder.
        featmap_strides: Of each map, in pixels.
        one_hot_smoother: Part of the class targets that is spread over all classes.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        loss_cls: Config of the loss of classes.
        loss_conf: Config of the loss of objectness.
        loss_xy: Config of the loss of places.
        loss_wh: Config of the loss of sizes.
        train_cfg: ``assigner``, ``sampler``.
        test_cfg: As `BaseDenseHead.predict_by_feat`, but ``nms_pre`` is of all maps together; and
            ``conf_thr``, the least objectness.

    Raises:
        BuildError: There is not a value a map.
    """

    use_sigmoid_cls = True

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        out_channels: Sequence[int] = (1024, 512, 256),
        anchor_generator: Cfg = _ANCHORS,
        bbox_coder: Cfg = {"type": "YOLOBBoxCoder"},  # noqa: B006 - read only
        featmap_strides: Sequence[int] = (32, 16, 8),
        one_hot_smoother: float = 0.0,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN", "requires_grad": True},  # noqa: B006 - read only
        act_cfg: Cfg = {"type": "LeakyReLU", "negative_slope": 0.1},  # noqa: B006 - read only
        loss_cls: Cfg = _BCE,
        loss_conf: Cfg = _BCE,
        loss_xy: Cfg = _BCE,
        loss_wh: Cfg = {"type": "MSELoss", "loss_weight": 1.0},  # noqa: B006 - read only
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
    ) -> None:
        super().__init__(None)
        if not len(in_channels) == len(out_channels) == len(featmap_strides):
            raise BuildError(
                "YOLOV3Head needs in_channels, out_channels and featmap_strides of the same length, got "
                f"{len(in_channels)}, {len(out_channels)} and {len(featmap_strides)}"
            )
        self.num_classes = self.cls_out_channels = num_classes
        self.in_channels, self.out_channels = in_channels, out_channels
        self.featmap_strides, self.one_hot_smoother = featmap_strides, one_hot_smoother
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if train_cfg is not None:
            self.assigner = build_assigner(train_cfg["assigner"])
            sampler = train_cfg.get("sampler")
            self.sampler = PseudoSampler() if sampler is None else build_sampler(sampler, context=self)
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        self.num_base_priors = self.prior_generator.num_base_priors[0]
        self.loss_cls, self.loss_conf = MODELS.build(loss_cls), MODELS.build(loss_conf)
        self.loss_xy, self.loss_wh = MODELS.build(loss_xy), MODELS.build(loss_wh)
        self.convs_bridge, self.convs_pred = nn.ModuleList(), nn.ModuleList()
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        for before, after in zip(in_channels, out_channels, strict=True):
            self.convs_bridge.append(ConvModule(before, after, 3, padding=1, **common))
            self.convs_pred.append(nn.Conv2d(after, self.num_base_priors * self.num_attrib, 1))

    @property
    def num_attrib(self) -> int:
        """How many numbers are predicted an anchor."""
        return 5 + self.num_classes

    def init_weights(self) -> None:
        """Small random weights; objectness starts at 8 objects an image of 608 pixels, classes at 0.01."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, mean=0, std=0.01)
            if is_norm(module):
                constant_init(module, 1)
        for conv, stride in zip(self.convs_pred, self.featmap_strides, strict=True):
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            bias = conv.bias.data.view(self.num_base_priors, -1)
            nn.init.constant_(bias[:, 4], bias_init_with_prob(8 / (608 / stride) ** 2))
            nn.init.constant_(bias[:, 5:], bias_init_with_prob(0.01))

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor]]:
        """All predictions, a map (B, A·(5 + C), H_l, W_l) a level: x, y, w, h, objectness, classes."""
        layers = zip(self.convs_bridge, self.convs_pred, x, strict=True)
        return ([pred(bridge(one)) for bridge, pred, one in layers],)

    def loss_by_feat(  # type: ignore[override]
        self,
        pred_maps: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_conf``, ``loss_xy`` and ``loss_wh``, a list over levels each.

        Args:
            pred_maps: What `forward` gives.
            batch_gt_instances: ``bboxes`` and ``labels`` of each image.
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Not used.
        """
        sizes, device = map_sizes(pred_maps), pred_maps[0].device
        flags = [
            InstanceData(responsible_flags=self.responsible_flags(sizes, gt.bboxes))
            for gt in batch_gt_instances
        ]
        targets = self.get_targets(sizes, batch_gt_instances, batch_img_metas, None, device, flags)
        assert targets.label_weights is not None
        counts = [h * w * self.num_base_priors for h, w in sizes]
        goals = self._target_rows(targets, sizes).view(len(flags), sum(counts), -1).split(counts, dim=1)
        known = targets.label_weights.view(len(flags), -1).split(counts, dim=1)
        losses: dict[str, Any] = {"loss_cls": [], "loss_conf": [], "loss_xy": [], "loss_wh": []}
        for pred_map, goal, counted in zip(pred_maps, goals, known, strict=True):
            pred = flat_map(pred_map, self.num_attrib)
            objects = goal[..., 4:5]
            losses["loss_cls"].append(self.loss_cls(pred[..., 5:], goal[..., 5:], weight=objects))
            losses["loss_conf"].append(self.loss_conf(pred[..., 4], goal[..., 4], weight=counted))
            losses["loss_xy"].append(self.loss_xy(pred[..., :2], goal[..., :2], weight=objects))
            losses["loss_wh"].append(self.loss_wh(pred[..., 2:4], goal[..., 2:4], weight=objects))
        return losses

    def _target_rows(self, targets: AnchorTargets, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """What the predictions (B·N, 5 + C) are to become; 0 where there is no object."""
        pos = targets.pos_inds
        rows = targets.pos_anchors.new_zeros(len(targets.labels), self.num_attrib)
        strides = self._strides_at(pos, sizes).unsqueeze(1)
        rows[pos, :4] = self.bbox_coder.encode(targets.pos_anchors, targets.pos_gt_bboxes, strides)
        rows[pos, 4] = 1
        rows[pos, 5:] = self.one_hot_smoother / self.num_classes
        rows[pos, 5 + targets.pos_labels] += 1 - self.one_hot_smoother
        return rows

    def _inside(
        self, featmap_sizes: Sequence[tuple[int, ...]], meta: dict[str, Any], device: torch.device
    ) -> Tensor | None:
        return None  # those of the padding train, too

    def responsible_flags(self, featmap_sizes: Sequence[tuple[int, int]], gt_bboxes: Tensor) -> Tensor:
        """Which anchors of all levels (N,) are of cells that a box's centre is in.

        Args:
            featmap_sizes: Height and width of each level.
            gt_bboxes: (G, 4).
        """
        centers = (gt_bboxes[:, :2] + gt_bboxes[:, 2:]) * 0.5
        flags = []
        for (height, width), stride in zip(featmap_sizes, self.prior_generator.strides, strict=True):
            x = torch.floor(centers[:, 0] / stride[0]).long().clamp(0, width - 1)
            y = torch.floor(centers[:, 1] / stride[1]).long().clamp(0, height - 1)
            cells = torch.zeros(height * width, dtype=torch.bool, device=gt_bboxes.device)
            cells[y * width + x] = True
            flags.append(cells.repeat_interleave(self.num_base_priors))
        return torch.cat(flags)

    @torch.no_grad()
    def predict_by_feat(  # type: ignore[override]
        self,
        pred_maps: list[Tensor],
        batch_img_metas: Sequence[Meta],
        cfg: Cfg | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """From maps to detections.

        Args:
            pred_maps: What `forward` gives.
            batch_img_metas: See `BaseDenseHead.predict_by_feat`.
            cfg: In place of ``test_cfg``.
            rescale: Give boxes in pixels of the original image.
            with_nms: Suppress.
        """
        cfg = self.test_cfg if cfg is None else cfg
        assert cfg is not None, "a head needs test_cfg to predict"
        sizes = map_sizes(pred_maps)
        priors = torch.cat(self.prior_generator.grid_priors(sizes, device=pred_maps[0].device))
        preds = torch.cat([flat_map(one, self.num_attrib) for one in pred_maps], dim=1).float()
        objectness, scores = preds[..., 4].sigmoid(), preds[..., 5:].sigmoid()
        if cfg.get("conf_thr", -1) > 0:
            scores = scores.masked_fill((objectness < cfg["conf_thr"]).unsqueeze(-1), -1)
        scores, places, labels = best_candidates(
            scores.transpose(1, 2).unsqueeze(1), cfg.get("nms_pre", -1), least=cfg.get("score_thr", 0)
        )
        chosen = preds[..., :4].gather(1, places.unsqueeze(-1).expand(-1, -1, 4))
        boxes = torch.cat((chosen[..., :2].sigmoid(), chosen[..., 2:]), dim=-1)
        strides = self._strides_at(places.flatten(), sizes).view_as(places).unsqueeze(-1)
        found = {
            "scores": scores * objectness.gather(1, places),
            "labels": labels,
            "bboxes": self.bbox_coder.decode(priors[places], boxes, strides),
            "valid": scores > cfg.get("score_thr", 0),
        }
        return self._post_process(found, batch_img_metas, cfg, rescale, with_nms)
