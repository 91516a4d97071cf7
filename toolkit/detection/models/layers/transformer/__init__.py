"""Encoders and decoders of detection transformers."""

from toolkit.detection.models.layers.transformer.conditional_detr_layers import (
    ConditionalDetrTransformerDecoder,
    ConditionalDetrTransformerDecoderLayer,
)
from toolkit.detection.models.layers.transformer.dab_detr_layers import (
    DABDetrTransformerDecoder,
    DABDetrTransformerDecoderLayer,
    DABDetrTransformerEncoder,
)
from toolkit.detection.models.layers.transformer.deformable_detr_layers import (
    DeformableDetrTransformerDecoder,
    DeformableDetrTransformerDecoderLayer,
    DeformableDetrTransformerEncoder,
    DeformableDetrTransformerEncoderLayer,
)
from toolkit.detection.models.layers.transformer.denoising import CdnQueryGenerator, Denoising
from toolkit.detection.models.layers.transformer.detr_layers import (
    DetrTransformerDecoder,
    DetrTransformerDecoderLayer,
    DetrTransformerEncoder,
    DetrTransformerEncoderLayer,
)
from toolkit.detection.models.layers.transformer.dino_layers import DinoTransformerDecoder
from toolkit.detection.models.layers.transformer.utils import (
    MLP,
    ConditionalAttention,
    coordinate_to_encoding,
    inverse_sigmoid,
    moved,
)

__all__ = [
    "MLP",
    "CdnQueryGenerator",
    "ConditionalAttention",
    "ConditionalDetrTransformerDecoder",
    "ConditionalDetrTransformerDecoderLayer",
    "DABDetrTransformerDecoder",
    "DABDetrTransformerDecoderLayer",
    "DABDetrTransformerEncoder",
    "DeformableDetrTransformerDecoder",
    "DeformableDetrTransformerDecoderLayer",
    "DeformableDetrTransformerEncoder",
    "DeformableDetrTransformerEncoderLayer",
    "Denoising",
    "DetrTransformerDecoder",
    "DetrTransformerDecoderLayer",
    "DetrTransformerEncoder",
    "DetrTransformerEncoderLayer",
    "DinoTransformerDecoder",
    "coordinate_to_encoding",
    "inverse_sigmoid",
    "moved",
]
