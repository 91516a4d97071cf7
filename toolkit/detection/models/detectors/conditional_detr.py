"""Conditional DETR."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from toolkit.detection.models.detectors.detection_transformer import Inputs
from toolkit.detection.models.detectors.detr import DETR
from toolkit.detection.models.layers.transformer import ConditionalDetrTransformerDecoder
from toolkit.detection.registry import MODELS


@MODELS.register_module()
class ConditionalDETR(DETR):
    """DETR whose cross attention has a spatial query of its own (Meng et al., "Conditional DETR for Fast
    Training Convergence", 2021). Arguments are those of `DetectionTransformer`.
    """

    decoder_type: ClassVar[Any] = ConditionalDetrTransformerDecoder

    def forward_decoder(  # type: ignore[override]
        self,
        query: Tensor,
        query_pos: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        memory_pos: Tensor,
    ) -> Inputs:
        """See `DetectionTransformer`."""
        states, references = self.decoder(query, memory, query_pos, memory_pos, memory_mask)
        return {"hidden_states": states, "references": references}
