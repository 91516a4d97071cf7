"""Two images over each other, half transparent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.geometric import flip_boxes
from toolkit.detection.transforms.instances import inside_image, join_objects, keep_objects
from toolkit.detection.transforms.partners import Partners
from toolkit.detection.transforms.warp import on_canvas
from toolkit.transforms import BaseTransform
from toolkit.transforms.geometry import clip_boxes
from toolkit.transforms.image_ops import imflip, imresize
from toolkit.utils.errors import ConfigError, DataError

Sample = dict[str, Any]


class MixUpBase(BaseTransform):
    """Averaging a sample with another one; a subclass says where the other comes from.

    Args:
        img_scale: (width, height) that the other image is fitted into, at the top left, before it is scaled.
        ratio_range: Least and greatest factor of that.
        flip_ratio: Probability of leaving the other image unmirrored.
        pad_val: What is filled in where the other image isn't; a number, or one a channel.
        max_iters: Samples looked at to find one with objects.
        bbox_clip_border: Whether boxes are cut to the image.

    Raises:
        ConfigError: An argument is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = ("img", "gt_bboxes")
    changes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_instances_ids",
    )
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "gt_bboxes")

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: tuple[float, float] = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: float | Sequence[float] = 114.0,
        max_iters: int = 15,
        bbox_clip_border: bool = True,
    ) -> None:
        name = type(self).__name__
        if isinstance(img_scale, (int, float)) or len(img_scale) != 2 or min(img_scale) <= 0:
            raise ConfigError(f"{name} got img_scale={img_scale!r}; it takes (width, height).")
        if not 0 < ratio_range[0] <= ratio_range[1]:
            raise ConfigError(f"{name} got ratio_range={ratio_range}; it takes two rising factors above 0.")
        self.img_scale = img_scale
        self.ratio_range = ratio_range
        self.flip_ratio = flip_ratio
        self.pad_val = pad_val
        self.max_iters = max_iters
        self.bbox_clip_border = bbox_clip_border

    def mixed(self, results: Sample, other: Sample) -> Sample:
        """The sample with the other one over it; as it was, where the other has no objects."""
        if not len(other["gt_bboxes"]):
            return results
        image = results["img"]
        jitter = np.random.uniform(*self.ratio_range)
        mirrored = np.random.uniform(0, 1) > self.flip_ratio
        layer = self._layer(other["img"], jitter, mirrored)
        top, left = (
            int(np.random.randint(0, size - limit)) if size > limit else 0
            for size, limit in zip(layer.shape[:2], image.shape[:2], strict=True)
        )
        window = layer[top : top + image.shape[0], left : left + image.shape[1]]
        if window.shape != image.shape:
            window = on_canvas(window, image.shape, (0, 0), self.pad_val)
        objects = self._objects(other, layer.shape[:2], (top, left), image.shape[:2], jitter, mirrored)
        results.update(
            join_objects((results, objects)), img=_average(image, window), img_shape=image.shape[:2]
        )
        keep_objects(results, inside_image(results["gt_bboxes"], image.shape))
        return results

    def _layer(self, image: np.ndarray, jitter: float, mirrored: bool) -> np.ndarray:
        """The other image on its canvas, scaled and mirrored."""
        width, height = self.img_scale
        factor = self._fit(image)
        fitted = imresize(image, (int(image.shape[1] * factor), int(image.shape[0] * factor)))
        canvas = on_canvas(fitted, (height, width), (0, 0), self.pad_val)
        layer = imresize(canvas, (int(width * jitter), int(height * jitter)))
        return imflip(layer) if mirrored else layer

    def _fit(self, image: np.ndarray) -> float:
        return min(self.img_scale[1] / image.shape[0], self.img_scale[0] / image.shape[1])

    def _objects(
        self,
        other: Sample,
        layer_shape: tuple[int, ...],
        corner: tuple[int, int],
        shape: tuple[int, ...],
        jitter: float,
        mirrored: bool,
    ) -> Sample:
        """The other sample's objects in this one's coordinates.

        Args:
            other: The other sample.
            layer_shape: (h, w) of its scaled canvas.
            corner: (top, left) of the image on that canvas.
            shape: (h, w) of the image.
            jitter: Factor of the canvas.
            mirrored: Whether the canvas was mirrored.
        """
        factor = self._fit(other["img"]) * jitter
        objects = dict(other)
        boxes = other["gt_bboxes"] * np.float32(factor)
        if self.bbox_clip_border:
            boxes = clip_boxes(boxes, layer_shape)
        if mirrored:
            boxes = flip_boxes(boxes, layer_shape[:2], "horizontal")  # type: ignore[arg-type]
        boxes = boxes - np.asarray([corner[1], corner[0]] * 2, np.float32)
        objects["gt_bboxes"] = clip_boxes(boxes, shape) if self.bbox_clip_border else boxes
        if other.get("gt_masks") is not None:
            size = [
                min(int(side * factor + 0.5), limit)
                for side, limit in zip(other["img"].shape[:2], layer_shape, strict=True)
            ]
            masks = other["gt_masks"].resize(size).pad(layer_shape)
            masks = masks.flip() if mirrored else masks
            top, left = corner
            bottom, right = min(top + shape[0], layer_shape[0]), min(left + shape[1], layer_shape[1])
            objects["gt_masks"] = masks.crop(np.asarray([left, top, right, bottom])).pad(shape)
        return objects


