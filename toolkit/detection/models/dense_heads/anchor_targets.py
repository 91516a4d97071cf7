"""What anchors are to become."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules import AssignResult, PseudoSampler
from toolkit.detection.models.utils import get_box_tensor
from toolkit.structures import InstanceData
from toolkit.utils import TrainingError


@dataclass
class AnchorTargets:
    """What the anchors of a batch are to become.

    Anchors are counted over all images: anchor i of image b is b·N + i. S of them train, P of those are
    objects. Ground truths are counted over all images, too.
    """

    inds: Tensor | None
    """The anchors that train, (S,) int64; None for all B·N."""
    labels: Tensor
    """Their classes, (S,) int64; the number of classes stands for background."""
    label_weights: Tensor | None
    """Their weights, (S,); 0 for those that are ignored. None for 1."""
    pos_inds: Tensor
    """The anchors that are objects, (P,) int64."""
    pos_anchors: Tensor
    """Where they are, (P, 4)."""
    pos_gt_bboxes: Tensor
    """The boxes of their ground truths, (P, 4)."""
    pos_labels: Tensor
    """The classes of their ground truths, (P,) int64."""
    pos_gt_inds: Tensor
    """Their ground truths, (P,) int64."""
    avg_factor: float | Tensor
    """What the losses are divided by."""
    assigned: Sequence[AssignResult]
    """What the assigner said of each image."""
    places: Sequence[Tensor | None]
    """Which anchors of each image it was asked about, (K,) int64; None for all."""
    num_anchors: int
    """How many anchors an image has, N."""

    def part(self, rows: Tensor, objects: Tensor) -> AnchorTargets:
        """Those of some of the anchors that train, (s,) of S, and of some of the objects, (p,) of P."""
        every = {name: getattr(self, name) for name in ("inds", "labels", "label_weights")}
        some = {name: value[objects] for name, value in vars(self).items() if name.startswith("pos_")}
        some |= {name: None if value is None else value[rows] for name, value in every.items()}
        return replace(self, **some)

    def of_objects(self, values: Sequence[Tensor]) -> Tensor:
        """The values (P,) of the objects, out of those of each image's assigned anchors, (K,) each."""
        together = [spread(one, at, self.num_anchors) for one, at in zip(values, self.places, strict=True)]
        return torch.cat(together)[self.pos_inds]


