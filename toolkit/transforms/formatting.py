"""Single values of a sample as tensors, transposed, or in lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.utils.errors import ConfigError, DataError


def to_tensor(data: Any) -> Tensor:
    """A tensor of an array, a sequence of numbers or a number; an array's memory is shared.

    Raises:
        DataError: It is something else.
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(data))
    if isinstance(data, Sequence) and not isinstance(data, str):
        return torch.tensor(data)
    if isinstance(data, (int, float)):
        return torch.tensor([data])
    raise DataError(f"{type(data).__name__} can't become a tensor: {data!r}")


class _OfKeys(BaseTransform):
    """Those that change the values of given keys, which may be paths with dots."""

    def __init__(self, keys: Sequence[str]) -> None:
        if isinstance(keys, str):
            raise ConfigError(
                f"{type(self).__name__} takes a list of keys, but got {keys!r}: write [{keys!r}]"
            )
        self.keys = keys

    def changed(self, value: Any) -> Any:
        """What comes in place of a value."""
        return value

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with the values changed."""
        for key in self.keys:
            *parents, last = key.split(".")
            holder: Any = results
            for parent in parents:
                holder = self._within(holder, parent, key)
            holder[last] = self.changed(self._within(holder, last, key))
        return results

    def _within(self, holder: Any, name: str, key: str) -> Any:
        if name not in holder:
            raise DataError(f"{type(self).__name__} finds no {key!r}: {name!r} isn't among {sorted(holder)}")
        return holder[name]


@TRANSFORMS.register_module()
class ToTensor(_OfKeys):
    """Make tensors of values.

    Reads: none.
    Changes: none.
    Writes: none.

    The keys are those given.

    Args:
        keys: Keys; `a.b` is the key b of the dict under a.

    Raises:
        DataError: A key is missing, or its value can't become a tensor.
    """

    def changed(self, value: Any) -> Tensor:
        """See `to_tensor`."""
        return to_tensor(value)


@TRANSFORMS.register_module()
class ImageToTensor(_OfKeys):
    """Make (C, H, W) tensors of images (H, W, C) or (H, W).

    Reads: none.
    Changes: none.
    Writes: none.

    The keys are those given.

    Args:
        keys: Keys of images.

    Raises:
        DataError: A key is missing.
    """

    def changed(self, value: np.ndarray) -> Tensor:
        """(C, H, W)."""
        image = value[..., None] if value.ndim < 3 else value
        return to_tensor(image.transpose(2, 0, 1))


@TRANSFORMS.register_module()
class Transpose(_OfKeys):
    """Transpose arrays or tensors.

    Reads: none.
    Changes: none.
    Writes: none.

    The keys are those given.

    Args:
        keys: Keys of arrays.
        order: The order of their axes afterwards.

    Raises:
        DataError: A key is missing.
    """

    def __init__(self, keys: Sequence[str], order: Sequence[int]) -> None:
        super().__init__(keys)
        self.order = order

    def changed(self, value: Any) -> Any:
        """A view with its axes in `order`."""
        return value.permute(*self.order) if isinstance(value, Tensor) else value.transpose(self.order)


@TRANSFORMS.register_module()
class WrapFieldsToLists(BaseTransform):
    """Put each value of the sample into a list of one, as augmented test samples have several.

    Reads: none.
    Changes: none.
    Writes: none.

    The keys are all that there are.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, each value in a list."""
        return {key: [value] for key, value in results.items()}