def _average(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean of two images, rounded down where they are uint8."""
    # a quarter less is rounded to the level below a half, and to the level itself otherwise
    return cv2.addWeighted(image, 0.5, other, 0.5, -0.25 if image.dtype == np.uint8 else 0)


def _has_objects(sample: Sample) -> bool:
    """Whether a description or a sample has any object."""
    boxes = sample.get("gt_bboxes")
    return len(sample.get("instances", ())) > 0 if boxes is None else len(boxes) > 0


@TRANSFORMS.register_module()
class MixUp(MixUpBase):
    """Average this image with another one that has objects, in the pipeline of a `MultiImageMixDataset`.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, as YOLOX has it.

    Reads: `img`, `gt_bboxes`, `mix_results`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`.
    Writes: `img`, `img_shape`, `gt_bboxes`.

    Args:
        img_scale: (width, height) that the other image is fitted into, at the top left, before it is scaled.
        ratio_range: Least and greatest factor of that.
        flip_ratio: Probability of leaving the other image unmirrored.
        pad_val: What is filled in where the other image isn't; a number, or one a channel.
        max_iters: Samples looked at to find one with objects.
        bbox_clip_border: Whether boxes are cut to the image.

    Raises:
        ConfigError: An argument is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = (*MixUpBase.reads, "mix_results")

    def get_indexes(self, dataset: Any) -> int:
        """Which sample of a dataset to mix in: one with objects, where one is found."""
        # a description says it without reading the image
        look = dataset.get_data_info if hasattr(dataset, "get_data_info") else dataset.__getitem__
        index = 0
        for _ in range(self.max_iters):
            index = int(np.random.randint(0, len(dataset)))
            if _has_objects(look(index)):
                break
        return index

    def transform(self, results: Sample) -> Sample:
        """The mixture."""
        others = results["mix_results"]
        if len(others) != 1:
            raise DataError(f"MixUp mixes in one sample, but mix_results holds {len(others)}")
        return self.mixed(results, others[0])


@TRANSFORMS.register_module()
class CachedMixUp(MixUpBase, Partners):
    """Average this image with another one that has objects, in any dataset's own pipeline.

    Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors".

    Reads: `img`, `gt_bboxes`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`.
    Writes: `img`, `img_shape`, `gt_bboxes`.

    Where the other one comes from, and what `worker_cache` gives up, is said at `CachedMosaic`.

    Args:
        img_scale: (width, height) that the other image is fitted into, at the top left, before it is scaled.
        ratio_range: Least and greatest factor of that.
        flip_ratio: Probability of leaving the other image unmirrored.
        pad_val: What is filled in where the other image isn't; a number, or one a channel.
        max_iters: Samples looked at to find one with objects.
        bbox_clip_border: Whether boxes are cut to the image.
        max_cached_images: Samples that a worker keeps with `worker_cache`, two at least.
        random_pop: Whether a random one of these makes room for a new one, or the oldest.
        prob: Probability of doing it.
        worker_cache: Whether the other one is of those that the worker saw last.

    Raises:
        ConfigError: An argument is outside its range.
    """

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: tuple[float, float] = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: float | Sequence[float] = 114.0,
        max_iters: int = 15,
        bbox_clip_border: bool = True,
        max_cached_images: int = 20,
        random_pop: bool = True,
        prob: float = 1.0,
        worker_cache: bool = False,
    ) -> None:
        MixUpBase.__init__(self, img_scale, ratio_range, flip_ratio, pad_val, max_iters, bbox_clip_border)
        if max_cached_images < 2 or not 0 <= prob <= 1:
            raise ConfigError(
                f"CachedMixUp got max_cached_images={max_cached_images}, prob={prob}; it needs two at "
                "least, and a "
                "probability from 0 to 1."
            )
        Partners.__init__(self, max_cached_images, random_pop, worker_cache)
        self.max_cached_images = max_cached_images
        self.random_pop = random_pop
        self.prob = prob
        self.worker_cache = worker_cache

    def transform(self, results: Sample) -> Sample:
        """The mixture, or the sample as it was."""
        self.stop_if_wanted(results)
        self.remember(results)
        if not self.has_partners(least=2) or np.random.uniform(0, 1) > self.prob:
            return results
        return self.mixed(results, self.partners(1, _has_objects, self.max_iters)[0])