class AnchorTargetMixin:
    """How a head finds the targets of its anchors.

    Needs the head's ``prior_generator``, ``assigner``, ``sampler``, ``train_cfg`` and ``num_classes``.
    """

    prior_generator: Any
    assigner: Any
    sampler: Any
    train_cfg: dict[str, Any] | None
    num_classes: int

    @property
    def target_priors(self) -> Any:
        """The generator of the anchors that targets are assigned to."""
        return self.prior_generator

    @torch.no_grad()
    def get_targets(
        self,
        featmap_sizes: Sequence[tuple[int, ...]],
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[dict[str, Any]],
        batch_gt_instances_ignore: Sequence[InstanceData | None] | None,
        device: torch.device,
        predictions: Sequence[InstanceData] | None = None,
    ) -> AnchorTargets:
        """Say what the anchors of a batch are to become.

        Args:
            featmap_sizes: Height and width of each level.
            batch_gt_instances: See `loss_by_feat`.
            batch_img_metas: See `loss_by_feat`.
            batch_gt_instances_ignore: See `loss_by_feat`.
            device: Where the anchors are.
            predictions: What is predicted at the anchors of each image, for assigners that look at it, such
                as ``scores`` (N, C) and ``bboxes`` (N, 4).

        Raises:
            TrainingError: No anchor of an image may train.
        """
        levels = self.target_priors.grid_priors(featmap_sizes, device=device)
        anchors, counts = torch.cat(levels), [len(level) for level in levels]
        ignored = batch_gt_instances_ignore or [None] * len(batch_gt_instances)
        assigned, places = [], []
        for i, (gt, meta, regions) in enumerate(
            zip(batch_gt_instances, batch_img_metas, ignored, strict=True)
        ):
            inside = self._inside(featmap_sizes, meta, device)
            priors = InstanceData(priors=anchors, **(dict(predictions[i].items()) if predictions else {}))
            priors = priors if inside is None else priors[inside]
            assigned.append(self._assign(priors, gt, regions, inside, counts))
            places.append(inside)
        if type(self.sampler) is PseudoSampler:
            return self._targets_of_all(anchors, assigned, places, batch_gt_instances)
        return self._targets_of_sampled(anchors, assigned, places, batch_gt_instances)

    def _inside(
        self, featmap_sizes: Sequence[tuple[int, ...]], meta: dict[str, Any], device: torch.device
    ) -> Tensor | None:
        """Which anchors of an image may train, (K,) int64; None for all."""
        assert self.train_cfg is not None, "a head needs train_cfg to train"
        border = self.train_cfg.get("allowed_border", -1)
        inside = self.target_priors.inside_inds(featmap_sizes, meta, border, device)
        if inside is not None and not len(inside):
            raise TrainingError(
                f"no anchor lies inside the image {meta.get('img_path', '')} of shape "
                f"{meta['img_shape']}; allowed_border is {border}: raise it, or use smaller anchors"
            )
        return inside

    def _assign(
        self,
        priors: InstanceData,
        gt: InstanceData,
        ignored: InstanceData | None,
        inside: Tensor | None,
        level_counts: Sequence[int],
    ) -> AssignResult:
        """What ground truths the anchors of an image stand for.

        Args:
            priors: ``priors``, those of the anchors that may train.
            gt: ``bboxes`` and ``labels``.
            ignored: ``bboxes`` of ignored regions.
            inside: The places of `priors` among all anchors; None where these are all.
            level_counts: How many anchors there are a level.
        """
        if not getattr(self.assigner, "takes_level_counts", False):
            return self.assigner.assign(priors, gt, ignored)
        if inside is not None:
            firsts = torch.tensor([0, *itertools.accumulate(level_counts)], device=inside.device)
            level_counts = torch.searchsorted(inside, firsts).diff().tolist()
        return self.assigner.assign(priors, level_counts, gt, ignored)

    def _targets_of_all(
        self,
        anchors: Tensor,
        assigned: Sequence[AssignResult],
        places: Sequence[Tensor | None],
        gts: Sequence[InstanceData],
    ) -> AnchorTargets:
        """Every anchor trains; what is known of the number of objects stays on the device."""
        gt_inds = torch.stack(
            [spread(one.gt_inds, at, len(anchors), -1) for one, at in zip(assigned, places, strict=True)]
        )  # (B, N)
        positive = gt_inds > 0
        weights = (gt_inds >= 0).to(anchors.dtype)
        assert self.train_cfg is not None
        if self.train_cfg.get("pos_weight", -1) > 0:
            weights = torch.where(positive, self.train_cfg["pos_weight"], weights)
        pos_inds = positive.flatten().nonzero().squeeze(1)
        image = torch.div(pos_inds, len(anchors), rounding_mode="floor")
        firsts = torch.tensor(_firsts(gts), device=anchors.device)
        owners = gt_inds.flatten()[pos_inds] - 1 + firsts[image]
        boxes, classes = _together(gts)
        labels = gt_inds.new_full((gt_inds.numel(),), self.num_classes)
        labels[pos_inds] = classes[owners]
        return AnchorTargets(
            inds=None,
            labels=labels,
            label_weights=weights.flatten(),
            pos_inds=pos_inds,
            pos_anchors=anchors[pos_inds % len(anchors)],
            pos_gt_bboxes=boxes[owners],
            pos_labels=classes[owners],
            pos_gt_inds=owners,
            avg_factor=positive.sum(1).clamp(min=1).sum(),
            assigned=assigned,
            places=places,
            num_anchors=len(anchors),
        )

    def _targets_of_sampled(
        self,
        anchors: Tensor,
        assigned: Sequence[AssignResult],
        places: Sequence[Tensor | None],
        gts: Sequence[InstanceData],
    ) -> AnchorTargets:
        """Only some anchors train."""
        results, pos, neg = [], [], []
        for i, (assign_result, inside, gt) in enumerate(zip(assigned, places, gts, strict=True)):
            priors = InstanceData(priors=anchors if inside is None else anchors[inside])
            results.append(self.sampler.sample(assign_result, priors, gt))
            pos.append(_at(results[-1].pos_inds, inside) + i * len(anchors))
            neg.append(_at(results[-1].neg_inds, inside) + i * len(anchors))
        pos_inds, neg_inds = torch.cat(pos), torch.cat(neg)
        owners = [one.pos_assigned_gt_inds + f for one, f in zip(results, _firsts(gts), strict=True)]
        boxes, classes = _together(gts)
        gt_inds = torch.cat(owners)
        background = neg_inds.new_full(neg_inds.shape, self.num_classes)
        return AnchorTargets(
            inds=torch.cat((pos_inds, neg_inds)),
            labels=torch.cat((classes[gt_inds], background)),
            label_weights=self._label_weights(len(pos_inds), len(neg_inds), anchors),
            pos_inds=pos_inds,
            pos_anchors=torch.cat([result.pos_priors for result in results]),
            pos_gt_bboxes=boxes[gt_inds],
            pos_labels=classes[gt_inds],
            pos_gt_inds=gt_inds,
            avg_factor=sum(result.avg_factor for result in results),
            assigned=assigned,
            places=places,
            num_anchors=len(anchors),
        )

    def _label_weights(self, num_pos: int, num_neg: int, like: Tensor) -> Tensor | None:
        assert self.train_cfg is not None
        weight = self.train_cfg.get("pos_weight", -1)
        if weight <= 0:
            return None
        return torch.cat((like.new_full((num_pos,), weight), like.new_ones(num_neg)))

    def _levels_at(self, inds: Tensor, featmap_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """The levels (K,) of anchors (K,), counted over all images of a batch."""
        per_place = self.target_priors.num_base_priors
        counts = [h * w * count for (h, w), count in zip(featmap_sizes, per_place, strict=True)]
        ends = torch.tensor(list(itertools.accumulate(counts)), device=inds.device)
        return torch.bucketize(inds % sum(counts), ends, right=True)

    def _strides_at(self, inds: Tensor, featmap_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """The strides (K,) of the levels of anchors (K,), counted over all images of a batch."""
        strides = torch.tensor([float(stride[0]) for stride in self.target_priors.strides])
        return strides.to(inds.device)[self._levels_at(inds, featmap_sizes)]


def spread(values: Tensor, places: Tensor | None, count: int, fill: float = 0) -> Tensor:
    """Values (K,) of some of `count` places, None for all, as a row (count,) that is `fill` elsewhere."""
    if places is None:
        return values
    return values.new_full((count,), fill).index_put_((places,), values)


def _at(inds: Tensor, inside: Tensor | None) -> Tensor:
    return inds if inside is None else inside[inds]


def _together(gts: Sequence[InstanceData]) -> tuple[Tensor, Tensor]:
    """Boxes and labels of all images."""
    return torch.cat([get_box_tensor(gt.bboxes) for gt in gts]), torch.cat([gt.labels for gt in gts])


def _firsts(gts: Sequence[InstanceData]) -> list[int]:
    """The number of each image's first ground truth, counted over all images."""
    return list(itertools.accumulate((len(gt.bboxes) for gt in gts[:-1]), initial=0))
