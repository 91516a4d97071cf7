"""Detection datasets and the samplers made for them."""

from toolkit.detection.datasets.balancing_samplers import (
    ClassAwareSampler,
    CustomSampleSizeSampler,
    MultiDataSampler,
)
from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.datasets.coco import CocoDataset
from toolkit.detection.datasets.coco_variants import CityscapesDataset, DeepFashionDataset, V3DetDataset
from toolkit.detection.datasets.crowdhuman import CrowdHumanDataset
from toolkit.detection.datasets.lvis import LVISDataset, LVISV05Dataset, LVISV1Dataset
from toolkit.detection.datasets.multi_source_sampler import GroupMultiSourceSampler, MultiSourceSampler
from toolkit.detection.datasets.objects365 import Objects365V1Dataset, Objects365V2Dataset
from toolkit.detection.datasets.openimages import OpenImagesChallengeDataset, OpenImagesDataset
from toolkit.detection.datasets.samplers import AspectRatioBatchSampler, MultiDataAspectRatioBatchSampler
from toolkit.detection.datasets.shapes import ShapesDataset
from toolkit.detection.datasets.voc import VOCDataset
from toolkit.detection.datasets.wider_face import WIDERFaceDataset
from toolkit.detection.datasets.xml_style import XMLDataset

__all__ = [
    "AspectRatioBatchSampler",
    "BaseDetDataset",
    "CityscapesDataset",
    "ClassAwareSampler",
    "CocoDataset",
    "CrowdHumanDataset",
    "CustomSampleSizeSampler",
    "DeepFashionDataset",
    "GroupMultiSourceSampler",
    "LVISDataset",
    "LVISV05Dataset",
    "LVISV1Dataset",
    "MultiDataAspectRatioBatchSampler",
    "MultiDataSampler",
    "MultiSourceSampler",
    "Objects365V1Dataset",
    "Objects365V2Dataset",
    "OpenImagesChallengeDataset",
    "OpenImagesDataset",
    "ShapesDataset",
    "V3DetDataset",
    "VOCDataset",
    "WIDERFaceDataset",
    "XMLDataset",
]
