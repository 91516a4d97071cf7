"""Microsoft COCO, and other data in its format."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.datasets.coco_format import CocoFile, category_ids, read_coco_file, shown
from toolkit.detection.registry import DATASETS
from toolkit.fileio import join_path
from toolkit.utils import DataError

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
_FIX = (
    "Set metainfo=dict(classes=(…)) on the train, val and test dataset, or allow_missing_classes=True if "
    "other data have the class."
)
_OUTSIDE = "outside the image"
_TINY = "without area, or with a side below one pixel"
_STRAY = "of an image that isn't listed"


@DATASETS.register_module()
class CocoDataset(BaseDetDataset):
    """Images with boxes and masks, described by one JSON file in COCO's format.

    A sample's label is the place of its category's name in `metainfo['classes']`, in whatever order the user
    gives them and whatever the ids in the file. Objects of other categories are left out. So are those
    marked `ignore` and those that can't be trained on: outside their image, without area, or less than a
    pixel wide or high. The latter are counted in `left_out` and reported with their files. Crowds get
    `ignore_flag=1`: they neither train nor count. Each object keeps its `area` as the file states it, and
    polygons or run lengths as `mask`.

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.

    Args:
        *args: Passed on to `BaseDetDataset`.
        seg_map_suffix: Suffix of the semantic maps in `data_prefix['seg']`.
        allow_missing_classes: Whether the file may lack the category of a class, as one of several files that
            are joined may. Without it that is an error, since it is mostly a mistyped name.
        **kwargs: Passed on to `BaseDetDataset`. `data_prefix=dict(img='train2017/')` is the images' folder;
            `metainfo=dict(classes=(…))` names the classes, COCO's 80 where it isn't given.

    Raises:
        DataError: The file is missing or isn't in COCO's format, gives an id twice, or lacks a class.

    Attributes:
        cat_ids: Category ids in the order of the classes (None for one that the file lacks).
        cat2label: Label by category id.
        left_out: How many objects of the classes can't be used, by reason.

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
        seg_map_suffix: str = ".png",
        allow_missing_classes: bool = False,
        **kwargs: Any,
    ) -> None:
        self.seg_map_suffix = seg_map_suffix
        self.allow_missing_classes = allow_missing_classes
        self.cat_ids: list[Any] = []
        self.cat2label: dict[Any, int] = {}
        self.left_out: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file: a sample for each of its images, in its order."""
        file = read_coco_file(self.ann_file, self.backend_args, unique_annotation_ids=self.ANN_ID_UNIQUE)
        classes = self._metainfo["classes"]
        self.cat_ids = category_ids(file, classes, _FIX, missing_ok=self.allow_missing_classes)
        self.cat2label = {number: label for label, number in enumerate(self.cat_ids) if number is not None}
        self.left_out.clear()
        self._examples.clear()
        objects: dict[Any, list[dict[str, Any]]] = {img_id: [] for img_id in file.images}
        for annotation in file.annotations:
            if annotation["image_id"] in objects:
                objects[annotation["image_id"]].append(annotation)
            else:
                self._leave_out(_STRAY, annotation, f"image_id {annotation['image_id']!r}")
        data_list = [
            self.parse_data_info(
                {"raw_img_info": {**image, "img_id": img_id}, "raw_ann_info": objects[img_id]}
            )
            for img_id, image in file.images.items()
        ]
        self._report(file)
        return data_list

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """The sample of one image.

        Args:
            raw_data_info: `raw_img_info`, the image's entry of the file with its `img_id`, and
                `raw_ann_info`, the list of its annotations.
        """
        image = raw_data_info["raw_img_info"]
        try:
            name, height, width = image["file_name"], int(image["height"]), int(image["width"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self.ann_file!r}: the image of id {image['img_id']!r} needs file_name, height and width, "
                f"in pixels; it has {image!r}."
            ) from error
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
        if w < 1 or h < 1 or area <= 0:
            self._leave_out(_TINY, annotation, name)
            return None
        if min(x + w, width) <= max(x, 0) or min(y + h, height) <= max(y, 0):
            self._leave_out(_OUTSIDE, annotation, name)
            return None
        instance = {
            "bbox": [x, y, x + w, y + h],
            "bbox_label": label,
            "ignore_flag": int(bool(annotation.get("iscrowd"))),
            "area": area,
        }
        if annotation.get("segmentation"):
            instance["mask"] = annotation["segmentation"]
        return instance

    def _leave_out(self, reason: str, annotation: Mapping[str, Any], where: str) -> None:
        self.left_out[reason] += 1
        self._examples.setdefault(reason, []).append(f"{where} (annotation {annotation.get('id')})")

    def _report(self, file: CocoFile) -> None:
        """Say which objects were left out, and which classes have none to train on."""
        if self.left_out:
            reasons = "; ".join(
                f"{count} {reason}: {shown(self._examples[reason], count)}"
                for reason, count in self.left_out.most_common()
            )
            warnings.warn(
                f"{type(self).__name__} leaves out {self.left_out.total()} of the {len(file.annotations)} "
                f"objects of {file.path!r}. {reasons}",
                stacklevel=2,
            )
        if self.test_mode:
            return
        present = {annotation["category_id"] for annotation in file.annotations}
        names = [file.categories[number] for number in self.cat2label if number not in present]
        if names:
            warnings.warn(
                f"{file.path!r} has no object of {len(names)} of the {len(self.cat_ids)} classes, which "
                f"can't be learnt from it: {shown(names, len(names))}",
                stacklevel=2,
            )
