"""LVIS: masks of more than a thousand classes, most of them rare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.detection.datasets.class_lists import class_names
from toolkit.detection.datasets.coco import CLASSES_FIX, CocoDataset
from toolkit.detection.datasets.coco_format import CocoFile, category_ids
from toolkit.detection.registry import DATASETS

_URL = "http://images.cocodataset.org/"
_NAME_OF_2017 = len("000000000000.jpg")


def lvis_category_ids(
    file: CocoFile, classes: Sequence[str], fix: str, missing_ok: bool = False
) -> list[Any]:
    """The category id of each class: by name, or in the order of the file where it spells them otherwise.

    Releases of LVIS differ in the spelling of some names. See `category_ids`.
    """
    spelt_otherwise = not set(classes) <= set(file.categories.values())
    if spelt_otherwise and len(file.categories) == len(classes):
        return sorted(file.categories)
    return category_ids(file, classes, fix, missing_ok)


class _LVISBase(CocoDataset):
    """What the versions of LVIS share."""

    def find_categories(self, file: CocoFile) -> list[Any]:
        """See `lvis_category_ids`."""
        return lvis_category_ids(file, self._metainfo["classes"], CLASSES_FIX, self.allow_missing_classes)


@DATASETS.register_module(name=["LVISV05Dataset", "LVISDataset"])
class LVISV05Dataset(_LVISBase):
    """LVIS v0.5 (1,230 classes), on the images of COCO 2017.

    Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019.

    Args:
        *args: Passed on to `CocoDataset`.
        **kwargs: Passed on to `CocoDataset`. `data_prefix=dict(img='train2017/')` is the images' folder.
    """

    METAINFO = {"classes": class_names("lvis_v0.5"), "palette": None}

    def file_name(self, image: Mapping[str, Any]) -> str:
        """The image's name in COCO 2017, of which that of COCO 2014 ends in."""
        name: str = image["file_name"]
        return name[-_NAME_OF_2017:] if name.startswith("COCO") else name


LVISDataset = LVISV05Dataset


@DATASETS.register_module()
class LVISV1Dataset(_LVISBase):
    """LVIS v1 (1,203 classes), on the images of COCO 2017.

    Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019.

    Args:
        *args: Passed on to `CocoDataset`.
        **kwargs: Passed on to `CocoDataset`. `data_prefix=dict(img='')` is the folder that holds `train2017`
            and `val2017`, since a split has images of both.
    """

    METAINFO = {"classes": class_names("lvis_v1"), "palette": None}

    def file_name(self, image: Mapping[str, Any]) -> str:
        """The image's folder and name, which its URL ends in."""
        return image["coco_url"].removeprefix(_URL)
