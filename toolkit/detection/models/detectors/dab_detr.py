"""DAB-DETR."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.detectors.detection_transformer import Inputs
from toolkit.detection.models.detectors.detr import DETR
from toolkit.detection.models.layers.transformer import (
    DABDetrTransformerDecoder,
    DABDetrTransformerEncoder,
    inverse_sigmoid,
)
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError


@MODELS.register_module()
class DABDETR(DETR):
    """DETR whose queries are boxes (Liu et al., "DAB-DETR: Dynamic Anchor Boxes are Better Queries for DETR",
    2022).

    State-dict keys: those of `DETR`, and ``patterns.weight``.

    Args:
        *args: See `DetectionTransformer`.
        with_random_refpoints: Whether the centres of the boxes start anywhere and stay.
        num_patterns: How many queries share a box; 0 for one, with nothing in it.
        **kwargs: See `DetectionTransformer`.

    Raises:
        BuildError: `num_patterns` is not an int.
    """

    encoder_type: ClassVar[Any] = DABDetrTransformerEncoder
    decoder_type: ClassVar[Any] = DABDetrTransformerDecoder

    def __init__(
        self, *args: Any, with_random_refpoints: bool = False, num_patterns: int = 0, **kwargs: Any
    ) -> None:
        if not isinstance(num_patterns, int):
            raise BuildError(f"num_patterns of DABDETR must be an int, got {num_patterns!r}")
        self.with_random_refpoints, self.num_patterns = with_random_refpoints, num_patterns
        super().__init__(*args, **kwargs)

    def _init_queries(self) -> None:
        self.query_dim = self.decoder.query_dim
        self.query_embedding = nn.Embedding(self.num_queries, self.query_dim)
        if self.num_patterns > 0:
            self.patterns = nn.Embedding(self.num_patterns, self.embed_dims)

    def init_weights(self) -> None:
        """As its base; with `with_random_refpoints`, boxes uniformly from 0 to 1."""
        super().init_weights()
        if self.with_random_refpoints:
            with torch.no_grad():
                self.query_embedding.weight.uniform_(0, 1)
                self.query_embedding.weight[:, :2] = inverse_sigmoid(self.query_embedding.weight[:, :2])

    def pre_decoder(self, memory: Tensor, **inputs: Any) -> tuple[Inputs, Inputs]:
        """See `DetectionTransformer`. Queries are learned boxes, with nothing in them or a pattern."""
        batch = len(memory)
        query_pos = self.query_embedding.weight.expand(batch, -1, -1)
        if self.num_patterns == 0:
            query = memory.new_zeros(batch, self.num_queries, self.embed_dims)
        else:
            query = self.patterns.weight.repeat_interleave(self.num_queries, dim=0).expand(batch, -1, -1)
            query_pos = query_pos.repeat(1, self.num_patterns, 1)
        return {"query": query, "query_pos": query_pos, "memory": memory}, {}

    def forward_decoder(  # type: ignore[override]
        self,
        query: Tensor,
        query_pos: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        memory_pos: Tensor,
    ) -> Inputs:
        """See `DetectionTransformer`."""
        states, references = self.decoder(
            query, memory, query_pos, memory_pos, self.bbox_head.fc_reg, memory_mask
        )
        return {"hidden_states": states, "references": references}
