"""Queries made of ground truth with noise, from which a decoder learns to restore it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.layers.transformer.utils import inverse_sigmoid
from toolkit.detection.models.utils import bbox_xyxy_to_cxcywh
from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseModule
from toolkit.utils import BuildError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Denoising:
    """Denoising queries of a batch: G groups, each of a slot a ground truth (M, the most that an image has)
    for a copy near it, and as many for a copy further away. Q of them in all.
    """

    label_query: Tensor
    """What they are, (B, Q, D)."""
    bbox_query: Tensor
    """Where they are, as logits of cx, cy, w, h, (B, Q, 4)."""
    attn_mask: Tensor
    """True where a query must not look at another, (Q + matching queries, the same)."""
    meta: dict[str, int]
    """``num_denoising_queries``, Q, and ``num_denoising_groups``, G."""


class CdnQueryGenerator(BaseModule):
    """Contrastive denoising queries (Zhang et al., "DINO", 2022): of each ground truth, copies with a wrong
    class now and then and with moved sides; those moved little are to be restored, those moved much are
    background.

    State-dict keys: ``label_embedding.weight``.

    Args:
        num_classes: Without background.
        embed_dims: Channels of the queries.
        num_matching_queries: How many queries come after them.
        label_noise_scale: Twice the probability of a class to be drawn anew.
        box_noise_scale: How far sides move, as a part of half the size.
        group_cfg: ``dynamic`` (default True): as many groups as fit into ``num_dn_queries`` (default 100);
            else ``num_groups``.

    Raises:
        BuildError: A scale is not positive, or a number of the groups is missing or not an int.
    """

    def __init__(
        self,
        num_classes: int,
        embed_dims: int,
        num_matching_queries: int,
        label_noise_scale: float = 0.5,
        box_noise_scale: float = 1.0,
        group_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if label_noise_scale <= 0 or box_noise_scale <= 0:
            raise BuildError(
                f"label_noise_scale and box_noise_scale of CdnQueryGenerator must be positive, "
                f"got {label_noise_scale} and {box_noise_scale}"
            )
        self.num_classes, self.embed_dims = num_classes, embed_dims
        self.num_matching_queries = num_matching_queries
        self.label_noise_scale, self.box_noise_scale = label_noise_scale, box_noise_scale
        cfg = group_cfg or {}
        self.dynamic_dn_groups = bool(cfg.get("dynamic", True))
        self.num_dn_queries = cfg.get("num_dn_queries", 100)
        self.num_groups: Any = cfg.get("num_groups")
        needed = "num_dn_queries" if self.dynamic_dn_groups else "num_groups"
        if not isinstance(getattr(self, needed), int):
            raise BuildError(f"group_cfg of CdnQueryGenerator needs {needed}, an int; got {dict(cfg)!r}")
        self.label_embedding = nn.Embedding(num_classes, embed_dims)

    def forward(self, batch_data_samples: Sequence[DetDataSample]) -> Denoising:
        """Draw the queries of a batch, whose ``gt_instances`` are looked at."""
        gts = [sample.gt_instances for sample in batch_data_samples]
        counts = [len(gt.labels) for gt in gts]
        groups = self.get_num_groups(max(counts))
        labels = torch.cat([gt.labels for gt in gts])
        boxes = torch.cat([_normalized(sample) for sample in batch_data_samples])
        total = max(counts) * 2 * groups
        label_query = self.generate_dn_label_query(labels, groups)
        bbox_query = self.generate_dn_bbox_query(boxes, groups)
        slots = _slots(counts, groups).to(boxes.device)
        return Denoising(
            _in_slots(label_query, slots, len(counts), total),
            _in_slots(bbox_query, slots, len(counts), total),
            self.generate_dn_mask(max(counts), groups, boxes.device),
            {"num_denoising_queries": total, "num_denoising_groups": groups},
        )

    def get_num_groups(self, max_num_target: int) -> int:
        """How many groups, at least 1, where an image has at most so many ground truths."""
        if not self.dynamic_dn_groups:
            return max(int(self.num_groups), 1)
        return max(self.num_dn_queries // max_num_target, 1) if max_num_target else 1

    def generate_dn_label_query(self, gt_labels: Tensor, num_groups: int) -> Tensor:
        """Embeddings of the classes, some of which are drawn anew.

        Args:
            gt_labels: (K,) int64, of all images.
            num_groups: G.

        Returns:
            (2·G·K, D).
        """
        labels = gt_labels.repeat(2 * num_groups)
        draws = torch.rand(labels.shape, device=labels.device)
        chosen = (draws < self.label_noise_scale * 0.5).nonzero().squeeze(1)
        drawn = torch.randint_like(chosen, 0, self.num_classes)
        return self.label_embedding(labels.scatter(0, chosen, drawn))

    def generate_dn_bbox_query(self, gt_bboxes: Tensor, num_groups: int) -> Tensor:
        """Boxes whose sides are moved: by less than half the size in the near copies, by half the size to the
        whole in the far ones (for a `box_noise_scale` of 1).

        Args:
            gt_bboxes: x1, y1, x2, y2 from 0 to 1, (K, 4), of all images.
            num_groups: G.

        Returns:
            Logits of cx, cy, w, h, (2·G·K, 4): in each group first the near copies.
        """
        boxes = gt_bboxes.repeat(2 * num_groups, 1)
        sign = torch.randint_like(boxes, 0, 2) * 2.0 - 1.0
        part = torch.rand_like(boxes).view(num_groups, 2, -1, 4)
        part = part + part.new_tensor([0.0, 1.0]).view(1, 2, 1, 1)  # the second half of a group is far away
        size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        moved = boxes + part.view(-1, 4) * sign * size * self.box_noise_scale / 2
        return inverse_sigmoid(bbox_xyxy_to_cxcywh(moved.clamp(0.0, 1.0)), eps=1e-3)

    def generate_dn_mask(
        self, max_num_target: int, num_groups: int, device: torch.device | str | None = None
    ) -> Tensor:
        """Which query must not look at which: no other at a denoising query but those of its own group.

        Returns:
            (Q + matching queries, the same) bool.
        """
        size = 2 * max_num_target
        total = size * num_groups + self.num_matching_queries
        group = torch.arange(total, device=device) // max(size, 1)
        group[size * num_groups :] = num_groups  # the matching queries, which all may look at
        return (group[:, None] != group) & (group < num_groups)


def _normalized(sample: DetDataSample) -> Tensor:
    """The ground-truth boxes of an image, (K, 4) from 0 to 1."""
    height, width = sample.img_shape[:2]
    boxes = sample.gt_instances.bboxes
    return boxes / boxes.new_tensor([width, height, width, height])


def _slots(counts: Sequence[int], groups: int) -> Tensor:
    """The place of each copy among the slots of all images, (2·groups·sum of counts,) int64."""
    most = max(counts)
    total = most * 2 * groups
    first = torch.cat([torch.arange(count) + index * total for index, count in enumerate(counts)])
    return (first + most * torch.arange(2 * groups)[:, None]).flatten()


def _in_slots(x: Tensor, slots: Tensor, batch: int, total: int) -> Tensor:
    """Rows (N, n) put at their places of (batch, total, n); the others are 0."""
    empty = x.new_zeros(batch * total, x.size(1))
    return empty.index_put((slots,), x).view(batch, total, x.size(1))
