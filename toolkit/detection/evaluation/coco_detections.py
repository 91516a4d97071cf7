"""What a metric collected, as COCO's evaluation and COCO's files of results want it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.utils import DataError


class CocoDetections:
    """The detections of a set of images.

    Args:
        results: For each image `bboxes` (N, 4) xyxy, `scores` (N,), `labels` (N,), and where there are masks,
            `masks`, N run lengths, and `mask_scores` (N,).
        num_classes: Number of labels.

    Raises:
        DataError: A label is none of the classes.
    """

    def __init__(self, results: Sequence[Mapping[str, Any]], num_classes: int) -> None:
        self.results = results
        highest = max((int(result["labels"].max(initial=-1)) for result in results), default=-1)
        if highest >= num_classes:
            raise DataError(
                f"CocoMetric got a detection of label {highest}, but the dataset has {num_classes} classes: "
                "the model is made for other data. Set num_classes of its heads, or metainfo.classes."
            )

    def boxes(self, image_ids: Sequence[int], category_ids: Sequence[int]) -> np.ndarray:
        """(N, 7) float64: image id, x, y, width, height, score, category id.

        Args:
            image_ids: The id to use for each image.
            category_ids: The id to use for each label.
        """
        categories = np.asarray(category_ids, np.float64)
        parts = [
            np.column_stack(
                [
                    np.full(len(result["labels"]), image_id, np.float64),
                    to_xywh(result["bboxes"]),
                    result["scores"],
                    categories[result["labels"].astype(np.int64)],
                ]
            )
            for image_id, result in zip(image_ids, self.results, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 7))

    def masks(self, image_ids: Sequence[Any], category_ids: Sequence[Any]) -> list[dict[str, Any]]:
        """COCO's list of results with `segmentation`; see `boxes`.

        It has no `bbox`, from which the areas of the masks would be taken.

        Raises:
            DataError: There are no masks.
        """
        if not all("masks" in result for result in self.results):
            raise DataError(
                "CocoMetric is to evaluate 'segm', but the model predicts no masks. Use metric='bbox', or a "
                "model with a mask head."
            )
        return [
            {
                "image_id": image_id,
                "category_id": category_ids[label],
                "segmentation": mask,
                "score": score,
            }
            for image_id, result in zip(image_ids, self.results, strict=True)
            for label, mask, score in zip(
                result["labels"].tolist(),
                result["masks"],
                result.get("mask_scores", result["scores"]).tolist(),
                strict=True,
            )
        ]

    def write(self, prefix: str, category_ids: Sequence[Any]) -> list[str]:
        """Write `PREFIX.bbox.json` and, where there are masks, `PREFIX.segm.json`.

        Args:
            prefix: Start of the paths; folders are made.
            category_ids: The id to use for each label.

        Returns:
            The paths.

        Raises:
            DataError: They can't be written.
        """
        contents = {f"{prefix}.bbox.json": list(self._box_entries(category_ids))}
        if self.results and all("masks" in result for result in self.results):
            image_ids = [result["img_id"] for result in self.results]
            contents[f"{prefix}.segm.json"] = self.masks(image_ids, category_ids)
        try:
            os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
            for path, entries in contents.items():
                with open(path, "w") as file:
                    json.dump(entries, file)
        except OSError as error:
            raise DataError(
                f"CocoMetric can't write to outfile_prefix={prefix!r}: {error.strerror or error}."
            ) from error
        return list(contents)

    def _box_entries(self, category_ids: Sequence[Any]) -> Iterator[dict[str, Any]]:
        for result in self.results:
            boxes, scores = to_xywh(result["bboxes"]).tolist(), result["scores"].tolist()
            for box, score, label in zip(boxes, scores, result["labels"].tolist(), strict=True):
                yield {
                    "image_id": result["img_id"],
                    "category_id": category_ids[label],
                    "bbox": box,
                    "score": score,
                }


def to_xywh(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) float64 x, y, width, height of xyxy boxes."""
    boxes = boxes.astype(np.float64)
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
