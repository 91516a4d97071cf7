"""Building blocks of transformers, chosen by small config dicts."""

from toolkit.model.transformer.attention import MultiheadAttention
from toolkit.model.transformer.deform_attention import (
    MultiScaleDeformableAttention,
    multi_scale_deformable_attn,
)
from toolkit.model.transformer.drop import Dropout, DropPath, build_dropout, drop_path
from toolkit.model.transformer.feedforward import FFN, LayerScale
from toolkit.model.transformer.patches import PatchEmbed, PatchMerging, nchw_to_nlc, nlc_to_nchw

__all__ = [
    "FFN",
    "DropPath",
    "Dropout",
    "LayerScale",
    "MultiScaleDeformableAttention",
    "MultiheadAttention",
    "PatchEmbed",
    "PatchMerging",
    "build_dropout",
    "drop_path",
    "multi_scale_deformable_attn",
    "nchw_to_nlc",
    "nlc_to_nchw",
]
