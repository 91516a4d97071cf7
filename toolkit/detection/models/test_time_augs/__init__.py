"""Test-time augmentation: several views of an image, one set of detections."""

from toolkit.detection.models.test_time_augs.defaults import default_tta
from toolkit.detection.models.test_time_augs.det_tta import DetTTAModel

__all__ = ["DetTTAModel", "default_tta"]
