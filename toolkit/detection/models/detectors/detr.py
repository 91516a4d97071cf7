"""DETR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.detectors.detection_transformer import (
    DetectionTransformer,
    Inputs,
    Samples,
    as_sequence,
    padding_masks,
)
from toolkit.detection.models.layers.transformer import DetrTransformerDecoder, DetrTransformerEncoder
from toolkit.detection.registry import MODELS


@MODELS.register_module()
class DETR(DetectionTransformer):
    """Queries that look at the last feature map (Carion et al., "End-to-End Object Detection with
    Transformers", 2020). Arguments are those of `DetectionTransformer`.

    State-dict keys: those of its base, ``query_embedding.weight``.
    """

    encoder_type: ClassVar[Any] = DetrTransformerEncoder
    decoder_type: ClassVar[Any] = DetrTransformerDecoder

    def _init_queries(self) -> None:
        self.query_embedding = nn.Embedding(self.num_queries, self.embed_dims)

    def pre_transformer(
        self, img_feats: Sequence[Tensor], batch_data_samples: Samples = None
    ) -> tuple[Inputs, Inputs]:
        """See `DetectionTransformer`."""
        feat = img_feats[-1]
        height, width = feat.shape[-2:]
        masks = padding_masks(batch_data_samples, [(height, width)], feat.device)
        mask = None if masks is None else masks[0]
        pos = as_sequence(self.positional_encoding(mask, input=feat))
        mask = None if mask is None else mask.flatten(1)
        encoder_inputs = {"feat": as_sequence(feat), "feat_mask": mask, "feat_pos": pos}
        return encoder_inputs, {"memory_mask": mask, "memory_pos": pos}

    def forward_encoder(self, feat: Tensor, feat_mask: Tensor | None, feat_pos: Tensor) -> Inputs:  # type: ignore[override]
        """See `DetectionTransformer`; the map as a sequence (B, N, D), where it is padding, and positions."""
        return {"memory": self.encoder(feat, feat_pos, feat_mask)}

    def pre_decoder(self, memory: Tensor, **inputs: Any) -> tuple[Inputs, Inputs]:
        """See `DetectionTransformer`. Queries are learned positions with nothing in them."""
        query_pos = self.query_embedding.weight.expand(len(memory), -1, -1)
        return {"query": torch.zeros_like(query_pos), "query_pos": query_pos, "memory": memory}, {}

    def forward_decoder(  # type: ignore[override]
        self,
        query: Tensor,
        query_pos: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        memory_pos: Tensor,
    ) -> Inputs:
        """See `DetectionTransformer`."""
        states = self.decoder(query, memory, memory, query_pos, memory_pos, memory_mask)
        return {"hidden_states": states}
