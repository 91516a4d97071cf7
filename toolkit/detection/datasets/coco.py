"""Microsoft COCO, and other data in its format."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.datasets.coco_format import CocoFile, category_ids, place_of, read_coco_file
from toolkit.detection.datasets.faults import shown
from toolkit.detection.datasets.segmentations import usable_mask
from toolkit.detection.registry import DATASETS
from toolkit.fileio import join_path

logger = logging.getLogger("toolkit")

CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane",
    "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird",
    "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack",
    "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat",
    "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon",
    "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut",
    "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse",
    "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock",
    "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
# MMDetection's colours, so that pictures of the two can be compared
PALETTE = [
    (220, 20, 60), (119, 11, 32), (0, 0, 142), (0, 0, 230), (106, 0, 228),
    (0, 60, 100), (0, 80, 100), (0, 0, 70), (0, 0, 192), (250, 170, 30),
    (100, 170, 30), (220, 220, 0), (175, 116, 175), (250, 0, 30), (165, 42, 42),
    (255, 77, 255), (0, 226, 252), (182, 182, 255), (0, 82, 0), (120, 166, 157),
    (110, 76, 0), (174, 57, 255), (199, 100, 0), (72, 0, 118), (255, 179, 240),
    (0, 125, 92), (209, 0, 151), (188, 208, 182), (0, 220, 176), (255, 99, 164),
    (92, 0, 73), (133, 129, 255), (78, 180, 255), (0, 228, 0), (174, 255, 243),
    (45, 89, 255), (134, 134, 103), (145, 148, 174), (255, 208, 186), (197, 226, 255),
    (171, 134, 1), (109, 63, 54), (207, 138, 255), (151, 0, 95), (9, 80, 61),
    (84, 105, 51), (74, 65, 105), (166, 196, 102), (208, 195, 210), (255, 109, 65),
    (0, 143, 149), (179, 0, 194), (209, 99, 106), (5, 121, 0), (227, 255, 205),
    (147, 186, 208), (153, 69, 1), (3, 95, 161), (163, 255, 0), (119, 0, 170),
    (0, 182, 199), (0, 165, 120), (183, 130, 88), (95, 32, 0), (130, 114, 135),
    (110, 129, 133), (166, 74, 118), (219, 142, 185), (79, 210, 114), (178, 90, 62),
    (65, 70, 15), (127, 167, 115), (59, 105, 106), (142, 108, 45), (196, 172, 0),
    (95, 54, 80), (128, 76, 255), (201, 57, 1), (246, 0, 122), (191, 162, 208),
]  # fmt: skip
CLASSES_FIX = (
    "Set metainfo=dict(classes=(…)) on the train, val and test dataset, or allow_missing_classes=True if "
    "other data have the class."
)
OUTSIDE = "objects outside their image"
TINY = "objects without area, or with a side below one pixel"
STRAY = "objects of an image that isn't listed"
UNKNOWN_CATEGORY = "objects of a category that isn't listed"
LACKS_MASK = "objects without a mask, which are ignored since masks are loaded"
NO_SIZE = "images without file_name, or without height and width in pixels"


@DATASETS.register_module()
class CocoDataset(BaseDetDataset):
    """Images with boxes and masks, described by one JSON file in COCO's format.

    A sample's label is the place of its category's name in `metainfo['classes']`, in whatever order the user
    gives them and whatever the ids in the file. Objects of other categories are left out, and so are those
    marked `ignore`. Crowds get `ignore_flag=1`: they neither train nor count. Each object keeps its `area` as
    the file states it, and polygons or run lengths as `mask`.

    What can't be used is counted in `faults`, with its files, and left out or refused as `on_bad_sample`
    says: objects without area (a side below one pixel), outside their image, without a proper bbox, listed
    twice, or of an image or a category that isn't listed; images whose id is given twice, or whose size isn't
    that of their file. Polygons of fewer than three points and run lengths of another size than the image are
    taken from their object, which keeps its box. Where the pipeline loads masks, an object without one is
    ignored.

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.

    Args:
        *args: Passed on to `BaseDetDataset`.
        allow_missing_classes: Whether the file may lack the category of a class, as one of several files that
            are joined may. Without it that is an error, since it is mostly a mistyped name.
        **kwargs: Passed on to `BaseDetDataset`. `data_prefix=dict(img='train2017/')` is the images' folder;
            `metainfo=dict(classes=(…))` names the classes, COCO's 80 where it isn't given.

    Raises:
        DataError: The file is missing, isn't in COCO's format or lacks a class; or it has faults, and
            `on_bad_sample='error'`.

    Attributes:
        cat_ids: Category ids in the order of the classes (None for one that the file lacks).
        cat2label: Label by category id.
        faults: What is wrong with the file.

    Examples:
        >>> dict(type='CocoDataset', data_root='data/coco/',
        ...      ann_file='annotations/instances_train2017.json',
        ...      data_prefix=dict(img='train2017/'),
        ...      filter_cfg=dict(filter_empty_gt=True, min_size=32))  # doctest: +SKIP
    """

    METAINFO = {"classes": CLASSES, "palette": PALETTE}
    # a subclass for files that number the objects of each image anew sets this to False
    ANN_ID_UNIQUE = True

    def __init__(
        self,
        *args: Any,
        allow_missing_classes: bool = False,
        **kwargs: Any,
    ) -> None:
        self.allow_missing_classes = allow_missing_classes
        self.cat_ids: list[Any] = []
        self.cat2label: dict[Any, int] = {}
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file: a sample for each of its images, in its order."""
        file = read_coco_file(
            self.ann_file,
            self.backend_args,
            faults=self.faults,
            unique_annotation_ids=self.ANN_ID_UNIQUE,
        )
        self.cat_ids = self.find_categories(file)
        self.cat2label = {number: label for label, number in enumerate(self.cat_ids) if number is not None}
        objects: dict[Any, list[dict[str, Any]]] = {img_id: [] for img_id in file.images}
        for annotation in file.annotations:
            if annotation["image_id"] not in objects:
                self.faults.note(STRAY, place_of(annotation, file.images))
            elif annotation["category_id"] not in file.categories:
                self.faults.note(UNKNOWN_CATEGORY, place_of(annotation, file.images))
            else:
                objects[annotation["image_id"]].append(annotation)
        parsed = (
            self.parse_data_info(
                {"raw_img_info": {**image, "img_id": img_id}, "raw_ann_info": objects[img_id]}
            )
            for img_id, image in file.images.items()
        )
        data_list = [info for info in parsed if info]
        self._report_absent_classes(file)
        return data_list

    def find_categories(self, file: CocoFile) -> list[Any]:
        """The category id of each class, None for one that the file lacks.

        Raises:
            DataError: It lacks one, and `allow_missing_classes` isn't set.
        """
        return category_ids(
            file, self._metainfo["classes"], CLASSES_FIX, missing_ok=self.allow_missing_classes
        )

    def file_name(self, image: Mapping[str, Any]) -> str:
        """The path of an image below its folder, from the image's entry of the file."""
        return image["file_name"]

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """The sample of one image.

        Args:
            raw_data_info: `raw_img_info`, the image's entry of the file with its `img_id`, and
                `raw_ann_info`, the list of its annotations.

        Returns:
            The sample; an empty dict where the entry can't be used.
        """
        image = raw_data_info["raw_img_info"]
        try:
            name, height, width = self.file_name(image), int(image["height"]), int(image["width"])
            usable = isinstance(name, str)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            usable = False
        if not usable:
            self.faults.note(NO_SIZE, f"{image.get('file_name')} (id {image['img_id']})")
            return {}
        found = (self._instance(one, name, height, width) for one in raw_data_info["raw_ann_info"])
        return {
            "img_id": image["img_id"],
            "img_path": join_path(self._image_folder, name),
            "seg_map_path": self._seg_map_path(name),
            "height": height,
            "width": width,
            "instances": [instance for instance in found if instance is not None],
        }

    @property
    def _image_folder(self) -> str:
        return self.data_prefix.get("img") or self.data_prefix.get("img_path") or self.data_root

    def _seg_map_path(self, name: str) -> str | None:
        folder = self.data_prefix.get("seg")
        return join_path(folder, os.path.splitext(name)[0] + self.seg_map_suffix) if folder else None

    def _instance(
        self, annotation: Mapping[str, Any], name: str, height: int, width: int
    ) -> dict[str, Any] | None:
        """An object of a sample; None for one that isn't wanted or can't be used."""
        label = self.cat2label.get(annotation["category_id"])
        if label is None or annotation.get("ignore"):
            return None
        x, y, w, h = annotation["bbox"]
        area = annotation.get("area", w * h)
        where = f"{name} (annotation {annotation.get('id')})"
        if w < 1 or h < 1 or area <= 0:
            self.faults.note(TINY, where)
            return None
        if min(x + w, width) <= max(x, 0) or min(y + h, height) <= max(y, 0):
            self.faults.note(OUTSIDE, where)
            return None
        instance = {
            "bbox": [x, y, x + w, y + h],
            "bbox_label": label,
            "ignore_flag": int(bool(annotation.get("iscrowd"))),
            "area": area,
        }
        if annotation.get("segmentation"):
            mask, reason = usable_mask(annotation["segmentation"], height, width)
            if mask is not None:
                instance["mask"] = mask
            if reason is not None:
                self.faults.note(reason, where)
        elif self.loads_masks:
            self.faults.note(LACKS_MASK, where)
        return instance

    def _report_absent_classes(self, file: CocoFile) -> None:
        """Say which classes have no object to train on."""
        if self.test_mode:
            return
        present = {annotation["category_id"] for annotation in file.annotations}
        names = [file.categories[number] for number in self.cat2label if number not in present]
        if names:
            logger.warning(
                f"{file.path!r} has no object of {len(names)} of the {len(self.cat_ids)} classes, which "
                f"can't be learnt from it: {shown(names, len(names))}"
            )
