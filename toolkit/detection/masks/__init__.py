"""Instance masks: bitmaps and polygons with the same methods, and what mask heads learn from them."""

from toolkit.detection.masks.base import InstanceMasks
from toolkit.detection.masks.bitmap import BitmapMasks
from toolkit.detection.masks.convert import bitmap_to_polygon, mask2bbox, polygon_to_bitmap
from toolkit.detection.masks.polygon import PolygonMasks
from toolkit.detection.masks.target import mask_target

__all__ = [
    "BitmapMasks",
    "InstanceMasks",
    "PolygonMasks",
    "bitmap_to_polygon",
    "mask2bbox",
    "mask_target",
    "polygon_to_bitmap",
]
