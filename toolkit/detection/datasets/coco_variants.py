"""Data sets in COCO's format that differ from it in their classes and little else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.detection.datasets.coco import CocoDataset
from toolkit.detection.datasets.files import read_bytes
from toolkit.detection.registry import DATASETS
from toolkit.fileio import join_path


@DATASETS.register_module()
class CityscapesDataset(CocoDataset):
    """Cityscapes' eight classes of things, in files converted to COCO's format.

    With `filter_empty_gt`, images that hold nothing but crowds are dropped as well.

    Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.

    Args:
        *args: Passed on to `CocoDataset`.
        **kwargs: Passed on to `CocoDataset`.
    """

    METAINFO = {
        "classes": ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
        "palette": [
            (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
            (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
        ],
    }  # fmt: skip

    def filter_data(self) -> Sequence[dict[str, Any]]:
        """The samples that pass `filter_cfg`, without those of crowds alone."""
        kept = super().filter_data()
        if self.test_mode or not (self.filter_cfg or {}).get("filter_empty_gt", False):
            return kept
        real = [info for info in kept if not all(one["ignore_flag"] for one in info["instances"])]
        if len(real) < len(kept):
            self.filter_counts["nothing but crowds (filter_empty_gt)"] += len(kept) - len(real)
        return real


@DATASETS.register_module()
class DeepFashionDataset(CocoDataset):
    """DeepFashion's fifteen classes of clothing, in files in COCO's format.

    Liu et al., "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations",
    CVPR 2016.

    Args:
        *args: Passed on to `CocoDataset`.
        **kwargs: Passed on to `CocoDataset`.
    """

    METAINFO = {
        "classes": (
            "top", "skirt", "leggings", "dress", "outer", "pants", "bag", "neckwear", "headwear", "eyeglass",
            "belt", "footwear", "hair", "skin", "face",
        ),
        "palette": [
            (0, 192, 64), (0, 64, 96), (128, 192, 192), (0, 64, 64), (0, 192, 224),
            (0, 192, 192), (128, 192, 64), (0, 192, 96), (128, 32, 192), (0, 0, 224),
            (0, 0, 64), (0, 160, 192), (128, 0, 96), (128, 0, 192), (0, 32, 192),
        ],
    }  # fmt: skip


@DATASETS.register_module()
class V3DetDataset(CocoDataset):
    """V3Det's 13,204 classes, whose names are in a text file beside the annotations.

    Wang et al., "V3Det: Vast Vocabulary Visual Detection Dataset", ICCV 2023.

    Args:
        *args: Passed on to `CocoDataset`.
        metainfo: Facts of the dataset; without, the classes are the lines of `label_file`.
        data_root: Folder that all paths are relative to.
        label_file: Text file with a name a line.
        backend_args: Options for reading remote files, handed to fsspec.
        **kwargs: Passed on to `CocoDataset`.

    Raises:
        DataError: The file is missing.
    """

    METAINFO: dict[str, Any] = {"classes": None, "palette": None}

    def __init__(
        self,
        *args: Any,
        metainfo: Mapping[str, Any] | None = None,
        data_root: str = "",
        label_file: str = "annotations/category_name_13204_v3det_2023_v1.txt",
        backend_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if metainfo is None:
            content = read_bytes(join_path(data_root, label_file), "file of class names", backend_args)
            metainfo = {"classes": tuple(content.decode().splitlines())}
        super().__init__(*args, metainfo=metainfo, data_root=data_root, backend_args=backend_args, **kwargs)
