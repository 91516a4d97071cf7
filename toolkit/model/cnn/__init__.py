"""Building blocks of convolutional networks, chosen by small config dicts."""

from toolkit.model.cnn.activations import Clamp, HSigmoid, build_activation_layer
from toolkit.model.cnn.conv_module import ConvModule
from toolkit.model.cnn.deform_conv import DeformConv2dPack, ModulatedDeformConv2dPack
from toolkit.model.cnn.layers import (
    PixelShufflePack,
    build_conv_layer,
    build_padding_layer,
    build_plugin_layer,
    build_upsample_layer,
)
from toolkit.model.cnn.norms import SyncBN, build_norm_layer, infer_abbr, is_norm

__all__ = [
    "Clamp",
    "ConvModule",
    "DeformConv2dPack",
    "HSigmoid",
    "ModulatedDeformConv2dPack",
    "PixelShufflePack",
    "SyncBN",
    "build_activation_layer",
    "build_conv_layer",
    "build_norm_layer",
    "build_padding_layer",
    "build_plugin_layer",
    "build_upsample_layer",
    "infer_abbr",
    "is_norm",
]
