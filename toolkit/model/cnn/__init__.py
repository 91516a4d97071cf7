"""Building blocks of convolutional networks, chosen by small config dicts."""

from toolkit.model.cnn.activations import Clamp, HSigmoid, build_activation_layer
from toolkit.model.cnn.adaptive_padding import AdaptivePadding, Conv2dAdaptivePadding
from toolkit.model.cnn.carafe import CARAFEPack, carafe
from toolkit.model.cnn.context_block import ContextBlock
from toolkit.model.cnn.conv_module import ConvModule
from toolkit.model.cnn.deform_conv import (
    DeformConv2d,
    DeformConv2dPack,
    ModulatedDeformConv2dPack,
    deform_conv2d,
)
from toolkit.model.cnn.depthwise import DepthwiseSeparableConvModule
from toolkit.model.cnn.dropblock import DropBlock
from toolkit.model.cnn.generalized_attention import GeneralizedAttention
from toolkit.model.cnn.layers import (
    PixelShufflePack,
    build_conv_layer,
    build_padding_layer,
    build_plugin_layer,
    build_upsample_layer,
)
from toolkit.model.cnn.merge_cells import BaseMergeCell, ConcatCell, GlobalPoolingCell, SumCell
from toolkit.model.cnn.non_local import NonLocal2d
from toolkit.model.cnn.norms import LayerNorm2d, MMSyncBN, SyncBN, build_norm_layer, infer_abbr
from toolkit.model.cnn.pooling import GlobalAveragePooling
from toolkit.model.cnn.scale import Scale
from toolkit.model.cnn.squeeze import DyReLU, SELayer
from toolkit.model.cnn.weight_std import ConvAWS2d, ConvWS2d, SAConv2d
from toolkit.utils.dl_utils import is_norm

__all__ = [
    "AdaptivePadding",
    "BaseMergeCell",
    "CARAFEPack",
    "Clamp",
    "ConcatCell",
    "ContextBlock",
    "Conv2dAdaptivePadding",
    "ConvAWS2d",
    "ConvModule",
    "ConvWS2d",
    "DeformConv2d",
    "DeformConv2dPack",
    "DepthwiseSeparableConvModule",
    "DropBlock",
    "DyReLU",
    "GeneralizedAttention",
    "GlobalAveragePooling",
    "GlobalPoolingCell",
    "HSigmoid",
    "LayerNorm2d",
    "MMSyncBN",
    "ModulatedDeformConv2dPack",
    "NonLocal2d",
    "PixelShufflePack",
    "SAConv2d",
    "SELayer",
    "Scale",
    "SumCell",
    "SyncBN",
    "build_activation_layer",
    "build_conv_layer",
    "build_norm_layer",
    "build_padding_layer",
    "build_plugin_layer",
    "build_upsample_layer",
    "carafe",
    "deform_conv2d",
    "infer_abbr",
    "is_norm",
]
