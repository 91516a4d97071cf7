"""Open Images: boxes of some 600 classes in a hierarchy, annotated class by class."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.datasets.files import read_bytes
from toolkit.detection.datasets.image_sizes import image_size
from toolkit.detection.datasets.plain_pickle import ERRORS, load_plain
from toolkit.detection.registry import DATASETS
from toolkit.fileio import join_path
from toolkit.utils import BuildError, DataError

_FLAGS = ("is_occluded", "is_truncated", "is_group_of", "is_depiction", "is_inside")


@DATASETS.register_module()
class OpenImagesDataset(BaseDetDataset):
    """Open Images V4 to V6, as its CSV files describe it.

    An object has `is_group_of` and the like beside its box and label. `metainfo['RELATION_MATRIX']` is a (K,
    K) array in which row i marks the classes that an object of class i is of, its own and those above it.
    Images whose annotators were asked for classes have `image_level_labels` and `confidences` (0: not there).

    Kuznetsova et al., "The Open Images Dataset V4", IJCV 2020.

    Args:
        label_file: CSV file of the classes: code, name.
        meta_file: Pickle of the images' sizes in the order of `ann_file`, as MMDetection's tools write it;
            None to read them from the images' headers.
        hierarchy_file: JSON file of the classes' hierarchy.
        image_level_ann_file: CSV file of classes that were looked for in each image.
        **kwargs: Passed on to `BaseDetDataset`. `ann_file` is the CSV file of the boxes and
            `data_prefix=dict(img=…)` the images' folder.

    Raises:
        DataError: A file is missing, isn't of its form, or names an unknown class.
    """

    METAINFO: dict[str, Any] = {"dataset_type": "oid_v6"}

    def __init__(
        self,
        label_file: str,
        meta_file: str | None,
        hierarchy_file: str,
        image_level_ann_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.label_file = label_file
        self.meta_file = meta_file
        self.hierarchy_file = hierarchy_file
        self.image_level_ann_file = image_level_ann_file
        self.label_id_mapping: dict[str, int] = {}
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the files: a sample for each image that has a box."""
        names, self.label_id_mapping = self.read_classes()
        self._metainfo["classes"] = tuple(names)
        self._metainfo["RELATION_MATRIX"] = self.relation_matrix(len(names))
        asked = self._image_labels()
        data_list = []
        for number, (img_path, boxes) in enumerate(self.annotated_images()):
            img_id = os.path.splitext(os.path.basename(img_path))[0]
            height, width = self._size(number, img_path)
            scale = np.asarray([width, height, width, height], np.float64)
            for box in boxes:
                box["bbox"] = (np.asarray(box["bbox"]) * scale).tolist()
            info = {"img_path": img_path, "img_id": img_id, "height": height, "width": width}
            if asked is not None:
                labels = asked.get(img_id, [])
                info["image_level_labels"] = np.asarray([label for label, _ in labels], np.int64)
                info["confidences"] = np.asarray([value for _, value in labels], np.float32)
            data_list.append({**info, "instances": boxes})
        return data_list

    def read_classes(self) -> tuple[list[str], dict[str, int]]:
        """The names of the classes, and the label of each code."""
        rows = list(self._rows(self.label_file, "file of class names"))
        return [row[1] for row in rows], {row[0]: label for label, row in enumerate(rows)}

    def annotated_images(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """For each image its path and its objects, whose boxes are parts of its width and height."""
        current: str | None = None
        boxes: list[dict[str, Any]] = []
        for row in self._rows(self.ann_file, "annotation file", header=True):
            if row[0] != current:
                if current is not None:
                    yield self.image_path(f"{current}.jpg"), boxes
                current, boxes = row[0], []
            left, right, top, bottom = (float(value) for value in row[4:8])
            flags = {flag: int(value) == 1 for flag, value in zip(_FLAGS, row[8:13], strict=True)}
            label = self._label(row[2], self.ann_file)
            boxes.append({"bbox": [left, top, right, bottom], "bbox_label": label, "ignore_flag": 0, **flags})
        if current is not None:
            yield self.image_path(f"{current}.jpg"), boxes

    def image_path(self, name: str) -> str:
        """The path of an image."""
        return join_path(self.data_prefix.get("img") or self.data_root, name)

    def relation_matrix(self, count: int) -> np.ndarray:
        """(count, count) float64: 1 where an object of the row's class is of the column's."""
        path = join_path(self.data_root, self.hierarchy_file)
        tree = json.loads(read_bytes(path, "file of the hierarchy", self.backend_args))
        matrix = np.eye(count)

        def walk(node: Mapping[str, Any], above: list[int]) -> None:
            for child in node.get("Subcategory", ()):
                if "LabelName" in child:
                    label = self._label(child["LabelName"], path)
                    matrix[label, above] = 1
                    walk(child, [label, *above])

        # the root stands for any object and is no class
        walk(tree, [])
        return matrix

    def image_label(self, row: list[str]) -> tuple[str, float]:
        """The code of the class and the confidence of a row of `image_level_ann_file`."""
        return row[2], float(row[3])

    def _image_labels(self) -> dict[str, list[tuple[int, float]]] | None:
        if self.image_level_ann_file is None:
            return None
        asked: dict[str, list[tuple[int, float]]] = {}
        for row in self._rows(self.image_level_ann_file, "file of image labels", header=True):
            code, confidence = self.image_label(row)
            asked.setdefault(row[0], []).append((self._label(code, self.image_level_ann_file), confidence))
        return asked

    def _rows(self, name: str, what: str, header: bool = False) -> Iterator[list[str]]:
        path = name if name == self.ann_file else join_path(self.data_root, name)
        lines = read_bytes(path, what, self.backend_args).decode().splitlines()
        for number, row in enumerate(csv.reader(lines[1:] if header else lines), 2 if header else 1):
            if row:
                yield row
            else:
                raise DataError(f"{path!r}, line {number} is empty.")

    def _label(self, code: str, path: str) -> int:
        try:
            return self.label_id_mapping[code]
        except KeyError:
            raise DataError(f"{path!r} names a class {code!r} that {self.label_file!r} hasn't.") from None

    def _size(self, number: int, img_path: str) -> tuple[int, int]:
        """Height and width of an image."""
        if self.meta_file is None:
            size = image_size(img_path)
            if size is None:
                raise DataError(f"The image {img_path!r} doesn't exist or can't be read.")
            return size
        if number == 0:
            self._metas = self._read_metas(join_path(self.data_root, self.meta_file))
        name, size = self._metas[number] if number < len(self._metas) else ("", (0, 0))
        if name != os.path.basename(img_path):
            raise DataError(
                f"{self.meta_file!r} has {name or 'nothing'!r} where {self.ann_file!r} has {img_path!r}: its "
                "images must be those of ann_file, in that order. With meta_file=None the images are asked."
            )
        return size

    def _read_metas(self, path: str) -> list[tuple[str, tuple[int, int]]]:
        content = read_bytes(path, "file of image sizes", self.backend_args)
        try:
            return [
                (os.path.basename(meta["filename"]), (int(meta["ori_shape"][0]), int(meta["ori_shape"][1])))
                for meta in load_plain(content)
            ]
        except ERRORS as error:
            raise DataError(f"{path!r} is no list of images' sizes: {error!r}.") from error


@DATASETS.register_module()
class OpenImagesChallengeDataset(OpenImagesDataset):
    """The Open Images Challenge 2019, with 500 classes.

    Args:
        ann_file: Text file: for each image its path, a line of no use, the number of objects, and a line each
            of label (from 1), x1, y1, x2, y2 as parts of the image, and whether it is a group.
        **kwargs: Passed on to `OpenImagesDataset`. `label_file` has code, name and label (from 1);
            `hierarchy_file` is a NumPy array (K + 1, K + 1).

    Raises:
        BuildError: `ann_file` is no text file.
    """

    METAINFO: dict[str, Any] = {"dataset_type": "oid_challenge"}

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        if not ann_file.endswith("txt"):
            raise BuildError(f"OpenImagesChallengeDataset got ann_file={ann_file!r}; it is a .txt file.")
        super().__init__(ann_file=ann_file, **kwargs)

    def read_classes(self) -> tuple[list[str], dict[str, int]]:
        """The names of the classes, and the label of each code."""
        rows = sorted(self._rows(self.label_file, "file of class names"), key=lambda row: int(row[2]))
        return [row[1] for row in rows], {row[0]: int(row[2]) - 1 for row in rows}

    def annotated_images(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """For each image its path and its objects, whose boxes are parts of its width and height."""
        lines = iter(read_bytes(self.ann_file, "annotation file", self.backend_args).decode().splitlines())
        for name in lines:
            next(lines)
            boxes = []
            for _ in range(int(next(lines))):
                label, *corners, group = next(lines).split()
                box = [float(value) for value in corners]
                flags = {"ignore_flag": 0, "is_group_of": int(group) == 1}
                boxes.append({"bbox": box, "bbox_label": int(label) - 1, **flags})
            yield self.image_path(name.rstrip()), boxes

    def relation_matrix(self, count: int) -> np.ndarray:
        """(count, count): 1 where an object of the row's class is of the column's."""
        path = join_path(self.data_root, self.hierarchy_file)
        if not os.path.isfile(path):
            raise DataError(f"The file of the hierarchy {path!r} doesn't exist.")
        return np.load(path, allow_pickle=False)[1:, 1:]

    def image_label(self, row: list[str]) -> tuple[str, float]:
        """The code of the class and the confidence of a row of `image_level_ann_file`."""
        return row[1], float(row[2])
