"""What all detection datasets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.dataset import BaseDataset
from toolkit.detection.registry import DATASETS
from toolkit.utils import DataError, did_you_mean


@DATASETS.register_module()
class BaseDetDataset(BaseDataset):
    """Base of datasets whose samples are images with boxes.

    A subclass implements `load_data_list`, which returns one dict an image:

    - `img_path`, `img_id`, `height`, `width`;
    - `instances`: a list of dicts with `bbox` (x1, y1, x2, y2 in pixels), `bbox_label` (index into
      `metainfo['classes']`), `ignore_flag` (0 or 1) and, where there are masks, `mask`.

    Args:
        *args: Passed on to `toolkit.dataset.BaseDataset`.
        backend_args: Options for reading remote files, handed to fsspec.
        **kwargs: Passed on to `toolkit.dataset.BaseDataset`. `filter_cfg` takes `filter_empty_gt` (drop
            images without any box), `min_size` (drop images whose shorter side is below it, in pixels) and
            what `FILTER_KEYS` of a subclass adds. Filters apply to training only (`test_mode=False`).

    Raises:
        DataError: `filter_cfg` has an unknown key.
    """

    FILTER_KEYS: tuple[str, ...] = ("filter_empty_gt", "min_size")

    def __init__(self, *args: Any, backend_args: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self.backend_args = backend_args
        for key in kwargs.get("filter_cfg") or ():
            if key not in self.FILTER_KEYS:
                hint = did_you_mean(key, self.FILTER_KEYS) or "."
                raise DataError(
                    f"{type(self).__name__}: filter_cfg has no key {key!r}{hint} "
                    f"It takes {', '.join(self.FILTER_KEYS)}."
                )
        super().__init__(*args, **kwargs)

    def filter_data(self) -> Sequence[dict[str, Any]]:
        """The samples that pass `filter_cfg`; `filter_counts` says how many did not, and why."""
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        drop_empty = self.filter_cfg.get("filter_empty_gt", False)
        min_size = self.filter_cfg.get("min_size", 0)
        kept = []
        for info in self.data_list:
            if drop_empty and not info["instances"]:
                self.filter_counts["no annotated object of the classes (filter_empty_gt)"] += 1
            elif min(info["width"], info["height"]) < min_size:
                self.filter_counts[f"shorter side below {min_size} pixels (min_size)"] += 1
            else:
                kept.append(info)
        return kept

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the objects of sample `idx`, one an object."""
        return [instance["bbox_label"] for instance in self.get_data_info(idx)["instances"]]
