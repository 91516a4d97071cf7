"""Steps that other packages do: image corruptions, Albumentations, InstaBoost.

None of these packages is needed by anything else; each is imported when the step is built.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import PER_OBJECT
from toolkit.transforms import BaseTransform
from toolkit.utils.errors import BuildError, ConfigError
from toolkit.utils.suggest import did_you_mean


def required(package: str, who: str, install: str) -> Any:
    """A package that is no dependency of ours.

    Raises:
        BuildError: It isn't installed; the message says how to.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise BuildError(
            f"{who} needs the package {package}, which can't be imported ({error}): pip install "
            f"{install}, or "
            f"take {who} out of the pipeline"
        ) from error


@TRANSFORMS.register_module()
class Corrupt(BaseTransform):
    """Corrupt the image as benchmarks of robustness do, with the package imagecorruptions.

    Michaelis et al., "Benchmarking Robustness in Object Detection".

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        corruption: Its name, such as 'gaussian_noise' or 'fog'.
        severity: From 1 to 5.

    Raises:
        BuildError: imagecorruptions isn't installed.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(self, corruption: str, severity: int = 1) -> None:
        self._package = required("imagecorruptions", "Corrupt", "imagecorruptions")
        self.corruption = corruption
        self.severity = severity

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its image corrupted."""
        image = results["img"].astype(np.uint8)
        results["img"] = self._package.corrupt(image, corruption_name=self.corruption, severity=self.severity)
        return results


@TRANSFORMS.register_module()
class Albu(BaseTransform):
    """Transforms of Albumentations, on image, boxes and masks.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`.
    Writes: `img`, `img_shape`.

    Objects whose box Albumentations drops go with all that belongs to them. Polygons become bitmaps.

    Args:
        transforms: Configs, whose `type` is a class of Albumentations or its name.
        bbox_params: Config of `albumentations.BboxParams`. `label_fields` and `filter_lost_elements`, which
            MMDetection's configs have there, are without effect: what belongs to a dropped box is always
            dropped.
        keymap: MMDetection's names of keys to Albumentations'; img, gt_masks and gt_bboxes are mapped
            already.
        skip_img_without_anno: Whether a sample is dropped of which no object is left.

    Raises:
        BuildError: albumentations isn't installed, or has no class of such a name.
        ConfigError: A transform has no type, or `keymap` names further keys.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = PER_OBJECT
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape")
    foreign_keys: ClassVar[tuple[str, ...]] = ("transforms", "bbox_params")

    def __init__(
        self,
        transforms: Sequence[Mapping[str, Any]],
        bbox_params: Mapping[str, Any] | None = None,
        keymap: Mapping[str, str] | None = None,
        skip_img_without_anno: bool = False,
    ) -> None:
        self._package = required("albumentations", "Albu", "albumentations")
        known = {"img": "image", "gt_masks": "masks", "gt_bboxes": "bboxes"}
        if any(known.get(key) != value for key, value in (keymap or known).items()):
            raise ConfigError(f"Albu got keymap={dict(keymap or {})}; it maps {known}, and no other keys.")
        self.transforms = transforms
        self.skip_img_without_anno = skip_img_without_anno
        given = {"format": "pascal_voc", **(bbox_params or {})}
        settings = {
            key: value
            for key, value in given.items()
            if key not in ("type", "label_fields", "filter_lost_elements")
        }
        boxes = self._package.BboxParams(**settings, label_fields=["places"])
        steps = [self._built(one) for one in transforms]
        self._with_boxes = self._package.Compose(steps, bbox_params=boxes)
        self._without = self._package.Compose(steps)

    def _built(self, cfg: Mapping[str, Any]) -> Any:
        """An object of Albumentations."""
        if not isinstance(cfg, Mapping) or "type" not in cfg:
            raise ConfigError(f"a transform of Albu is a dict with a type, but got {cfg!r}")
        settings = dict(cfg)
        kind = settings.pop("type")
        if isinstance(kind, str):
            if not inspect.isclass(getattr(self._package, kind, None)):
                raise BuildError(f"albumentations has no {kind!r}{did_you_mean(kind, dir(self._package))}")
            kind = getattr(self._package, kind)
        if "transforms" in settings:
            settings["transforms"] = [self._built(one) for one in settings["transforms"]]
        return kind(**settings)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample after the transforms; None where it lost all its objects and is to be dropped then."""
        given: dict[str, Any] = {"image": results["img"]}
        masks = results.get("gt_masks")
        if masks is not None:
            masks = masks.to_bitmap() if isinstance(masks, PolygonMasks) else masks
            given["masks"] = list(masks.masks)
        boxes = results.get("gt_bboxes")
        if boxes is None:
            output = self._without(**given)
        else:
            output = self._with_boxes(**given, bboxes=boxes.tolist(), places=list(range(len(boxes))))
            kept = np.asarray(output["places"], np.int64).reshape(-1)
            for key in PER_OBJECT:
                if results.get(key) is not None:
                    results[key] = results[key][kept]
            results["gt_bboxes"] = np.asarray(output["bboxes"], np.float32).reshape(-1, 4)
            if self.skip_img_without_anno and not len(kept):
                return None
        results["img"] = output["image"]
        results["img_shape"] = results["img"].shape[:2]
        if masks is not None:
            # Albumentations drops boxes, but no masks
            kept_masks = output["masks"] if boxes is None else [output["masks"][place] for place in kept]
            results["gt_masks"] = BitmapMasks(kept_masks, *results["img_shape"])
        return results


