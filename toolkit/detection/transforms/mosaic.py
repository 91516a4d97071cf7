"""Four images as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import inside_image, join_objects, keep_objects
from toolkit.detection.transforms.partners import Partners
from toolkit.transforms import BaseTransform
from toolkit.transforms.geometry import clip_boxes
from toolkit.transforms.image_ops import imresize
from toolkit.utils.errors import ConfigError, DataError

Sample = dict[str, Any]
_OTHERS = 3


class MosaicBase(BaseTransform):
    """Putting four samples around a random centre; a subclass says where the other three come from.

    Args:
        img_scale: (width, height) that each image is fitted into; the result has twice of both.
        center_ratio_range: Where the four meet, as a part of `img_scale`.
        bbox_clip_border: Whether boxes are cut to the result.
        pad_val: What is filled in where no image is; a number, or one a channel.
        prob: Probability of doing it.

    Raises:
        ConfigError: An argument is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = ("img", "gt_bboxes")
    changes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_instances_ids",
        "gt_seg_map",
    )
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "gt_bboxes")

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
        bbox_clip_border: bool = True,
        pad_val: float | Sequence[float] = 114.0,
        prob: float = 1.0,
    ) -> None:
        name = type(self).__name__
        if isinstance(img_scale, (int, float)) or len(img_scale) != 2 or min(img_scale) <= 0:
            raise ConfigError(f"{name} got img_scale={img_scale!r}; it takes (width, height).")
        if not 0 <= prob <= 1:
            raise ConfigError(f"{name} got prob={prob}; a probability is from 0 to 1.")
        if not 0 < center_ratio_range[0] <= center_ratio_range[1] < 2:
            raise ConfigError(f"{name} got center_ratio_range={center_ratio_range}; it lies between 0 and 2.")
        self.img_scale = img_scale
        self.center_ratio_range = center_ratio_range
        self.bbox_clip_border = bbox_clip_border
        self.pad_val = pad_val
        self.prob = prob

    def mosaic(self, results: Sample, others: Sequence[Sample]) -> Sample:
        """The sample with three others beside and below it."""
        width, height = (int(side * 2) for side in self.img_scale)
        image = results["img"]
        canvas = np.full((height, width, *image.shape[2:]), self.pad_val, image.dtype)
        with_seg = results.get("gt_seg_map") is not None
        seg_map = np.full((height, width), results.get("ignore_index", 255), np.uint8) if with_seg else None
        center = tuple(int(np.random.uniform(*self.center_ratio_range) * side) for side in self.img_scale)
        parts = []
        for place, sample in enumerate((results, *others)):
            if sample["img"].shape[2:] != image.shape[2:]:
                raise DataError(f"a mosaic of images with shapes {image.shape} and {sample['img'].shape}")
            parts.append(self._placed(sample, canvas, seg_map, center, place))
        results.update(join_objects(parts), img=canvas, img_shape=canvas.shape[:2])
        if with_seg:
            results["gt_seg_map"] = seg_map
        if self.bbox_clip_border:
            results["gt_bboxes"] = clip_boxes(results["gt_bboxes"], canvas.shape)
        keep_objects(results, inside_image(results["gt_bboxes"], canvas.shape))
        return results

    def _placed(
        self,
        sample: Sample,
        canvas: np.ndarray,
        seg_map: np.ndarray | None,
        center: Sequence[int],
        place: int,
    ) -> Sample:
        """Paint one image at place 0 to 3, row by row.

        Returns:
            The sample, its objects in the mosaic's coordinates.
        """
        height, width = sample["img"].shape[:2]
        factor = min(self.img_scale[1] / height, self.img_scale[0] / width)
        size = int(width * factor), int(height * factor)
        across = _span(center[0], size[0], canvas.shape[1], after=bool(place % 2))
        down = _span(center[1], size[1], canvas.shape[0], after=place >= 2)
        to, cut = (slice(*down[:2]), slice(*across[:2])), (slice(*down[2:]), slice(*across[2:]))
        canvas[to] = imresize(sample["img"], size)[cut]
        if seg_map is not None:
            seg_map[to] = imresize(sample["gt_seg_map"], size, interpolation="nearest")[cut]
        objects = dict(sample)
        shift = np.asarray([across[0] - across[2], down[0] - down[2]] * 2, np.float32)
        objects["gt_bboxes"] = sample["gt_bboxes"] * np.float32(factor) + shift
        if sample.get("gt_masks") is not None:
            masks = sample["gt_masks"].resize(size[::-1])
            seen = masks.crop(np.asarray([across[2], down[2], across[3], down[3]]))
            objects["gt_masks"] = seen.expand(*canvas.shape[:2], down[0], across[0])
        return objects


