"""DDQ-DETR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.detectors.deformable_detr import Sizes, taken
from toolkit.detection.models.detectors.detection_transformer import Inputs, Samples
from toolkit.detection.models.detectors.dino import DINO
from toolkit.detection.models.layers.nms import batched_nms
from toolkit.detection.models.layers.transformer.ddq_detr_layers import (
    DDQTransformerDecoder,
    DistinctQueries,
)
from toolkit.detection.models.utils import bbox_cxcywh_to_xyxy
from toolkit.detection.registry import MODELS

_NMS = {"type": "nms", "iou_threshold": 0.8}


@MODELS.register_module()
class DDQDETR(DINO):
    """DINO whose queries are proposals that are told apart, before each layer again, with dense queries
    beside them while training (Zhang et al., "Dense Distinct Query for End-to-End Object Detection", 2023).

    State-dict keys: those of `DINO` without ``query_embedding.weight``, and ``query_map.*``.

    Args:
        *args: See `DINO`.
        dense_topk_ratio: How many dense queries there are, as a multiple of `num_queries`.
        dqs_cfg: How queries are told apart; see `batched_nms`.
        **kwargs: See `DINO`.
    """

    decoder_type: ClassVar[Any] = DDQTransformerDecoder

    def __init__(
        self,
        *args: Any,
        dense_topk_ratio: float = 1.5,
        dqs_cfg: Mapping[str, Any] = _NMS,
        **kwargs: Any,
    ) -> None:
        self.dense_topk_ratio, self.dqs_cfg = dense_topk_ratio, dqs_cfg
        super().__init__(*args, **kwargs)

    def _init_queries(self) -> None:
        self.level_embed = nn.Parameter(torch.zeros(self.num_feature_levels, self.embed_dims))
        self._init_proposals()
        self.query_map = nn.Linear(self.embed_dims, self.embed_dims)

    def _init_query_weights(self) -> None:
        nn.init.xavier_uniform_(self.memory_trans_fc.weight)

    def pre_decoder(  # type: ignore[override]
        self,
        memory: Tensor,
        memory_mask: Tensor | None,
        spatial_shapes: Sizes,
        batch_data_samples: Samples = None,
    ) -> tuple[Inputs, Inputs]:
        """See `DetectionTransformer`. Queries are denoising ones, distinct ones and dense ones, in this
        order; the first and the last only while training.
        """
        features, anchors = self.gen_encoder_output_proposals(memory, memory_mask, spatial_shapes)
        mapped = self.query_map(memory.detach())
        scores, logits = self._proposals_of(features, anchors, self.decoder.num_layers)
        chosen, filled = self._distinct(scores, logits)
        found = [_padded(one, chosen, filled) for one in (scores, logits, mapped)]
        query, references, mask, start = found[2], found[1], None, 0
        head_inputs: Inputs = {
            "enc_outputs_class": found[0],
            "enc_outputs_coord": found[1].sigmoid(),
            "dn_meta": None,
            "num_dense": 0,
        }
        if self.training and batch_data_samples is not None:
            dense = self._proposals_of(features, anchors, -1)
            best = dense[0].amax(-1).sort(dim=1, descending=True)[1]
            best = best[:, : int(self.num_queries * self.dense_topk_ratio)]
            dense_class, dense_logits = (taken(one, best) for one in dense)
            noisy = self.dn_query_generator(batch_data_samples)
            query = torch.cat((noisy.label_query, query, taken(mapped, best)), dim=1)
            references = torch.cat((noisy.bbox_query, references, dense_logits), dim=1)
            mask, start = _apart(noisy.attn_mask, best.size(1)), noisy.label_query.size(1)
            head_inputs.update(
                dn_meta=noisy.meta,
                num_dense=best.size(1),
                aux_enc_outputs_class=dense_class,
                aux_enc_outputs_coord=dense_logits.sigmoid(),
            )
        decoder_inputs = {
            "query": query,
            "memory": memory,
            "reference_points": references.detach().sigmoid(),
            "dn_mask": mask,
            "start": start,
            "num_dense": head_inputs["num_dense"],
        }
        return decoder_inputs, head_inputs

    def _proposals_of(self, features: Tensor, anchors: Tensor, branch: int) -> tuple[Tensor, Tensor]:
        """Logits of classes (B, N, C) and of boxes (B, N, 4) of each place, by one of the head's branches."""
        scores = self.bbox_head.cls_branches[branch](features)
        return scores, self.bbox_head.reg_branches[branch](features) + anchors

    @torch.no_grad()
    def _distinct(self, scores: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The best proposals that don't overlap, (B, num_queries) int64, and which of those there are."""
        best, boxes = scores.amax(-1).sigmoid(), bbox_cxcywh_to_xyxy(logits.sigmoid())
        chosen = torch.zeros(len(scores), self.num_queries, dtype=torch.int64, device=scores.device)
        filled = torch.zeros_like(chosen, dtype=torch.bool)
        for i, (own, box) in enumerate(zip(best, boxes, strict=True)):
            keep = batched_nms(box, own, torch.zeros_like(own, dtype=torch.int64), self.dqs_cfg)[1]
            keep = keep[: self.num_queries]
            chosen[i, : len(keep)], filled[i, : len(keep)] = keep, True
        return chosen, filled

    def forward_decoder(  # type: ignore[override]
        self,
        query: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        reference_points: Tensor,
        spatial_shapes: Sizes,
        valid_ratios: Tensor,
        dn_mask: Tensor | None = None,
        start: int = 0,
        num_dense: int = 0,
    ) -> Inputs:
        """See `DetectionTransformer`."""
        head = self.bbox_head
        select = DistinctQueries(
            head.cls_branches,
            start,
            self.num_queries,
            self.decoder.layers[0].self_attn.num_heads,
            self.dqs_cfg,
        )
        branches: Any = head.reg_branches
        if num_dense:
            branches = [
                _Split(*pair, num_dense)
                for pair in zip(head.reg_branches, head.aux_reg_branches, strict=False)
            ]
        states, references = self.decoder(
            query,
            memory,
            memory_mask,
            dn_mask,
            reference_points,
            spatial_shapes,
            valid_ratios,
            branches,
            select=select,
        )
        return {"hidden_states": states, "references": references, "distinct": select.kept}


class _Split:
    """A regression of the last so many queries, and another of those before."""

    def __init__(self, first: nn.Module, last: nn.Module, count: int) -> None:
        self.first, self.last, self.count = first, last, count

    def __call__(self, query: Tensor) -> Tensor:
        return torch.cat((self.first(query[:, : -self.count]), self.last(query[:, -self.count :])), dim=1)


def _padded(x: Tensor, places: Tensor, filled: Tensor) -> Tensor:
    """The rows at some places of each image, (B, N, n) to (B, Q, n); 0 where there is none."""
    return taken(x, places).masked_fill(~filled.unsqueeze(-1), 0.0)


def _apart(mask: Tensor, count: int) -> Tensor:
    """A mask (Q, Q) with more queries, which see each other and no other."""
    total = len(mask) + count
    wider = torch.ones(total, total, dtype=torch.bool, device=mask.device)
    wider[: len(mask), : len(mask)] = mask
    wider[len(mask) :, len(mask) :] = False
    return wider
