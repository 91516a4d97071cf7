"""Necks: between backbone and heads."""

from toolkit.detection.models.necks.bfp import BFP
from toolkit.detection.models.necks.channel_mapper import ChannelMapper
from toolkit.detection.models.necks.csp_pafpn import YOLOXPAFPN, CSPNeXtPAFPN
from toolkit.detection.models.necks.ct_resnet_neck import CTResNetNeck
from toolkit.detection.models.necks.dilated_encoder import DilatedEncoder
from toolkit.detection.models.necks.dyhead import DyHead
from toolkit.detection.models.necks.fpg import FPG
from toolkit.detection.models.necks.fpn import FPN
from toolkit.detection.models.necks.fpn_carafe import FPN_CARAFE
from toolkit.detection.models.necks.fpn_dropblock import FPN_DropBlock
from toolkit.detection.models.necks.hrfpn import HRFPN
from toolkit.detection.models.necks.nas_fpn import NASFPN
from toolkit.detection.models.necks.nasfcos_fpn import NASFCOS_FPN
from toolkit.detection.models.necks.pafpn import PAFPN
from toolkit.detection.models.necks.rfp import RFP
from toolkit.detection.models.necks.ssd_neck import L2Norm, SSDNeck
from toolkit.detection.models.necks.ssh import SSH
from toolkit.detection.models.necks.yolo_neck import YOLOV3Neck

__all__ = [
    "BFP",
    "FPG",
    "FPN",
    "FPN_CARAFE",
    "HRFPN",
    "NASFCOS_FPN",
    "NASFPN",
    "PAFPN",
    "RFP",
    "SSH",
    "YOLOXPAFPN",
    "CSPNeXtPAFPN",
    "CTResNetNeck",
    "ChannelMapper",
    "DilatedEncoder",
    "DyHead",
    "FPN_DropBlock",
    "L2Norm",
    "SSDNeck",
    "YOLOV3Neck",
]