def _span(center: int, length: int, limit: int, after: bool) -> tuple[int, int, int, int]:
    """Along one axis: where an image of `length` goes on the canvas, and which part of it (both from, to)."""
    if after:
        end = min(center + length, limit)
        return center, end, 0, end - center
    start = max(center - length, 0)
    return start, center, length - (center - start), length


@TRANSFORMS.register_module()
class Mosaic(MosaicBase):
    """Put this image and three others around a random centre, in the pipeline of a `MultiImageMixDataset`.

    Bochkovskiy et al., "YOLOv4: Optimal Speed and Accuracy of Object Detection".

    Reads: `img`, `gt_bboxes`, `mix_results`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `gt_bboxes`.

    Args:
        img_scale: (width, height) that each image is fitted into; the result has twice of both.
        center_ratio_range: Where the four meet, as a part of `img_scale`.
        bbox_clip_border: Whether boxes are cut to the result.
        pad_val: What is filled in where no image is; a number, or one a channel.
        prob: Probability of doing it.

    Raises:
        ConfigError: An argument is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = (*MosaicBase.reads, "mix_results")

    def get_indexes(self, dataset: Any) -> list[int]:
        """Which samples of a dataset to mix in."""
        return [int(np.random.randint(0, len(dataset))) for _ in range(_OTHERS)]

    def transform(self, results: Sample) -> Sample:
        """The mosaic, or the sample as it was."""
        if np.random.uniform(0, 1) > self.prob:
            return results
        return self.mosaic(results, _checked(results["mix_results"]))


def _checked(others: Sequence[Sample]) -> Sequence[Sample]:
    if len(others) != _OTHERS:
        raise DataError(f"Mosaic mixes in {_OTHERS} samples, but mix_results holds {len(others)}")
    return others


@TRANSFORMS.register_module()
class CachedMosaic(MosaicBase, Partners):
    """Put this image and three others around a random centre, in any dataset's own pipeline.

    Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors".

    Reads: `img`, `gt_bboxes`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `gt_bboxes`.

    The others are samples of the same dataset at random indices, run through the pipeline up to this point,
    so
    that a run stays the same with any number of workers and after resuming. With `worker_cache=True` they are
    those that the worker saw last, as in MMDetection: no image is read for another one's sake, but a resumed
    run then mixes others than the uninterrupted one would have.

    Args:
        img_scale: (width, height) that each image is fitted into; the result has twice of both.
        center_ratio_range: Where the four meet, as a part of `img_scale`.
        bbox_clip_border: Whether boxes are cut to the result.
        pad_val: What is filled in where no image is; a number, or one a channel.
        prob: Probability of doing it.
        max_cached_images: Samples that a worker keeps with `worker_cache`, four at least.
        random_pop: Whether a random one of these makes room for a new one, or the oldest.
        worker_cache: See above.

    Raises:
        ConfigError: An argument is outside its range.
    """

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
        bbox_clip_border: bool = True,
        pad_val: float | Sequence[float] = 114.0,
        prob: float = 1.0,
        max_cached_images: int = 40,
        random_pop: bool = True,
        worker_cache: bool = False,
    ) -> None:
        MosaicBase.__init__(self, img_scale, center_ratio_range, bbox_clip_border, pad_val, prob)
        if max_cached_images < _OTHERS + 1:
            raise ConfigError(
                f"CachedMosaic got max_cached_images={max_cached_images}; it needs {_OTHERS + 1} at least."
            )
        Partners.__init__(self, max_cached_images, random_pop, worker_cache)
        self.max_cached_images = max_cached_images
        self.random_pop = random_pop
        self.worker_cache = worker_cache

    def transform(self, results: Sample) -> Sample:
        """The mosaic, or the sample as it was."""
        self.stop_if_wanted(results)
        self.remember(results)
        if not self.has_partners(least=_OTHERS + 2) or np.random.uniform(0, 1) > self.prob:
            return results
        return self.mosaic(results, self.partners(_OTHERS))
