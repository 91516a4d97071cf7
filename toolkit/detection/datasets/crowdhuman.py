"""CrowdHuman: people in crowds, with boxes of their bodies, of what is seen of these, and of their heads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.datasets.files import read_bytes, read_lines
from toolkit.detection.datasets.image_sizes import image_size
from toolkit.detection.registry import DATASETS
from toolkit.fileio import join_path
from toolkit.utils import DataError


@DATASETS.register_module()
class CrowdHumanDataset(BaseDetDataset):
    """Images described by an `.odgt` file: a line of JSON each, with its `ID` and `gtboxes`.

    `bbox` is the box of the whole body, which may stick out of the image; `fbox`, `hbox` and `vbox` are the
    boxes of body, head and visible part. What isn't tagged as a class, or is to be ignored, gets `bbox_label`
    -1 and `ignore_flag` 1. The files don't hold the images' sizes: they are read from the images' headers.

    Shao et al., "CrowdHuman: A Benchmark for Detecting Human in a Crowd", arXiv:1805.00123.

    Args:
        data_root: Folder that all paths are relative to.
        ann_file: The `.odgt` file.
        extra_ann_file: JSON file of the sizes [height, width] by ID, as MMDetection writes it; without it,
            the images themselves are asked.
        **kwargs: Passed on to `BaseDetDataset`. `data_prefix=dict(img='Images/')` is the images' folder.

    Raises:
        DataError: A file is missing or isn't of that form.
    """

    METAINFO = {"classes": ("person",), "palette": [(220, 20, 60)]}

    def __init__(
        self, data_root: str, ann_file: str, extra_ann_file: str | None = None, **kwargs: Any
    ) -> None:
        self.extra_ann_file = extra_ann_file
        super().__init__(data_root=data_root, ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file: a sample for each of its lines."""
        sizes = self._sizes()
        data_list = []
        for number, line in enumerate(read_lines(self.ann_file, "annotation file", self.backend_args), 1):
            try:
                data_list.append(self.parse_data_info({**json.loads(line), "sizes": sizes}))
            except (ValueError, KeyError, TypeError) as error:
                if isinstance(error, DataError):
                    raise
                raise DataError(
                    f"{self.ann_file!r}, line {number}: an image is JSON with ID and gtboxes, each with tag, "
                    f"fbox, hbox and vbox ({error!r})."
                ) from error
        return data_list

    def _sizes(self) -> Mapping[str, Sequence[int]]:
        if self.extra_ann_file is None:
            return {}
        return json.loads(read_bytes(self.extra_ann_file, "file of image sizes", self.backend_args))

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """The sample of one image.

        Args:
            raw_data_info: The content of its line, and `sizes`, those known.
        """
        img_id = raw_data_info["ID"]
        path = join_path(self.data_prefix.get("img") or self.data_root, f"{img_id}.jpg")
        size = raw_data_info["sizes"].get(img_id) or image_size(path)
        if size is None:
            raise DataError(f"The image {path!r} of {self.ann_file!r} doesn't exist or can't be read.")
        return {
            "img_id": img_id,
            "img_path": path,
            "height": int(size[0]),
            "width": int(size[1]),
            "instances": [self._instance(one) for one in raw_data_info["gtboxes"]],
        }

    def _instance(self, annotation: Mapping[str, Any]) -> dict[str, Any]:
        classes = self._metainfo["classes"]
        ignored = annotation["tag"] not in classes or annotation.get("extra", {}).get("ignore", 0) != 0
        full, head, visible = (_corners(annotation[key]) for key in ("fbox", "hbox", "vbox"))
        return {
            "bbox": full,
            "bbox_label": -1 if ignored else classes.index(annotation["tag"]),
            "ignore_flag": int(ignored),
            "fbox": full,
            "hbox": head,
            "vbox": visible,
        }


def _corners(box: Sequence[float]) -> list[float]:
    """x1, y1, x2, y2 of x, y, width, height."""
    x, y, width, height = box
    return [x, y, x + width, y + height]
