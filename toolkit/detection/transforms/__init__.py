"""Transforms of detection samples, on MMDetection's `results` dict.

The keys of a sample, from the loading transforms on:

==================== =====================================================================
img                  (H, W, 3) uint8 BGR
img_shape            (H, W) of the image as it is now
ori_shape            (H, W) of the image as it was read
gt_bboxes            (N, 4) float32 xyxy in pixels of the image as it is now
gt_bboxes_labels     (N,) int64
gt_ignore_flags      (N,) bool: objects that neither train nor count
gt_masks             BitmapMasks or PolygonMasks of N
gt_seg_map           (H, W) uint8
proposals            (P, 4) float32, and proposals_scores (P,) float32
mix_results          other samples, for those that mix several
scale_factor         (w, h) by which Resize scaled
flip, flip_direction whether and how RandomFlip flipped
homography_matrix    (3, 3) float32 from the image as it was read to the image as it is now
==================== =====================================================================
"""

from toolkit.detection.transforms.affine import RandomAffine, RandomShift
from toolkit.detection.transforms.center_crop_pad import RandomCenterCropPad
from toolkit.detection.transforms.color import (
    AutoContrast,
    Brightness,
    Color,
    ColorTransform,
    Contrast,
    Equalize,
    Invert,
    Posterize,
    Sharpness,
    Solarize,
    SolarizeAdd,
)
from toolkit.detection.transforms.copy_paste import CopyPaste
from toolkit.detection.transforms.crop import Expand, MinIoURandomCrop, RandomCrop
from toolkit.detection.transforms.erasing import CutOut, RandomErasing
from toolkit.detection.transforms.extras import Albu, Corrupt, InstaBoost
from toolkit.detection.transforms.formatting import PackDetInputs
from toolkit.detection.transforms.geom_transform import (
    GeomTransform,
    Rotate,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
)
from toolkit.detection.transforms.geometric import RandomFlip, Resize
from toolkit.detection.transforms.glip import GTBoxSubOne_GLIP, RandomFlip_GLIP
from toolkit.detection.transforms.hsv import YOLOXHSVRandomAug
from toolkit.detection.transforms.loading import FilterAnnotations, LoadAnnotations
from toolkit.detection.transforms.loading_extras import (
    LoadEmptyAnnotations,
    LoadPanopticAnnotations,
    LoadProposals,
)
from toolkit.detection.transforms.loading_images import (
    InferencerLoader,
    LoadImageFromNDArray,
    LoadMultiChannelImageFromFiles,
)
from toolkit.detection.transforms.mixup import CachedMixUp, MixUp
from toolkit.detection.transforms.mosaic import CachedMosaic, Mosaic
from toolkit.detection.transforms.photometric import PhotoMetricDistortion
from toolkit.detection.transforms.policies import AutoAugment, RandAugment
from toolkit.detection.transforms.resize import FixScaleResize, FixShapeResize, ResizeShortestEdge, SegRescale
from toolkit.detection.transforms.text import LoadTextAnnotations, RandomSamplingNegPos
from toolkit.detection.transforms.wrappers import MultiBranch, ProposalBroadcaster, RandomOrder
from toolkit.transforms import CenterCrop, MultiScaleFlipAug, Normalize, Pad, RandomGrayscale

__all__ = [
    "Albu",
    "AutoAugment",
    "AutoContrast",
    "Brightness",
    "CachedMixUp",
    "CachedMosaic",
    "CenterCrop",
    "Color",
    "ColorTransform",
    "Contrast",
    "CopyPaste",
    "Corrupt",
    "CutOut",
    "Equalize",
    "Expand",
    "FilterAnnotations",
    "FixScaleResize",
    "FixShapeResize",
    "GTBoxSubOne_GLIP",
    "GeomTransform",
    "InferencerLoader",
    "InstaBoost",
    "Invert",
    "LoadAnnotations",
    "LoadEmptyAnnotations",
    "LoadImageFromNDArray",
    "LoadMultiChannelImageFromFiles",
    "LoadPanopticAnnotations",
    "LoadProposals",
    "LoadTextAnnotations",
    "MinIoURandomCrop",
    "MixUp",
    "Mosaic",
    "MultiBranch",
    "MultiScaleFlipAug",
    "Normalize",
    "PackDetInputs",
    "Pad",
    "PhotoMetricDistortion",
    "Posterize",
    "ProposalBroadcaster",
    "RandAugment",
    "RandomAffine",
    "RandomCenterCropPad",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomFlip_GLIP",
    "RandomGrayscale",
    "RandomOrder",
    "RandomSamplingNegPos",
    "RandomShift",
    "Resize",
    "ResizeShortestEdge",
    "Rotate",
    "SegRescale",
    "Sharpness",
    "ShearX",
    "ShearY",
    "Solarize",
    "SolarizeAdd",
    "TranslateX",
    "TranslateY",
    "YOLOXHSVRandomAug",
]
