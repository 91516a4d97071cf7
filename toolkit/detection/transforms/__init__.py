"""Transforms of detection samples, on MMDetection's `results` dict.

The keys of a sample, from the loading transforms on:

==================== =====================================================================
img                  (H, W, 3) uint8 BGR
img_shape            (H, W) of the image as it is now
ori_shape            (H, W) of the image as it was read
gt_bboxes            (N, 4) float32 xyxy in pixels of the image as it is now
gt_bboxes_labels     (N,) int64
gt_ignore_flags      (N,) bool: objects that neither train nor count
gt_masks             BitmapMasks of N
gt_seg_map           (H, W) uint8
scale_factor         (w, h) by which Resize scaled
flip, flip_direction whether and how RandomFlip flipped
homography_matrix    (3, 3) float32 from the image as it was read to the image as it is now
==================== =====================================================================
"""

from toolkit.detection.transforms.crop import Expand, MinIoURandomCrop, RandomCrop
from toolkit.detection.transforms.formatting import PackDetInputs
from toolkit.detection.transforms.geometric import Pad, RandomFlip, Resize
from toolkit.detection.transforms.loading import FilterAnnotations, LoadAnnotations
from toolkit.detection.transforms.photometric import PhotoMetricDistortion

__all__ = [
    "Expand",
    "FilterAnnotations",
    "LoadAnnotations",
    "MinIoURandomCrop",
    "PackDetInputs",
    "Pad",
    "PhotoMetricDistortion",
    "RandomCrop",
    "RandomFlip",
    "Resize",
]
