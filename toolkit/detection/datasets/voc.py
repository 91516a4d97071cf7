"""Pascal VOC 2007 and 2012."""

from __future__ import annotations

from typing import Any

from toolkit.detection.datasets.xml_style import XMLDataset
from toolkit.detection.registry import DATASETS

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle",
    "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person",
    "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
# MMDetection's colours, so that pictures of the two can be compared
PALETTE = [
    (106, 0, 228), (119, 11, 32), (165, 42, 42), (0, 0, 192), (197, 226, 255),
    (0, 60, 100), (0, 0, 142), (255, 77, 255), (153, 69, 1), (120, 166, 157),
    (0, 182, 199), (0, 226, 252), (182, 182, 255), (0, 0, 230), (220, 20, 60),
    (163, 255, 0), (0, 82, 0), (3, 95, 161), (0, 80, 100), (183, 130, 88),
]  # fmt: skip


@DATASETS.register_module()
class VOCDataset(XMLDataset):
    """Pascal VOC detection, and other data in its layout through `metainfo=dict(classes=(…))`.

    `metainfo['dataset_type']` is 'VOC2007' or 'VOC2012' where `sub_data_root` says so, else None. Since it
    differs between the two years, a `ConcatDataset` of both needs `ignore_keys=['dataset_type']`.

    Everingham et al., "The Pascal Visual Object Classes Challenge: A Retrospective", IJCV 2015.

    Args:
        **kwargs: Passed on to `XMLDataset`.

    Examples:
        >>> dict(type='VOCDataset', data_root='data/VOCdevkit/',
        ...      ann_file='VOC2007/ImageSets/Main/trainval.txt',
        ...      data_prefix=dict(sub_data_root='VOC2007/'))  # doctest: +SKIP
    """

    METAINFO = {"classes": CLASSES, "palette": PALETTE}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        years = (year for year in ("VOC2007", "VOC2012") if year in self.sub_data_root)
        self._metainfo["dataset_type"] = next(years, None)
