"""Backbones that only detectors use."""

from toolkit.detection.models.backbones.csp import CSPDarknet, CSPNeXt
from toolkit.detection.models.backbones.darknet import Darknet
from toolkit.detection.models.backbones.detectors_resnet import DetectoRS_ResNet, DetectoRS_ResNeXt
from toolkit.detection.models.backbones.hourglass import HourglassNet
from toolkit.detection.models.backbones.ssd_vgg import SSDVGG
from toolkit.detection.models.backbones.trident_resnet import TridentResNet

__all__ = [
    "SSDVGG",
    "CSPDarknet",
    "CSPNeXt",
    "Darknet",
    "DetectoRS_ResNeXt",
    "DetectoRS_ResNet",
    "HourglassNet",
    "TridentResNet",
]
