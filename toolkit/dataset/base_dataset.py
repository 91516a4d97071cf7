"""The base of map-style datasets that read an annotation file."""

from __future__ import annotations

import copy
import functools
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import yaml
from torch.utils.data import Dataset

from toolkit.dataset.compose import Compose
from toolkit.dataset.serialization import PackedList
from toolkit.dataset.source import preparing
from toolkit.fileio import is_url, join_path, path_exists, read_text
from toolkit.registry import DATASETS
from toolkit.utils.errors import DataError

logger = logging.getLogger("toolkit")


def force_full_init(old_func: Callable) -> Callable:
    """A decorator for methods of datasets that read samples: calls `full_init` first, where it was put off.

    Raises:
        AttributeError: At a call, where the object has no `full_init`.
    """

    @functools.wraps(old_func)
    def wrapped(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(obj, "_fully_initialized", False):
            obj.full_init()
            obj._fully_initialized = True
        return old_func(obj, *args, **kwargs)

    return wrapped


@DATASETS.register_module()
class BaseDataset(Dataset):
    """A dataset of samples described by one annotation file, run through a pipeline of transforms.

    The annotation file is JSON or YAML: `{"metainfo": {"classes": [...]}, "data_list": [{...}, ...]}`.
    A subclass for another format overrides `load_data_list`, and `filter_data` to drop samples.

    Args:
        ann_file: Annotation file, relative to `data_root`.
        metainfo: Facts of the dataset, such as `classes`; overrides `METAINFO` and the annotation file. A
            value that names an existing text file is read from it, an item a line.
        data_root: Folder that `ann_file` and `data_prefix` are relative to.
        data_prefix: Folder of each kind of file, by the key of a sample that names it.
        filter_cfg: What to drop; its meaning is the subclass's.
        indices: Use the first `n` samples (the last where negative), or those at the given places.
        serialize_data: Pack the samples into one buffer that all workers share.
        pipeline: Transforms of a sample.
        test_mode: A dropped sample is an error instead of being replaced by another one.
        lazy_init: Don't read the annotations until they are needed.
        max_refetch: Samples tried in place of one that the pipeline drops.

    Raises:
        DataError: If a file is missing or malformed, or no sample is left.

    Attributes:
        filter_counts: How many samples `filter_data` dropped, by reason.
    """

    METAINFO: dict = {}

    def __init__(
        self,
        ann_file: str = "",
        metainfo: Mapping | None = None,
        data_root: str = "",
        data_prefix: Mapping[str, Any] | None = None,
        filter_cfg: Mapping | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[Mapping | Callable] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        self.ann_file = ann_file or ""
        self._metainfo = self._load_metainfo(copy.deepcopy(metainfo))
        self.data_root = data_root or ""
        self.data_prefix: dict[str, Any] = {"img_path": ""} if data_prefix is None else dict(data_prefix)
        self.filter_cfg = copy.deepcopy(filter_cfg)
        self._indices = indices
        self.serialize_data = serialize_data
        self.test_mode = test_mode
        self.max_refetch = max_refetch
        self.filter_counts: Counter[str] = Counter()
        self.data_list: Sequence[dict] = []
        self._fully_initialized = False
        self._join_prefix()
        self.pipeline = Compose(pipeline)
        if not lazy_init:
            self.full_init()

    # -- reading -------------------------------------------------------------------------------------

    def full_init(self) -> None:
        """Read, filter, cut to `indices` and pack the samples; once."""
        if self._fully_initialized:
            return
        self.filter_counts.clear()
        loaded = self.load_data_list()
        kept = self.filter_data_of(loaded)
        self.data_list = self._at_indices(kept, self._indices) if self._indices is not None else kept
        if not self.data_list:
            raise DataError(self._why_empty(len(loaded), len(kept)))
        if self.serialize_data:
            self.data_list = PackedList(self.data_list)
        self._fully_initialized = True

    def load_data_list(self) -> list[dict]:
        """Read the samples of `ann_file`.

        Returns:
            A dict a sample, as `parse_data_info` makes it.

        Raises:
            DataError: If the file is missing, unreadable or not of the documented form.
        """
        annotations = self._read_ann_file()
        for key, value in (annotations.get("metainfo") or {}).items():
            self._metainfo.setdefault(key, value)
        data_list: list[dict] = []
        for raw in annotations["data_list"]:
            parsed = self.parse_data_info(raw)
            if isinstance(parsed, dict):
                data_list.append(parsed)
            elif isinstance(parsed, list) and all(isinstance(item, dict) for item in parsed):
                data_list.extend(parsed)
            else:
                raise TypeError(
                    f"{type(self).__name__}.parse_data_info returns a dict or a list of dicts, "
                    f"but returned {type(parsed).__name__}"
                )
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict | list[dict]:
        """Make a sample, or several, of an entry of `data_list`; joins `data_prefix` to its paths."""
        for key, prefix in self.data_prefix.items():
            if key not in raw_data_info:
                raise DataError(
                    f"an entry of {self.ann_file!r} has no key {key!r}, which data_prefix names; "
                    f"it has {sorted(raw_data_info)}"
                )
            raw_data_info[key] = join_path(prefix, raw_data_info[key])
        return raw_data_info

    def filter_data(self) -> Sequence[dict]:
        """The samples of `self.data_list` to keep.

        A subclass counts each sample that it drops in `self.filter_counts`, under the reason.
        """
        return self.data_list

    def filter_data_of(self, data_list: list[dict]) -> Sequence[dict]:
        """Run `filter_data` on freshly read samples, and count those dropped without a reason."""
        self.data_list = data_list
        before = len(data_list)
        kept = self.filter_data()
        unexplained = before - len(kept) - sum(self.filter_counts.values())
        if unexplained > 0:
            self.filter_counts["filter_data"] += unexplained
        return kept

    def _read_ann_file(self) -> dict:
        if not self.ann_file:
            raise DataError(f"{type(self).__name__} needs ann_file, but it is empty")
        self.check_exists(self.ann_file, "annotation file (ann_file)")
        text = read_text(self.ann_file)
        try:
            if self.ann_file.lower().endswith((".yaml", ".yml")):
                annotations = yaml.safe_load(text)
            else:
                annotations = json.loads(text)
        except (ValueError, yaml.YAMLError) as error:
            raise DataError(f"annotation file {self.ann_file} is neither JSON nor YAML: {error}") from error
        if not isinstance(annotations, dict) or not isinstance(annotations.get("data_list"), list):
            found = sorted(annotations) if isinstance(annotations, dict) else type(annotations).__name__
            raise DataError(
                f"annotation file {self.ann_file} must hold {{'metainfo': {{...}}, 'data_list': [...]}}, "
                f"but it holds {found}"
            )
        return annotations

    def check_exists(self, path: str, what: str) -> None:
        """Raise DataError where `path` doesn't exist, naming the first folder on its way that is missing."""
        if path_exists(path):
            return
        message = f"{what} {path!r} doesn't exist"
        if not is_url(path):
            missing, parent = path, os.path.dirname(path)
            while parent and parent != os.path.dirname(parent) and not os.path.exists(parent):
                missing, parent = parent, os.path.dirname(parent)
            if missing != path:
                message += f" (there is no {missing!r} in {os.path.abspath(parent or '.')!r})"
        raise DataError(f"{message}; data_root is {self.data_root!r}, give yours with data_root=PATH")

    def _why_empty(self, loaded: int, kept: int) -> str:
        where = self.ann_file or self.data_root or "its source"
        if not loaded:
            return f"{type(self).__name__} read no sample from {where}"
        if kept:
            return f"{type(self).__name__} has no sample at indices={self._indices!r} of {kept}"
        reasons = ", ".join(f"{count} by {reason}" for reason, count in self.filter_counts.most_common())
        return (
            f"{type(self).__name__} is empty: all {loaded} samples of {where} were dropped ({reasons}); "
            f"filter_cfg is {dict(self.filter_cfg or {})!r}, classes are {self._metainfo.get('classes')!r}"
        )

    # -- metainfo and paths ---------------------------------------------------------------------------

    @property
    def metainfo(self) -> dict:
        """A copy of the facts of the dataset: `classes`, `palette` and what else it knows."""
        return copy.deepcopy(self._metainfo)

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        merged = copy.deepcopy(cls.METAINFO)
        if metainfo is None:
            return merged
        if not isinstance(metainfo, Mapping):
            raise TypeError(f"metainfo must be a mapping, but got {type(metainfo).__name__}")
        for key, value in metainfo.items():
            if isinstance(value, str) and path_exists(value) and not os.path.isdir(value):
                value = [line.strip() for line in read_text(value).splitlines() if line.strip()]
            elif key == "classes" and isinstance(value, str):
                raise DataError(
                    f"metainfo.classes is a list of names or a text file with a name a line, "
                    f"but {value!r} is no such file (one class alone is written ({value!r},))"
                )
            merged[key] = value
        return merged

    def _join_prefix(self) -> None:
        if self.ann_file:
            self.ann_file = join_path(self.data_root, self.ann_file)
        for key, prefix in self.data_prefix.items():
            if prefix is None or isinstance(prefix, (str, os.PathLike)):
                self.data_prefix[key] = join_path(self.data_root, os.fspath(prefix or ""))
            elif isinstance(prefix, (list, tuple)):
                self.data_prefix[key] = [join_path(self.data_root, part) for part in prefix]
            else:
                raise TypeError(f"data_prefix[{key!r}] must be a path, but got {type(prefix).__name__}")

    # -- samples --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        self.full_init()
        return len(self.data_list)

    def get_data_info(self, idx: int) -> dict:
        """A copy of the description of a sample, with its place under `sample_idx`."""
        self.full_init()
        info = self.data_list[idx]
        if not isinstance(self.data_list, PackedList):
            info = copy.deepcopy(info)
        info["sample_idx"] = idx if idx >= 0 else len(self.data_list) + idx
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes that occur in a sample, which `ClassBalancedDataset` counts."""
        raise NotImplementedError(f"{type(self).__name__} doesn't define get_cat_ids")

    def prepare_data(self, idx: int) -> Any:
        """Describe a sample and run it through the pipeline; None where that drops it."""
        return self.pipeline(self.get_data_info(idx))

    def __getitem__(self, idx: int) -> Any:
        """A sample after the pipeline.

        Raises:
            DataError: If the pipeline drops it in test mode, or drops `max_refetch` others in training.
        """
        self.full_init()
        with preparing(self):
            data = self.prepare_data(idx)
            if data is not None:
                return data
            if self.test_mode:
                raise DataError(f"the pipeline dropped sample {idx}, which must not happen in test mode")
            for _ in range(self.max_refetch):
                data = self.prepare_data(self._rand_another())
                if data is not None:
                    return data
        raise DataError(
            f"the pipeline dropped sample {idx} and {self.max_refetch} others drawn instead of it; "
            "check the pipeline, and that the images and annotations belong together"
        )

    def _rand_another(self) -> int:
        return int(np.random.randint(0, len(self)))

    # -- subsets --------------------------------------------------------------------------------------

    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep only some samples of this dataset.

        Args:
            indices: The first `n` samples (the last where negative), or the samples at the given places.
        """
        self.full_init()
        self.data_list = self._at_indices(self.data_list, indices)

    def get_subset(self, indices: int | Sequence[int]) -> BaseDataset:
        """A dataset of some of the samples; this one stays as it is. See `get_subset_`."""
        self.full_init()
        subset = copy.copy(self)
        subset._metainfo = copy.deepcopy(self._metainfo)
        subset.data_prefix = dict(self.data_prefix)
        subset.filter_counts = Counter(self.filter_counts)
        subset.get_subset_(indices)
        return subset

    @staticmethod
    def _at_indices(items: Sequence[dict], indices: int | Sequence[int]) -> Sequence[dict]:
        if isinstance(indices, (int, np.integer)):
            places: Sequence[int] = (
                range(len(items))[: int(indices)] if indices >= 0 else range(len(items))[int(indices) :]
            )
        elif isinstance(indices, (Sequence, np.ndarray)):
            places = [int(i) for i in indices]
        else:
            raise TypeError(f"indices is an int or a sequence of ints, but got {type(indices).__name__}")
        return items.select(places) if isinstance(items, PackedList) else [items[i] for i in places]
