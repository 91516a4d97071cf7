"""RoI extractors: features of regions from a pyramid."""

from toolkit.detection.models.roi_heads.roi_extractors.base_roi_extractor import BaseRoIExtractor
from toolkit.detection.models.roi_heads.roi_extractors.generic_roi_extractor import GenericRoIExtractor
from toolkit.detection.models.roi_heads.roi_extractors.single_level_roi_extractor import SingleRoIExtractor

__all__ = ["BaseRoIExtractor", "GenericRoIExtractor", "SingleRoIExtractor"]
