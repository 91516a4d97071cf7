"""Ground truth in COCO's format, from an annotation file or from data samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.detection.datasets.coco_format import CocoFile
from toolkit.detection.datasets.segmentations import usable_mask
from toolkit.detection.evaluation.arrays import as_array
from toolkit.detection.evaluation.mask_runs import as_text, encode_masks
from toolkit.utils import DataError

# what LVIS's evaluation reads of an image beside its id and size
_OF_IMAGES = ("neg_category_ids", "not_exhaustive_category_ids")


def truth_of_sample(sample: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of a data sample: `bbox` (xyxy), `bbox_label`, `ignore_flag`; `mask`, `area` where known.

    They are the dataset's `instances`, where the pipeline keeps these, or else `gt_instances` and, as crowds,
    `ignored_instances`. Both are in pixels of the original image if annotations were loaded after resizing.

    Raises:
        DataError: It holds neither.
    """
    if "instances" in sample:
        return list(sample["instances"])
    truth = sample.get("gt_instances")
    if truth is None or "bboxes" not in truth:
        raise DataError(
            "CocoMetric has no ann_file, and finds no ground truth boxes in the batch. Set "
            "ann_file='…/instances_val.json', or add dict(type='LoadAnnotations', with_bbox=True) to the "
            "test pipeline, after Resize."
        )
    ignored = sample.get("ignored_instances") or {}
    return [*_objects(truth, 0), *(_objects(ignored, 1) if "bboxes" in ignored else ())]


def _objects(instances: Mapping[str, Any], flag: int) -> Iterable[dict[str, Any]]:
    boxes = as_array(instances["bboxes"], (-1, 4)).astype(np.float64)
    labels = as_array(instances["labels"], -1)
    masks = encode_masks(instances["masks"]) if "masks" in instances else [None] * len(boxes)
    for box, label, mask in zip(boxes.tolist(), labels.tolist(), masks, strict=True):
        instance = {"bbox": box, "bbox_label": label, "ignore_flag": flag}
        yield instance if mask is None else {**instance, "mask": mask, "area": _mask_area(mask)}


def _mask_area(mask: Mapping[str, Any]) -> float:
    from hotcoco import mask as coco_mask

    return float(coco_mask.area(dict(mask)))


def content_of_samples(
    results: Sequence[Mapping[str, Any]], numbers: Sequence[int], classes: Sequence[str]
) -> dict[str, Any]:
    """COCO's `images`, `categories` and `annotations` of what was collected from samples.

    Args:
        results: For each image `height`, `width` and `truth`, what `truth_of_sample` gave.
        numbers: The images' ids.
        classes: Names, whose places become category ids.
    """
    images = [
        {"id": number, "height": result["height"], "width": result["width"], "file_name": ""}
        for number, result in zip(numbers, results, strict=True)
    ]
    annotations: list[dict[str, Any]] = []
    for number, result in zip(numbers, results, strict=True):
        for one in result["truth"]:
            x1, y1, x2, y2 = map(float, one["bbox"])
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(one["bbox_label"]),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": float(one.get("area", (x2 - x1) * (y2 - y1))),
                "iscrowd": int(one.get("ignore_flag", 0)),
            }
            if one.get("mask") is not None:
                annotation["segmentation"] = _segmentation(one["mask"])
            annotations.append(annotation)
    categories = [{"id": label, "name": name} for label, name in enumerate(classes)]
    return {"info": {}, "images": images, "categories": categories, "annotations": annotations}


def _segmentation(mask: Any) -> Any:
    if isinstance(mask, np.ndarray):
        return encode_masks(mask[None])[0]
    return dict(mask, counts=as_text(mask["counts"])) if isinstance(mask, Mapping) else mask


def content_of_file(
    file: CocoFile, numbers: Mapping[Any, int], category_numbers: Mapping[Any, int]
) -> dict[str, Any]:
    """COCO's `images`, `categories` and `annotations` of a file, with what some files leave out filled in.

    Objects whose mask can't be used have no `segmentation`, and images whose size is none have 0 and 0.

    Args:
        file: The annotation file.
        numbers: The id to use for each image of the file.
        category_numbers: The id to use for each of its categories.
    """
    images = [
        {
            **{key: image[key] for key in _OF_IMAGES if key in image},
            **_size(image),
            "id": numbers[img_id],
            "file_name": "",
        }
        for img_id, image in file.images.items()
    ]
    annotations = [
        {
            **_sound_mask(one, file.images.get(one["image_id"], {})),
            "bbox": one["bbox"],
            # an object of id 0 counts as never found in COCO's own evaluation, so they count from 1
            "id": place,
            "image_id": numbers[one["image_id"]],
            "category_id": category_numbers[one["category_id"]],
            "area": one.get("area", one["bbox"][2] * one["bbox"][3]),
            "iscrowd": int(bool(one.get("iscrowd"))),
            "ignore": int(bool(one.get("ignore"))),
        }
        for place, one in enumerate(file.annotations, 1)
        if one["image_id"] in numbers and one["category_id"] in category_numbers
    ]
    categories = [{"id": category_numbers[one], "name": name} for one, name in file.categories.items()]
    return {"info": {}, "images": images, "categories": categories, "annotations": annotations}


def _size(image: Mapping[str, Any]) -> dict[str, int]:
    size = {key: image.get(key) for key in ("height", "width")}
    return {key: side if type(side) is int and side > 0 else 0 for key, side in size.items()}


def _sound_mask(one: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    mask, reason = usable_mask(one.get("segmentation") or None, **_size(image))
    return {} if mask is None or reason is not None else {"segmentation": mask}


def as_numbers(ids: Sequence[Any]) -> list[int]:
    """The ids where they are different whole numbers, which COCO's evaluation wants, or else 1, 2, …."""
    if len(set(ids)) == len(ids) and all(type(one) is int and one >= 0 for one in ids):
        return list(ids)
    return list(range(1, len(ids) + 1))
