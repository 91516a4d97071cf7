"""Several versions of a sample, whose predictions are merged."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.utils.errors import ConfigError, DataError

Step = Mapping[str, Any] | Callable[[dict], Any]
Scale = tuple[int, int]


@TRANSFORMS.register_module()
class TestTimeAug(BaseTransform):
    """Run a sample through all combinations of alternatives.

    Reads: none.
    Changes: none.
    Writes: `inputs`, `data_samples`.

    Under each key that the last steps write is a list with one value a combination, in the order of the
    alternatives: the last step's change first. A step that several combinations share runs once for them.

    Args:
        transforms: Steps in order, each a list of alternatives, which are transforms or their configs.

    Raises:
        ConfigError: A step isn't a list of transforms.

    Examples:
        With two sizes and two flips, a sample becomes four::

            dict(type='TestTimeAug', transforms=[
                [dict(type='Resize', scale=(1333, 800), keep_ratio=True),
                 dict(type='Resize', scale=(2000, 1200), keep_ratio=True)],
                [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
                [dict(type='LoadAnnotations', with_bbox=True)],
                [dict(type='PackDetInputs')],
            ])
    """

    __test__ = False  # not a test, whatever its name
    writes = ("inputs", "data_samples")

    def __init__(self, transforms: Sequence[Sequence[Step]]) -> None:
        self.steps = [[_built(one) for one in _alternatives(step)] for step in transforms]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample as lists, one entry a combination.

        Raises:
            DataError: A step drops the sample.
        """
        versions = list(self._versions(results, 0))
        return {key: [version[key] for version in versions] for key in versions[0]}

    def _versions(self, results: dict[str, Any], place: int) -> Iterator[dict[str, Any]]:
        """All versions that the steps from `place` on make of a sample."""
        if place == len(self.steps):
            yield results
            return
        alternatives = self.steps[place]
        for number, transform in enumerate(alternatives):
            # transforms may change a sample in place; the last alternative may have the original
            own = copy.deepcopy(results) if number + 1 < len(alternatives) else results
            changed = transform(own)
            if changed is None:
                raise DataError(
                    f"{type(transform).__name__} drops a sample within TestTimeAug; leave it out there"
                )
            yield from self._versions(changed, place + 1)


@TRANSFORMS.register_module()
class MultiScaleFlipAug(BaseTransform):
    """Run a sample through further transforms at several sizes, each upright and mirrored.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`, `homography_matrix`.
    Writes: `inputs`, `data_samples`.

    Under each key that the last transform writes is a list: the first size upright, then mirrored in each
    direction, then the next size. `TestTimeAug` says the same more generally.

    Args:
        transforms: What comes after resizing and mirroring; its last one packs the sample.
        scales: (width, height), or several.
        scale_factor: Factor of both sides, or several, where no `scales` are given; 1 by default.
        allow_flip: Whether there are mirrored versions at all.
        flip_direction: 'horizontal', 'vertical' or 'diagonal', or several.
        resize_cfg: The transform that resizes; `Resize` with the aspect ratio kept by default.
        flip_cfg: The transform that mirrors; `RandomFlip` by default.

    Raises:
        DataError: A transform drops the sample.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map", "homography_matrix")
    writes: ClassVar[tuple[str, ...]] = ("inputs", "data_samples")

    def __init__(
        self,
        transforms: Sequence[Step],
        scales: Scale | Sequence[Scale] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        allow_flip: bool = False,
        flip_direction: str | Sequence[str] = "horizontal",
        resize_cfg: Mapping[str, Any] | None = None,
        flip_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        resize = {"type": "Resize", "keep_ratio": True} if resize_cfg is None else resize_cfg
        if scales is not None:
            sizes = [{"scale": one} for one in _several(scales, isinstance(scales[0], (int, float)))]
        else:
            factors = 1.0 if scale_factor is None else scale_factor
            single = isinstance(factors, (int, float))
            sizes = [{"scale_factor": one} for one in _several(factors, single)]
        directions = _several(flip_direction, isinstance(flip_direction, str)) if allow_flip else []
        flip = {"type": "RandomFlip"} if flip_cfg is None else flip_cfg
        flips = [{**flip, "prob": 0.0}] + [{**flip, "prob": 1.0, "direction": one} for one in directions]
        self.scales = scales
        self.scale_factor = scale_factor
        self.allow_flip = allow_flip
        self.flip_direction = flip_direction
        self.versions = TestTimeAug(
            [[{**resize, **one} for one in sizes], flips, *([one] for one in transforms)]
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample as lists, one entry a version."""
        return self.versions.transform(results)


def _several(value: Any, single: bool) -> list[Any]:
    return [value] if single else list(value)


def _alternatives(step: Any) -> Sequence[Step]:
    if not isinstance(step, Sequence) or isinstance(step, str) or not step:
        raise ConfigError(
            "transforms of TestTimeAug is a list of steps, each a list of alternatives, but a step "
            f"is {step!r}"
        )
    return step


def _built(transform: Step) -> Callable[[dict], Any]:
    built = TRANSFORMS.build(transform) if isinstance(transform, Mapping) else transform
    if not callable(built):
        raise ConfigError(
            f"an alternative of TestTimeAug is a transform or its config, but got {transform!r}"
        )
    return built
