"""What all detection datasets share."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.dataset import BaseDataset
from toolkit.detection.datasets.faults import Faults, shown
from toolkit.detection.datasets.image_sizes import image_size
from toolkit.detection.datasets.proposals import proposal_key, read_proposals
from toolkit.detection.registry import DATASETS
from toolkit.fileio import join_path
from toolkit.utils import BuildError, DataError, did_you_mean

logger = logging.getLogger("toolkit")

# images whose headers are read beforehand (half a second); those of a larger set are checked when loaded
SIZES_UP_TO = 10_000
WRONG_SIZE = "images of another size than their annotation says"


@DATASETS.register_module()
class BaseDetDataset(BaseDataset):
    """Base of datasets whose samples are images with boxes.

    A subclass implements `load_data_list`, which returns one dict an image:

    - `img_path`, `img_id`, `height`, `width`;
    - `instances`: a list of dicts with `bbox` (x1, y1, x2, y2 in pixels), `bbox_label` (index into
      `metainfo['classes']`), `ignore_flag` (0 or 1) and, where there are masks, `mask`.

    It notes what it can't use in `faults`. Images of another size than the annotation says are found here: in
    the files' headers up to 10,000 images, and when they are loaded in a larger set.

    Args:
        *args: Passed on to `toolkit.dataset.BaseDataset`.
        seg_map_suffix: Suffix of the semantic maps in `data_prefix['seg']`, where a dataset has such.
        proposal_file: A file that `DumpProposals` wrote; each sample gets its image's `proposals`.
        file_client_args: MMDetection's former name of `backend_args`; refused.
        backend_args: Options for reading remote files, handed to fsspec.
        return_classes: Whether each sample carries `text`, the names of the classes, `custom_entities` and
            `caption_prompt`, for detectors of free text.
        caption_prompt: `name`, `prefix` and `suffix` of classes in such a detector's caption, by class.
        on_bad_sample: What to do about annotations that can't be used: 'skip' leaves them out, warns with
            their number by reason, and lists them all in the log file; 'error' refuses the dataset. 'skip' is
            the default since the published COCO has such objects and every detector trains without them.
        **kwargs: Passed on to `toolkit.dataset.BaseDataset`. `filter_cfg` takes `filter_empty_gt` (drop
            images without any box), `min_size` (drop images whose shorter side is below it, in pixels) and
            what `FILTER_KEYS` of a subclass adds. Filters apply to training only (`test_mode=False`).

    Raises:
        BuildError: `on_bad_sample` is neither.
        DataError: `filter_cfg` has an unknown key, there are faults and `on_bad_sample='error'`, or
            `caption_prompt` is given without `return_classes`.

    Attributes:
        faults: What is wrong with the annotations.
    """

    FILTER_KEYS: tuple[str, ...] = ("filter_empty_gt", "min_size")

    def __init__(
        self,
        *args: Any,
        seg_map_suffix: str = ".png",
        proposal_file: str | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        return_classes: bool = False,
        caption_prompt: Mapping[str, Mapping[str, str]] | None = None,
        on_bad_sample: str = "skip",
        **kwargs: Any,
    ) -> None:
        if file_client_args is not None:
            raise BuildError(f"{type(self).__name__} got file_client_args; its name is backend_args now.")
        if caption_prompt is not None and not return_classes:
            raise DataError(
                f"{type(self).__name__} got caption_prompt, which only goes with return_classes=True."
            )
        self.seg_map_suffix = seg_map_suffix
        self.proposal_file = proposal_file
        self.backend_args = backend_args
        self.return_classes = return_classes
        self.caption_prompt = caption_prompt
        self.faults = Faults(on_bad_sample)
        self._sizes_checked = False
        for key in kwargs.get("filter_cfg") or ():
            if key not in self.FILTER_KEYS:
                hint = did_you_mean(key, self.FILTER_KEYS) or "."
                raise DataError(
                    f"{type(self).__name__}: filter_cfg has no key {key!r}{hint} "
                    f"It takes {', '.join(self.FILTER_KEYS)}."
                )
        super().__init__(*args, **kwargs)

    @property
    def left_out(self) -> Counter[str]:
        """How many faults the annotations have, by reason."""
        return self.faults.counts

    def full_init(self) -> None:
        """Read, check, filter, cut to `indices` and pack the samples; once."""
        if not self._fully_initialized:
            self.faults.clear()
        super().full_init()

    @property
    def loads_masks(self) -> bool:
        """Whether the pipeline has a transform that loads masks."""
        return any(getattr(one, "with_mask", False) for one in self.pipeline)

    def filter_data_of(self, data_list: list[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """Check freshly read samples, add their proposals, and run `filter_data` on them."""
        self._sizes_checked = len(data_list) <= SIZES_UP_TO
        if self._sizes_checked:
            data_list = [info for info in data_list if not self._note_wrong_size(info)]
        self.faults.settle(type(self).__name__, self.ann_file)
        self._check_masks(data_list)
        if self.proposal_file is not None:
            self._add_proposals(data_list, self.proposal_file)
        if self.return_classes:
            for info in data_list:
                info.update(
                    text=self._metainfo["classes"], caption_prompt=self.caption_prompt, custom_entities=True
                )
        return super().filter_data_of(data_list)

    def _check_masks(self, data_list: list[dict[str, Any]]) -> None:
        """Refuse to train masks on objects of which none has one: every object would be ignored."""
        if self.test_mode or not self.loads_masks:
            return
        objects = [instance for info in data_list for instance in info.get("instances", ())]
        if objects and not any(instance.get("mask") is not None for instance in objects):
            raise DataError(
                f"None of the {len(objects)} objects of {self.ann_file!r} has a mask that can be used, but "
                "the pipeline loads masks. Give LoadAnnotations with_mask=False and use a model without a "
                "mask head, or annotations with masks."
            )

    def _note_wrong_size(self, info: Mapping[str, Any]) -> bool:
        annotated = (info.get("height"), info.get("width"))
        if None in annotated or not isinstance(info.get("img_path"), str):
            return False
        oriented = not any(
            "ignore_orientation" in str(getattr(one, "color_type", "")) for one in self.pipeline
        )
        actual = image_size(info["img_path"], oriented)
        if actual is None or actual == annotated:
            return False
        height, width = actual
        self.faults.note(
            WRONG_SIZE, f"{info['img_path']} ({width}x{height}, annotated {annotated[1]}x{annotated[0]})"
        )
        return True

    def _add_proposals(self, data_list: list[dict[str, Any]], proposal_file: str) -> None:
        path = join_path(self.data_root, proposal_file)
        proposals = read_proposals(path, self.backend_args)
        absent = [info["img_path"] for info in data_list if proposal_key(info["img_path"]) not in proposals]
        if absent:
            raise DataError(
                f"The proposal file {path!r} has none for {len(absent)} of the {len(data_list)} images: "
                f"{shown(absent, len(absent))}. It must be made for this very set of images."
            )
        for info in data_list:
            info["proposals"] = proposals[proposal_key(info["img_path"])]

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

    def prepare_data(self, idx: int) -> Any:
        """Run a sample through the pipeline; None where that drops it, or its image has another size.

        Raises:
            DataError: The image has another size than annotated, and `on_bad_sample='error'` or it is a test
                set, of which nothing may be left out any more.
        """
        info = self.get_data_info(idx)
        path, annotated = info.get("img_path"), (info.get("height"), info.get("width"))
        data = self.pipeline(info)
        loaded = info.get("ori_shape")
        if self._sizes_checked or not loaded or None in annotated or tuple(loaded[:2]) == annotated:
            return data
        height, width = loaded[:2]
        message = f"The image {path!r} is {width}x{height}, but annotated as {annotated[1]}x{annotated[0]}"
        if self.faults.policy == "error" or self.test_mode:
            raise DataError(f"{message}. Correct the annotation, or take it out.")
        logger.warning(f"{message}: another one is taken in its place (on_bad_sample='skip').")
        return None

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the objects of sample `idx`, one an object."""
        return [instance["bbox_label"] for instance in self.get_data_info(idx)["instances"]]
