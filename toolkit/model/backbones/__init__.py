"""Backbones that every task may use."""

from toolkit.model.backbones.resnet import ResNet, ResNetV1d
from toolkit.model.backbones.resnet_blocks import BasicBlock, Bottleneck, ResLayer
from toolkit.model.backbones.torchvision_backbone import TorchvisionBackbone

__all__ = ["BasicBlock", "Bottleneck", "ResLayer", "ResNet", "ResNetV1d", "TorchvisionBackbone"]
