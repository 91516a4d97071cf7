"""What metrics share that compare detections with COCO's format of ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from toolkit.detection.datasets.coco_format import CocoFile, category_ids, read_coco_file
from toolkit.detection.datasets.faults import shown
from toolkit.detection.evaluation.arrays import as_array
from toolkit.detection.evaluation.coco_detections import CocoDetections
from toolkit.detection.evaluation.coco_eval import CocoBackend
from toolkit.detection.evaluation.coco_truth import (
    as_numbers,
    content_of_file,
    content_of_samples,
    truth_of_sample,
)
from toolkit.detection.evaluation.mask_runs import encode_masks
from toolkit.evaluator import BaseMetric
from toolkit.logging import MMLogger
from toolkit.utils import BuildError, DataError

CLASSES_FIX = (
    "Set metainfo=dict(classes=(…)) on the dataset, or leave ann_file out to evaluate against the "
    "annotations that the dataset loads."
)


class Scene(NamedTuple):
    """What detections are compared with."""

    truth: Any  # a backend's COCO object
    image_ids: list[int]  # of each image that was evaluated
    category_ids: list[int]  # of each label


class CocoBasedMetric(BaseMetric):
    """Base of metrics over an annotation file in COCO's format, or over the data samples' own ground truth.

    It collects the detections of each image, with masks as run lengths. A subclass implements
    `compute_metrics` on `scene_of(results)` and `detections_of(results)`.

    Args:
        ann_file: Annotation file in COCO's format. Without it, the data samples are the ground truth:
            `instances`, or `gt_instances` with `ignored_instances` as crowds.
        file_client_args: MMDetection's former name of `backend_args`; refused.
        backend_args: Options for reading a remote annotation file, handed to fsspec.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: In place of the class's own prefix of the names.
        backend: What computes it: 'hotcoco', 'pycocotools' or 'faster_coco_eval'.

    Raises:
        BuildError: Unknown backend.
        DataError: The annotation file can't be used.
    """

    # False where only detections are collected
    needs_truth = True
    # whether objects without a mask are to be told of when the annotation file is read
    compares_masks = False

    def __init__(
        self,
        ann_file: str | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        backend: str = "hotcoco",
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.name = type(self).__name__
        if file_client_args is not None:
            raise BuildError(f"{self.name} got file_client_args; its name is backend_args now.")
        self.backend_args = backend_args
        self.backend = CocoBackend(backend)
        self._file: CocoFile | None = None
        if ann_file is not None:
            self._file = read_coco_file(ann_file, backend_args)
            self._image_numbers = dict(
                zip(self._file.images, as_numbers(list(self._file.images)), strict=True)
            )
            ids = list(self._file.categories)
            self._category_numbers = dict(zip(ids, as_numbers(ids), strict=True))
            self._truth = self.backend.dataset(self.content_of(self._file))

    def content_of(self, file: CocoFile) -> dict[str, Any]:
        """COCO's `images`, `categories` and `annotations` of the annotation file."""
        content = content_of_file(file, self._image_numbers, self._category_numbers)
        if self.compares_masks:
            self._tell_of_lacking_masks(file, content["annotations"])
        return content

    def _tell_of_lacking_masks(self, file: CocoFile, annotations: list[dict[str, Any]]) -> None:
        places = [one["id"] for one in annotations if "segmentation" not in one]
        if places and len(places) < len(annotations):  # where all lack them, `scene_of_masks` refuses
            ids = [file.annotations[place - 1].get("id") for place in places]
            self.logger.warning(
                f"{len(places)} of the {len(annotations)} objects of {file.path!r} have no mask that can be "
                f"used, and are left out of 'segm': ids {shown(ids, len(ids))}"
            )

    def find_categories(self, file: CocoFile, classes: Sequence[str]) -> list[Any]:
        """The category id of each class.

        Raises:
            DataError: The file lacks one.
        """
        return category_ids(file, classes, CLASSES_FIX)

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Facts about the dataset. Its classes are looked for in the annotation file when they are set."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta
        if self._file is not None and dataset_meta is not None and "classes" in dataset_meta:
            self.find_categories(self._file, dataset_meta["classes"])

    @property
    def classes(self) -> Sequence[str]:
        """Names of the labels."""
        classes = (self.dataset_meta or {}).get("classes")
        if classes is None:
            raise DataError(f"{self.name} needs class names: set metainfo=dict(classes=(…)) on the dataset.")
        return classes

    @property
    def logger(self) -> MMLogger:
        """Where tables and notes go."""
        return MMLogger.get_current_instance()

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the detections of a batch, with masks as run lengths.

        Args:
            data_batch: Not used.
            data_samples: `DetDataSample`s as dicts, with `img_id`, `ori_shape` and `pred_instances` in pixels
                of the original image: `bboxes`, `labels`, `scores`, and where there are, `masks` and
                `mask_scores`.

        Raises:
            DataError: There is no `img_id`, or no ground truth where it is needed.
        """
        for sample in data_samples:
            if "img_id" not in sample:
                raise DataError(f"{self.name} needs img_id: name it in meta_keys of PackDetInputs.")
            predicted = sample["pred_instances"]
            height, width = sample.get("ori_shape") or (0, 0)
            result = {
                "img_id": sample["img_id"],
                "height": int(height),
                "width": int(width),
                "bboxes": as_array(predicted["bboxes"], (-1, 4)),
                "scores": as_array(predicted["scores"], -1),
                "labels": as_array(predicted["labels"], -1),
            }
            if "masks" in predicted:
                result["masks"] = encode_masks(predicted["masks"])
            if "mask_scores" in predicted:
                result["mask_scores"] = as_array(predicted["mask_scores"], -1)
            if self._file is None and self.needs_truth:
                result["truth"] = truth_of_sample(sample)
            self.results.append(result)

    def detections_of(self, results: Sequence[Mapping[str, Any]]) -> CocoDetections:
        """The detections that `process` kept.

        Raises:
            DataError: A label is none of the classes.
        """
        return CocoDetections(results, len(self.classes))

    def scene_of(self, results: list[dict[str, Any]]) -> Scene:
        """The ground truth of the images that were evaluated, and the ids that it gives them.

        Raises:
            DataError: The annotation file doesn't know an image, or an image came twice.
        """
        img_ids = [result["img_id"] for result in results]
        if self._file is None:
            numbers = as_numbers(img_ids)
            content = content_of_samples(results, numbers, self.classes)
            return Scene(self.backend.dataset(content), numbers, list(range(len(self.classes))))
        self._check_images(self._file, img_ids)
        self._check_sizes(self._file, results)
        found = self.find_categories(self._file, self.classes)
        categories = [self._category_numbers[one] for one in found]
        return Scene(self._truth, [self._image_numbers[one] for one in img_ids], categories)

    def scene_of_masks(self, scene: Scene) -> Scene:
        """The scene without the objects that have no mask, where some of an annotation file have none.

        Raises:
            DataError: No object of the file has one, or one of the data samples' objects has none.
        """
        images, categories = set(scene.image_ids), set(scene.category_ids)
        content = scene.truth.dataset
        lacking = [one for one in content["annotations"] if not one.get("segmentation")]
        meant = [one for one in lacking if one["image_id"] in images and one["category_id"] in categories]
        if meant and (self._file is None or len(lacking) == len(content["annotations"])):
            raise DataError(
                f"{self.name} is to evaluate 'segm', but {len(meant)} objects of the ground truth have no "
                f"mask (the first is object {meant[0]['id']}). Compare boxes ('bbox'), or use annotations "
                "with 'segmentation' or, without ann_file, LoadAnnotations with with_mask=True."
            )
        if not lacking:
            return scene
        kept = [one for one in content["annotations"] if one.get("segmentation")]
        return scene._replace(truth=self.backend.dataset({**content, "annotations": kept}))

    def _check_images(self, file: CocoFile, img_ids: list[Any]) -> None:
        """Refuse images that the file doesn't know, or that came twice; tell if some never came."""
        unknown = [one for one in img_ids if one not in file.images]
        if unknown:
            raise DataError(
                f"{self.name}: {file.path!r} has no image of {len(unknown)} of the {len(img_ids)} ids that "
                f"were evaluated: {shown(map(repr, unknown), len(unknown))}. The metric's ann_file must be "
                "the dataset's."
            )
        if len(set(img_ids)) < len(img_ids):
            twice = [one for one, count in Counter(img_ids).items() if count > 1]
            raise DataError(
                f"{self.name} got {len(twice)} images several times: {shown(map(repr, twice), len(twice))}. "
                "Evaluate each image once: without RepeatDataset, and one file of annotations a metric."
            )
        if len(img_ids) < len(file.images):
            self.logger.warning(
                f"{len(img_ids)} of the {len(file.images)} images of {file.path!r} were evaluated; the "
                "numbers are over these alone"
            )

    def _check_sizes(self, file: CocoFile, results: list[dict[str, Any]]) -> None:
        """Tell of images of another size than the file says: it may be the file of other images."""
        others = [
            result["img_id"]
            for result in results
            for image in [file.images[result["img_id"]]]
            if result["height"]
            and (result["height"], result["width"]) != (image.get("height"), image.get("width"))
        ]
        if others:
            self.logger.warning(
                f"{len(others)} of the {len(results)} images have another size than {file.path!r} says "
                f"(ids {shown(others, len(others))}); is it the annotation file of these images?"
            )
