"""Decoder and query selection of DDQ-DETR.

Shapes: B images, Q queries of the decoder, S of them that are to be distinct.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.layers.nms import batched_nms
from toolkit.detection.models.layers.transformer.dino_layers import DinoTransformerDecoder
from toolkit.detection.models.utils import bbox_cxcywh_to_xyxy


class DDQTransformerDecoder(DinoTransformerDecoder):
    """The decoder of DINO under the name that it has in DDQ-DETR; `DistinctQueries` is what is new."""


class DistinctQueries:
    """Keeps queries that find the same object from seeing each other (Zhang et al., "Dense Distinct Query for
    End-to-End Object Detection", 2023).

    Called after each layer; gives the mask of the next one.

    Args:
        cls_branches: A classifier a layer.
        start: The first query that is to be distinct.
        count: How many are.
        num_heads: Heads of the self attention.
        nms_cfg: How they are told apart; see `batched_nms`.
    """

    def __init__(
        self,
        cls_branches: Sequence[Callable[[Tensor], Tensor]],
        start: int,
        count: int,
        num_heads: int,
        nms_cfg: Mapping[str, Any],
    ) -> None:
        self.cls_branches, self.nms_cfg, self.num_heads = cls_branches, nms_cfg, num_heads
        self.part = slice(start, start + count)
        self.kept: list[Tensor] = []
        """Which queries count after each call, (B, S) bool."""

    @torch.no_grad()
    def __call__(self, index: int, query: Tensor, boxes: Tensor, mask: Tensor | None) -> Tensor:
        """Which query must not look at which, (B·heads, Q, Q) bool.

        Args:
            index: Which layer it was.
            query: Its output, (B, Q, D).
            boxes: cx, cy, w, h, (B, Q, 4).
            mask: The mask of the layer, (Q, Q) or (B·heads, Q, Q); None: no query was hidden.
        """
        batch, total = query.shape[:2]
        scores = self.cls_branches[index](query[:, self.part]).sigmoid().amax(-1)
        corners = bbox_cxcywh_to_xyxy(boxes[:, self.part])
        before = self.kept[-1] if self.kept else torch.ones_like(scores, dtype=torch.bool)
        kept = torch.zeros_like(before)
        for image in range(batch):
            places = before[image].nonzero().squeeze(1)
            own = scores[image, places]
            chosen = batched_nms(corners[image, places], own, torch.zeros_like(places), self.nms_cfg)[1]
            kept[image, places[chosen]] = True
        if mask is None:
            mask = torch.zeros(total, total, dtype=torch.bool, device=query.device)
        # All heads of an image have the same mask.
        base = mask if mask.dim() == 2 else mask[:: self.num_heads]
        mask = base.expand(batch, -1, -1).clone()
        mask[:, self.part, self.part] = ~(kept[:, :, None] | kept[:, None, :])
        # What counts is what the first query sees, as in the reference: all, where it is kept itself.
        self.kept.append(kept | kept[:, :1])
        return mask.repeat_interleave(self.num_heads, dim=0)
