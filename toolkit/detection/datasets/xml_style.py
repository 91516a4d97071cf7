"""Datasets with one XML file an image, in the layout of Pascal VOC."""

from __future__ import annotations

import logging
import os
import xml.etree.ElementTree as ET
from collections import Counter
from typing import Any

import cv2
import numpy as np

from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.datasets.files import ImageFolder, read_bytes, read_lines
from toolkit.detection.registry import DATASETS
from toolkit.fileio import is_url, join_path
from toolkit.utils import DataError, did_you_mean, nearest

logger = logging.getLogger(__name__)

WITHOUT_AREA = "boxes without area, which are ignored"
OUTSIDE = "objects outside their image"
LISTED_TWICE = "images that are listed twice"


@DATASETS.register_module()
class XMLDataset(BaseDetDataset):
    """Images listed by name in a text file, with an XML file of boxes each.

    With `data_prefix=dict(sub_data_root='VOC2007/')` and the image `000005` in `ann_file`, the image is
    `{data_root}/VOC2007/JPEGImages/000005.jpg` (or `.png`, …: what is there) and its boxes are in
    `{data_root}/VOC2007/Annotations/000005.xml`.

    Coordinates in the files count from 1, as VOC's do, and come out counted from 0. Objects marked
    `difficult` get `ignore_flag=1`: they neither train nor count. Objects of other classes are left out.

    What can't be used is counted in `faults`, with its files, and refused where `on_bad_sample='error'`. With
    'skip', boxes without area get `ignore_flag=1`, objects outside their image are left out, and an image
    that is listed twice comes once.

    Args:
        img_subdir: Folder of the images below `sub_data_root`.
        ann_subdir: Folder of the XML files below `sub_data_root`.
        allow_missing_classes: Whether a class may have no object in the annotations, as in one of several
            folders that are joined. Without it that is an error, since it is mostly a mistyped name. A test
            set may lack some classes anyhow.
        **kwargs: Passed on to `BaseDetDataset`. `metainfo=dict(classes=(…))` names the classes.
            `filter_cfg` also takes `bbox_min_size`: smaller boxes get `ignore_flag=1`.

    Raises:
        DataError: A file is missing or can't be parsed, or the annotations hold no object of a class.
    """

    FILTER_KEYS = (*BaseDetDataset.FILTER_KEYS, "bbox_min_size")
    # what the files call the first pixel of a row
    FIRST_PIXEL = 1

    def __init__(
        self,
        img_subdir: str = "JPEGImages",
        ann_subdir: str = "Annotations",
        allow_missing_classes: bool = False,
        **kwargs: Any,
    ) -> None:
        self.img_subdir = img_subdir
        self.ann_subdir = ann_subdir
        self.allow_missing_classes = allow_missing_classes
        super().__init__(**kwargs)

    @property
    def sub_data_root(self) -> str:
        """Folder that holds the images' and the annotations' folders."""
        return self.data_prefix.get("sub_data_root") or self.data_root or ""

    @property
    def bbox_min_size(self) -> float | None:
        """Boxes with a side below this, in pixels, are ignored in training."""
        return None if self.test_mode else (self.filter_cfg or {}).get("bbox_min_size")

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the list of images and their XML files."""
        classes = self._metainfo.get("classes")
        if classes is None:
            raise DataError(
                f"{type(self).__name__} needs class names: set metainfo=dict(classes=('a', 'b'))."
            )
        self.cat2label = {name: label for label, name in enumerate(classes)}
        images = ImageFolder(join_path(self.sub_data_root, self.img_subdir))
        found: Counter[str] = Counter()
        without_image: list[str] = []
        data_list = []
        listed: set[str] = set()
        for img_id in read_lines(self.ann_file, "annotation file", self.backend_args):
            if img_id in listed:
                self.faults.note(LISTED_TWICE, img_id)
                continue
            listed.add(img_id)
            img_path = images.find(img_id)
            if img_path is None:
                without_image.append(img_id)
                continue
            xml_path = join_path(self.sub_data_root, self.ann_subdir, f"{img_id}.xml")
            data_list.append(
                self.parse_data_info({"img_id": img_id, "img_path": img_path, "xml_path": xml_path}, found)
            )
        self._check_images(without_image, len(data_list), images.root)
        if not self.allow_missing_classes:
            self._check_classes(found)
        return data_list

    def parse_data_info(
        self, raw_data_info: dict[str, Any], found: Counter[str] | None = None
    ) -> dict[str, Any]:
        """The sample of one XML file.

        Args:
            raw_data_info: `img_id`, `img_path` and `xml_path`.
            found: Counter to which the names of all its objects are added.

        Returns:
            The sample with `height`, `width` and `instances`.
        """
        root = self._read_xml(raw_data_info["xml_path"])
        try:
            height, width = self._image_size(root, raw_data_info["img_path"])
            instances = self._parse_instances(root, Counter() if found is None else found)
            instances = self._usable(instances, (height, width), raw_data_info["xml_path"])
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{raw_data_info['xml_path']!r} isn't a VOC annotation: an object needs <name> and <bndbox> "
                f"with <xmin>, <ymin>, <xmax> and <ymax>, a <size> needs <width> and <height> ({error})."
            ) from error
        return dict(raw_data_info, height=height, width=width, instances=instances)

    def _read_xml(self, path: str) -> ET.Element:
        try:
            return ET.fromstring(read_bytes(path, "annotation of an image", self.backend_args))
        except ET.ParseError as error:
            raise DataError(f"{path!r} is no valid XML: {error}.") from error

    def _image_size(self, root: ET.Element, img_path: str) -> tuple[int, int]:
        size = root.find("size")
        if size is not None:
            return int(size.findtext("height", "")), int(size.findtext("width", ""))
        content = np.frombuffer(read_bytes(img_path, "image", self.backend_args), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
        if image is None:
            raise DataError(f"The image {img_path!r} can't be decoded.")
        return image.shape[0], image.shape[1]

    def _parse_instances(self, root: ET.Element, found: Counter[str]) -> list[dict[str, Any]]:
        smallest = self.bbox_min_size
        instances = []
        for item in root.iterfind("object"):
            name = item.find("name").text.strip()  # type: ignore[union-attr]
            found[name] += 1
            if name not in self.cat2label:
                continue
            corners = item.find("bndbox")
            # some files hold fractions; MMDetection cuts them, and VOC counts pixels from 1
            box = [
                int(float(corners.find(key).text)) - self.FIRST_PIXEL  # type: ignore[union-attr, arg-type]
                for key in ("xmin", "ymin", "xmax", "ymax")
            ]
            ignored = int(item.findtext("difficult", "0"))
            side = min(box[2] - box[0], box[3] - box[1])
            if side <= 0 or (smallest is not None and side < smallest):
                ignored = 1
            instances.append(
                {"bbox": box, "bbox_label": self.cat2label[name], "ignore_flag": int(bool(ignored))}
            )
        return instances

    def _usable(
        self, instances: list[dict[str, Any]], size: tuple[int, int], path: str
    ) -> list[dict[str, Any]]:
        """The objects within their image; boxes without area, which have no regression target, are noted."""
        height, width = size
        usable = []
        for instance in instances:
            x1, y1, x2, y2 = instance["bbox"]
            where = f"{path}: ({x1}, {y1}, {x2}, {y2})"
            if x2 <= x1 or y2 <= y1:
                self.faults.note(WITHOUT_AREA, where)
            elif x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
                self.faults.note(OUTSIDE, where)
                continue
            usable.append(instance)
        return usable

    def _check_images(self, missing: list[str], present: int, folder: str) -> None:
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(missing) + present} images that {self.ann_file!r} lists are not "
                f"in {folder!r}: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}. "
                "Check data_root, data_prefix and img_subdir."
            )

    def _check_classes(self, found: Counter[str]) -> None:
        """Compare the configured names with those in the files: a mistyped name would train on nothing."""
        absent = [name for name in self.cat2label if name not in found]
        if absent:
            # a rare class may be missing from a small split: all files of the folder decide
            everywhere = self._names_in_folder() if not is_url(self.sub_data_root) else Counter()
            absent = [name for name in absent if name not in everywhere]
            found = found | everywhere
        if not absent:
            return
        others = [name for name in found if name not in self.cat2label]
        held = ", ".join(f"{name} ({count})" for name, count in found.most_common(30)) or "no object at all"
        message = (
            f"The annotations in {join_path(self.sub_data_root, self.ann_subdir)!r} hold no object named "
            + ", ".join(repr(name) for name in absent[:5])
            + (f" and {len(absent) - 5} more of the {len(self.cat2label)} classes" if len(absent) > 5 else "")
            + f"{did_you_mean(absent[0], others) or '.'} They hold: {held}. "
            "Set metainfo=dict(classes=(…)) on the train, val and test dataset, or "
            "allow_missing_classes=True if other data have the class."
        )
        misspelt = any(nearest(name, others) for name in absent)
        if self.test_mode and len(absent) < len(self.cat2label) and not misspelt:
            logger.warning(message)  # a test set may well lack a class that was trained
            return
        raise DataError(message)

    def _names_in_folder(self) -> Counter[str]:
        """How often each object name occurs in all XML files of the annotations' folder."""
        folder = join_path(self.sub_data_root, self.ann_subdir)
        names: Counter[str] = Counter()
        for file in os.scandir(folder) if os.path.isdir(folder) else ():
            if file.name.endswith(".xml"):
                items = self._read_xml(file.path).iterfind("object")
                names.update(item.findtext("name", "").strip() for item in items)
        return names
