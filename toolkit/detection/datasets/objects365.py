"""Objects365: boxes of 365 classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from toolkit.detection.datasets.class_lists import class_names
from toolkit.detection.datasets.coco import CocoDataset
from toolkit.detection.registry import DATASETS

# images of version 2 that are damaged or absent from the published archives
_UNUSABLE = frozenset(
    {
        os.path.join("patch16", "objects365_v2_00908726.jpg"),
        os.path.join("patch6", "objects365_v1_00320532.jpg"),
        os.path.join("patch6", "objects365_v1_00320534.jpg"),
    }
)


@DATASETS.register_module()
class Objects365V1Dataset(CocoDataset):
    """Objects365 version 1.

    Shao et al., "Objects365: A Large-Scale, High-Quality Dataset for Object Detection", ICCV 2019.

    Args:
        *args: Passed on to `CocoDataset`.
        **kwargs: Passed on to `CocoDataset`.
    """

    METAINFO = {"classes": class_names("objects365_v1"), "palette": None}


@DATASETS.register_module()
class Objects365V2Dataset(CocoDataset):
    """Objects365 version 2, whose images lie in folders `patch0` to `patch50`.

    Three images that the published archives lack or hold damaged are left out.

    Shao et al., "Objects365: A Large-Scale, High-Quality Dataset for Object Detection", ICCV 2019.

    Args:
        *args: Passed on to `CocoDataset`.
        **kwargs: Passed on to `CocoDataset`.
    """

    METAINFO = {"classes": class_names("objects365_v2"), "palette": None}

    def file_name(self, image: Mapping[str, Any]) -> str:
        """The last folder and the name of the image."""
        folder, name = os.path.split(image["file_name"])
        return os.path.join(os.path.basename(folder), name)

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """The sample of one image; an empty dict for one that can't be used."""
        image = raw_data_info["raw_img_info"]
        if "file_name" in image and self.file_name(image) in _UNUSABLE:
            return {}
        return super().parse_data_info(raw_data_info)
