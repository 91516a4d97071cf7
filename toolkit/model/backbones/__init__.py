"""Backbones that every task may use."""

from toolkit.model.backbones.convnext import GRN, ConvNeXt
from toolkit.model.backbones.efficientnet import EdgeResidual, EfficientNet
from toolkit.model.backbones.hrnet import HRModule, HRNet
from toolkit.model.backbones.inverted_residual import InvertedResidual
from toolkit.model.backbones.mobilenet_v2 import MobileNetV2
from toolkit.model.backbones.pvt import PyramidVisionTransformer, PyramidVisionTransformerV2
from toolkit.model.backbones.res2net import Bottle2neck, Res2Net
from toolkit.model.backbones.resnest import ResNeSt, SplitAttentionConv2d
from toolkit.model.backbones.resnet import ResNet, ResNetV1d
from toolkit.model.backbones.resnet_blocks import BasicBlock, Bottleneck, ResLayer
from toolkit.model.backbones.resnext import GroupedBottleneck, RegNet, ResNeXt
from toolkit.model.backbones.swin import SwinTransformer
from toolkit.model.backbones.timm_backbone import TIMMBackbone
from toolkit.model.backbones.torchvision_backbone import TorchvisionBackbone

__all__ = [
    "GRN",
    "BasicBlock",
    "Bottle2neck",
    "Bottleneck",
    "ConvNeXt",
    "EdgeResidual",
    "EfficientNet",
    "GroupedBottleneck",
    "HRModule",
    "HRNet",
    "InvertedResidual",
    "MobileNetV2",
    "PyramidVisionTransformer",
    "PyramidVisionTransformerV2",
    "RegNet",
    "Res2Net",
    "ResLayer",
    "ResNeSt",
    "ResNeXt",
    "ResNet",
    "ResNetV1d",
    "SplitAttentionConv2d",
    "SwinTransformer",
    "TIMMBackbone",
    "TorchvisionBackbone",
]
