"""What datasets of labelled images share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.classification.registry import DATASETS
from toolkit.dataset import BaseDataset


@DATASETS.register_module(name=["BaseClsDataset", "BaseDataset"])
class BaseClsDataset(BaseDataset):
    """A dataset whose samples are `dict(img_path=..., gt_label=...)`.

    Args:
        ann_file: See `toolkit.dataset.BaseDataset`, like the arguments that follow.
        metainfo: See there.
        data_root: See there.
        data_prefix: Folder of the images; a string stands for `dict(img_path=...)`.
        filter_cfg: See there.
        indices: See there.
        serialize_data: See there.
        pipeline: See there.
        test_mode: See there.
        lazy_init: See there.
        max_refetch: See there.
        classes: Class names, or a text file with a name a line; overrides `metainfo['classes']`.
    """

    def __init__(
        self,
        ann_file: str = "",
        metainfo: Mapping | None = None,
        data_root: str = "",
        data_prefix: str | Mapping[str, Any] = "",
        filter_cfg: Mapping | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
        classes: str | Sequence[str] | None = None,
    ) -> None:
        if isinstance(data_prefix, str):
            data_prefix = {"img_path": data_prefix}
        if classes is not None:
            metainfo = {**(metainfo or {}), "classes": classes}
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix=data_prefix,
            filter_cfg=filter_cfg,
            indices=indices,
            serialize_data=serialize_data,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
        )

    @property
    def img_prefix(self) -> str:
        """Folder of the images."""
        return self.data_prefix["img_path"]

    @property
    def CLASSES(self) -> tuple[str, ...] | None:
        """Class names by label; None where they aren't known."""
        classes = self._metainfo.get("classes")
        return None if classes is None else tuple(classes)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Label by class name."""
        return {name: label for label, name in enumerate(self.CLASSES or ())}

    def get_gt_labels(self) -> np.ndarray:
        """The labels of all samples, int64 (N,)."""
        return np.array([self.get_data_info(i)["gt_label"] for i in range(len(self))], dtype=np.int64)

    def get_cat_ids(self, idx: int) -> list[int]:
        """The label of a sample, as a list of one."""
        return [int(self.get_data_info(idx)["gt_label"])]