@TRANSFORMS.register_module()
class InstaBoost(BaseTransform):
    """Move objects to where the image looks alike, with the package instaboostfast.

    Fang et al., "InstaBoost", ICCV 2019.

    Reads: `img`, `instances`.
    Changes: none.
    Writes: `img`, `instances`.

    It stands before `LoadAnnotations`. Ignored objects stay where they are.

    Args:
        action_candidate: What may be done with an object: 'normal', 'horizontal', 'vertical', 'skip'.
        action_prob: Probability of each.
        scale: Least and greatest factor.
        dx: The largest shift in x is the object's width divided by this.
        dy: The largest shift in y is the object's height divided by this.
        theta: Least and greatest angle, in degrees.
        color_prob: Probability of changing the object's colours.
        hflag: Whether a heat map says where to move it.
        aug_ratio: Probability of doing it to an image.

    Raises:
        BuildError: instaboostfast isn't installed.
    """

    reads: ClassVar[tuple[str, ...]] = ("img", "instances")
    writes: ClassVar[tuple[str, ...]] = ("img", "instances")

    def __init__(
        self,
        action_candidate: Sequence[str] = ("normal", "horizontal", "skip"),
        action_prob: Sequence[float] = (1, 0, 0),
        scale: tuple[float, float] = (0.8, 1.2),
        dx: int = 15,
        dy: int = 15,
        theta: tuple[float, float] = (-1, 1),
        color_prob: float = 0.5,
        hflag: bool = False,
        aug_ratio: float = 0.5,
    ) -> None:
        import matplotlib

        # the package chooses another backend of matplotlib when imported
        backend = matplotlib.get_backend()
        self._package = required("instaboostfast", "InstaBoost", "instaboostfast")
        matplotlib.use(backend)
        self._cfg = self._package.InstaBoostConfig(
            action_candidate, action_prob, scale, dx, dy, theta, color_prob, hflag
        )
        self.aug_ratio = aug_ratio

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its objects moved, or as it was."""
        instances = results["instances"]
        moved = np.random.choice([False, True], p=[1 - self.aug_ratio, self.aug_ratio])
        movable = [one for one in instances if not one["ignore_flag"]]
        if not moved or not movable:
            return results
        annotations = [_as_coco(one) for one in movable]
        image = results["img"]
        annotations, changed = self._package.get_new_data(
            annotations, image.astype(np.uint8), self._cfg, background=None
        )
        results["img"] = changed.astype(image.dtype)
        results["instances"] = [_from_coco(one) for one in annotations if min(one["bbox"][2:]) > 0]
        results["instances"] += [one for one in instances if one["ignore_flag"]]
        return results


def _as_coco(instance: Mapping[str, Any]) -> dict[str, Any]:
    x1, y1, x2, y2 = instance["bbox"]
    return {
        "category_id": instance["bbox_label"],
        "segmentation": instance["mask"],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
    }


def _from_coco(annotation: Mapping[str, Any]) -> dict[str, Any]:
    x, y, width, height = annotation["bbox"]
    return {
        "bbox": [x, y, x + width, y + height],
        "bbox_label": annotation["category_id"],
        "mask": annotation["segmentation"],
        "ignore_flag": 0,
    }
