"""The template of dense heads: those that predict at every place of the feature maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.dense_heads.candidates import at_places, best_candidates
from toolkit.detection.models.layers import batched_nms
from toolkit.detection.models.utils import scale_boxes, unpack_gt_instances
from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseModule, constant_init
from toolkit.structures import InstanceData

Cfg = dict[str, Any]
Meta = Mapping[str, Any]


class BaseDenseHead(BaseModule):
    """Base of dense heads.

    A subclass computes maps in `forward`, and losses from them in `loss_by_feat`; the way from maps to
    detections is here, for all images of a batch at once. For that a subclass has the attributes
    ``prior_generator``, ``bbox_coder``, ``use_sigmoid_cls``, ``cls_out_channels`` and ``test_cfg``. A head
    whose detections differ in a step overrides `_ranked`, `_with_factors` or `_decode`.

    Shapes: B images; level l has maps of H_l x W_l places with A priors each, N = sum of H_l·W_l·A; C
        classes.
    """

    prior_generator: Any
    bbox_coder: Any
    use_sigmoid_cls: bool
    cls_out_channels: int
    test_cfg: Cfg | None

    nms_group = "labels"
    """What boxes must share to suppress each other: 'labels' or 'level_ids'."""

    kept: tuple[str, ...] = ()
    """What else detections keep of candidates: 'level_ids', 'places' (in the order of a level's priors)."""

    activated_scores = False
    """Whether `forward` gives probabilities in place of logits."""

    def init_weights(self) -> None:
        """See `BaseModule`; offsets of deformable convolutions start at 0."""
        super().init_weights()
        for module in self.modules():
            offset = getattr(module, "conv_offset", None)
            if offset is not None:
                constant_init(offset, 0)

    @abstractmethod
    def loss_by_feat(
        self,
        *outs: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """Losses by name, from what `forward` gave: tensors, or lists of tensors that are to be summed."""

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[DetDataSample]) -> dict[str, Any]:
        """Losses of a batch.

        Args:
            x: Feature maps, (B, channels, H_l, W_l) each.
            batch_data_samples: Ground truth, an item an image.
        """
        return self._loss_of(self(x), batch_data_samples)

    def _loss_of(self, outs: Sequence[list[Tensor]], samples: Sequence[DetDataSample]) -> dict[str, Any]:
        gts, ignored, metas = unpack_gt_instances(samples)
        return self.loss_by_feat(
            *outs, batch_gt_instances=gts, batch_img_metas=metas, batch_gt_instances_ignore=ignored
        )

    def loss_and_predict(
        self,
        x: Sequence[Tensor],
        batch_data_samples: Sequence[DetDataSample],
        proposal_cfg: Cfg | None = None,
    ) -> tuple[dict[str, Any], list[InstanceData]]:
        """Losses and predictions of one forward pass.

        Args:
            x: Feature maps.
            batch_data_samples: Ground truth, an item an image.
            proposal_cfg: In place of ``test_cfg``.
        """
        outs = self(x)
        losses = self._loss_of(outs, batch_data_samples)
        metas = [sample.metainfo for sample in batch_data_samples]
        return losses, self.predict_by_feat(*outs, batch_img_metas=metas, cfg=proposal_cfg)  # type: ignore[misc]

    def predict(
        self, x: Sequence[Tensor], batch_data_samples: Sequence[DetDataSample], rescale: bool = False
    ) -> list[InstanceData]:
        """Detections, an item an image.

        Args:
            x: Feature maps.
            batch_data_samples: Their metainfo is looked at.
            rescale: Give boxes in pixels of the original image.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*self(x), batch_img_metas=metas, rescale=rescale)  # type: ignore[misc]

    @torch.no_grad()
    def predict_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        score_factors: list[Tensor] | None = None,
        batch_img_metas: Sequence[Meta] = (),
        cfg: Cfg | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """From maps to detections.

        The best `nms_pre` of a level are decoded, then suppressed by each other. All images go together;
        there is one look at what the device computed, and one an image for the suppression.

        Args:
            cls_scores: Logits, (B, A·C, H_l, W_l) each.
            bbox_preds: Regressions, (B, A·4, H_l, W_l) each.
            score_factors: Logits of factors of the scores, (B, A, H_l, W_l) each.
            batch_img_metas: ``img_shape``, and ``scale_factor`` where `rescale` is set.
            cfg: ``nms_pre``, ``score_thr``, ``min_bbox_size``, ``nms``, ``max_per_img``, in place of
                ``test_cfg``.
            rescale: Give boxes in pixels of the original image.
            with_nms: Suppress.

        Returns:
            `bboxes` (K, 4), `scores` (K,) and `labels` (K,) int64, best first.
        """
        cfg = self.test_cfg if cfg is None else cfg
        assert cfg is not None, "a head needs test_cfg to predict"
        sizes = map_sizes(cls_scores)
        priors = self.prior_generator.grid_priors(sizes, dtype=torch.float32, device=cls_scores[0].device)
        factors = [None] * len(sizes) if score_factors is None else score_factors
        levels = [
            self._level_candidates(level, *maps, cfg)
            for level, maps in enumerate(zip(cls_scores, bbox_preds, factors, priors, strict=True))
        ]
        found = {key: torch.cat([level[key] for level in levels], dim=1) for key in levels[0]}
        found["bboxes"] = self._decode(
            found.pop("priors"),
            found.pop("bbox_pred"),
            found["level_ids"],
            _shapes(batch_img_metas, cls_scores[0].device),
        )
        return self._post_process(found, batch_img_metas, cfg, rescale, with_nms)

    def _level_candidates(
        self,
        level: int,
        cls_score: Tensor,
        bbox_pred: Tensor,
        factor: Tensor | None,
        priors: Tensor,
        cfg: Cfg,
    ) -> dict[str, Tensor]:
        """The best `nms_pre` of (place, class) of a level, a row an image; `valid`: above `score_thr`."""
        # The maps stay as they are, (B, A, channels, H·W): what is chosen is little, a copy would be much.
        count = max(1, priors.size(0) // (cls_score.size(-2) * cls_score.size(-1)))
        scores = self._ranked(cls_score.flatten(2).unflatten(1, (count, -1)))
        sigmoid = self.use_sigmoid_cls and not self.activated_scores
        scores, places, labels = best_candidates(
            scores, cfg.get("nms_pre", -1), sigmoid, cfg.get("score_thr")
        )
        found = {
            "scores": scores,
            "labels": labels,
            "level_ids": torch.full_like(places, level),
            "places": places,
            "bbox_pred": at_places(bbox_pred, places, count).float(),
            "priors": priors[places],
        }
        if "score_thr" in cfg:
            found["valid"] = found["scores"] > cfg["score_thr"]
        if factor is not None:
            factors = at_places(factor, places, count).squeeze(-1).float()
            found["scores"] = self._with_factors(found["scores"], factors)
        return found

    def _ranked(self, logits: Tensor) -> Tensor:
        """What candidates are ordered by, (B, A, C, H·W), from logits (B, A, cls_out_channels, H·W).

        A sigmoid keeps the order, so it is taken later, of the few that are chosen.
        """
        if self.use_sigmoid_cls or self.activated_scores:
            return logits
        return logits.softmax(2)[:, :, :-1]

    def _with_factors(self, scores: Tensor, factors: Tensor) -> Tensor:
        """Scores (B, K) with the logits of their factors, (B, K), such as centerness."""
        return scores * factors.sigmoid()

    def _decode(
        self, priors: Tensor, bbox_pred: Tensor, level_ids: Tensor, max_shape: tuple[int, int] | Tensor
    ) -> Tensor:
        """Boxes (B, K, 4) of candidates.

        Args:
            priors: Their anchors or points, (B, K, ...).
            bbox_pred: Their regressions, (B, K, channels a prior).
            level_ids: Their levels, (B, K) int64.
            max_shape: Height and width of the images: two numbers, or (B, 1, 2).
        """
        return self.bbox_coder.decode(priors, bbox_pred, max_shape=max_shape)

    def _post_process(
        self, found: dict[str, Tensor], metas: Sequence[Meta], cfg: Cfg, rescale: bool, with_nms: bool
    ) -> list[InstanceData]:
        """Drop what isn't valid or is too small, suppress, and give the best `max_per_img` of each image."""
        boxes = found["bboxes"]
        valid = found.pop("valid", None)
        scales = [[1 / s for s in meta["scale_factor"]] if rescale else [1.0, 1.0] for meta in metas]
        least = cfg.get("min_bbox_size", -1)
        if least >= 0:
            size = boxes[..., 2:] - boxes[..., :2]
            if rescale:
                size = size * size.new_tensor(scales).unsqueeze(1)
            big = (size > least).all(-1)
            valid = big if valid is None else valid & big
        # One transfer tells the images in which nothing is to be dropped, by far the most frequent case for
        # proposals.
        counts = [boxes.size(1)] * len(metas) if valid is None else valid.sum(1).tolist()
        results = []
        for i, count in enumerate(counts):
            one = {key: value[i] for key, value in found.items()}
            if valid is not None and count < boxes.size(1):
                keep = valid[i]
                one = {key: value[keep] for key, value in one.items()}
            if rescale:
                one["bboxes"] = scale_boxes(one["bboxes"], scales[i])
            results.append(self._bbox_post_process(one, cfg, with_nms))
        return results

    def _bbox_post_process(self, found: dict[str, Tensor], cfg: Cfg, with_nms: bool) -> InstanceData:
        boxes, scores, labels = found["bboxes"], found["scores"], found["labels"]
        others: Any = {key: found[key] for key in self.kept}
        if with_nms:
            dets, keep = batched_nms(boxes, scores, found[self.nms_group], cfg["nms"])
            most = cfg.get("max_per_img", -1)
            if most >= 0:
                dets, keep = dets[:most], keep[:most]
            boxes, scores, labels = dets[:, :4], dets[:, 4], labels[keep]
            others = {key: value[keep] for key, value in others.items()}
        return InstanceData(bboxes=boxes, scores=scores, labels=labels, **others)


def map_sizes(maps: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Height and width of each map."""
    return [(x.size(-2), x.size(-1)) for x in maps]


def flat_map(x: Tensor, channels: int) -> Tensor:
    """A map (B, A·channels, H, W) as (B, H·W·A, channels); not a copy where it is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(x.size(0), -1, channels)


def flat_levels(maps: Sequence[Tensor], channels: int) -> Tensor:
    """Maps (B, A·channels, H_l, W_l) of all levels as (B, N, channels), in the order of the priors."""
    if len({x.size(1) for x in maps}) > 1:
        return torch.cat([flat_map(x, channels) for x in maps], dim=1)
    # one copy for both: the change of order and the concatenation
    flat = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)
    return flat.view(flat.size(0), -1, channels)


def _shapes(metas: Sequence[Meta], device: torch.device) -> tuple[int, int] | Tensor:
    """Height and width of the images: two numbers where they are all the same, else (B, 1, 2)."""
    shapes = [tuple(meta["img_shape"][:2]) for meta in metas]
    if len(set(shapes)) == 1:
        return shapes[0]
    return torch.tensor(shapes, dtype=torch.float32, device=device).unsqueeze(1)
