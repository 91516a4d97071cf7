"""Transforms applied one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.registry import TRANSFORMS

Transform = Callable[[dict], Any]


@TRANSFORMS.register_module()
class Compose:
    """Apply transforms in order; a transform that returns None drops the sample.

    Args:
        transforms: Config dicts of transforms, or callables; one alone needs no list.
    """

    def __init__(self, transforms: Sequence[Mapping | Transform] | Mapping | Transform | None) -> None:
        if transforms is None:
            transforms = []
        elif isinstance(transforms, Mapping) or callable(transforms):
            transforms = [transforms]
        self.transforms: list[Transform] = [_build(item) for item in transforms]

    def __call__(self, data: dict) -> dict | None:
        """Run the transforms on a sample.

        Args:
            data: The `results` dict of a sample.

        Returns:
            What the last transform returned, or None where one of them dropped the sample.
        """
        result: dict | None = data
        for transform in self.transforms:
            result = transform(result)  # type: ignore[arg-type]
            if result is None:
                return None
        return result

    def __iter__(self):
        return iter(self.transforms)

    def __len__(self) -> int:
        return len(self.transforms)

    def __repr__(self) -> str:
        inner = "".join(f"\n    {transform!r}" for transform in self.transforms)
        return f"{type(self).__name__}({inner}\n)"


def _build(item: Mapping | Transform) -> Transform:
    if isinstance(item, Mapping):
        item = TRANSFORMS.build(item)
    if not callable(item):
        raise TypeError(
            f"a transform is a config dict or a callable, but got {type(item).__name__}: {item!r}"
        )
    return item
