"""`InstanceData`: fields that all have one entry an instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from toolkit.structures.base_data_element import BaseDataElement

Self = TypeVar("Self", bound="InstanceData")


class InstanceData(BaseDataElement):
    """Annotations or predictions of the N instances of an image; every data field has length N.

    It is indexed like a tensor, all fields at once: by int, slice, list, array or tensor of int64 or bool.
    An index that is a name gives the field. Fields are tensors, arrays, lists, tuples, strings, or objects
    with ``len`` and ``[]`` (boxes, masks).

    Examples:
        >>> found = InstanceData(bboxes=torch.zeros(3, 4), scores=torch.tensor([0.9, 0.2, 0.5]))
        >>> len(found[found.scores > 0.4])
        2
    """

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self._data_fields
        if fields and name not in _RESERVED:
            length = _length(value, name)
            if not (len(fields) == 1 and name in fields) and length != len(self):
                raise ValueError(
                    f"{name!r} has {length} entries, but this {type(self).__name__} has {len(self)} "
                    f"instances ({', '.join(self.keys())})"
                )
        elif name not in _RESERVED:
            _length(value, name)
        self.set_field(value, name)

    def __len__(self) -> int:
        for name in self._data_fields:
            return len(self.__dict__[name]) if name in self.__dict__ else len(getattr(self, name))
        return 0

    def __getitem__(self: Self, item: Any) -> Any:
        """The instances at an index, as a new element; or the field with a name.

        Raises:
            IndexError: The index is out of range, or a mask has another length.
            TypeError: The index is of a type that can't select instances.
        """
        if isinstance(item, str):
            return getattr(self, item)
        index = self._index(item)
        return self._rebuilt({name: _select(value, index) for name, value in self.items()})

    def _index(self, item: Any) -> slice | torch.Tensor:
        if isinstance(item, slice):
            return item
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            return self._one(int(item))
        if isinstance(item, (list, np.ndarray)):
            item = torch.from_numpy(np.asarray(item, dtype=np.int64 if len(item) == 0 else None))
        if not isinstance(item, torch.Tensor):
            raise TypeError(
                f"instances are selected by int, slice, list, array or tensor, got {type(item).__name__}"
            )
        if item.dtype not in (torch.int64, torch.int32, torch.bool):
            raise TypeError(f"an index is of int64 or bool, got {item.dtype}")
        if item.ndim == 0 and item.dtype != torch.bool:
            return self._one(int(item))
        if item.ndim != 1:
            raise IndexError(f"an index has one dimension, got shape {tuple(item.shape)}")
        if item.dtype == torch.bool and len(item) != len(self):
            raise IndexError(f"a mask of {len(item)} entries can't select from {len(self)} instances")
        return item if item.dtype == torch.bool else item.long()

    def _one(self, index: int) -> slice:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"instance {index} of {count}")
        return slice(index, None, count)  # a slice keeps the dimension

    @staticmethod
    def cat(instances_list: Sequence[InstanceData]) -> InstanceData:
        """Join several elements into one; the metainfo is the first one's.

        Raises:
            ValueError: There is nothing to join, or the fields differ.
        """
        if not instances_list:
            raise ValueError("there is nothing to join: the list is empty")
        first = instances_list[0]
        for one in instances_list:
            if not isinstance(one, InstanceData):
                raise TypeError(f"expected InstanceData, got {type(one).__name__}")
            if set(one.keys()) != set(first.keys()):
                raise ValueError(f"the fields differ: {sorted(first.keys())} and {sorted(one.keys())}")
        if len(instances_list) == 1:
            return first
        data = {name: _joined([one[name] for one in instances_list], name) for name in first.keys()}  # noqa: SIM118
        return first._rebuilt(data)


_RESERVED = frozenset({"_metainfo_fields", "_data_fields"})


def _length(value: Any, name: str) -> int:
    try:
        return len(value)
    except TypeError:
        raise TypeError(
            f"{name!r} must have one entry an instance, got {value!r} of {type(value).__name__}"
        ) from None


def _select(value: Any, index: slice | torch.Tensor) -> Any:
    if isinstance(value, torch.Tensor):
        return value[index] if isinstance(index, slice) else value[index.to(value.device)]
    if isinstance(index, slice):
        return value[index]
    if isinstance(value, np.ndarray):
        return value[index.cpu().numpy()]
    if isinstance(value, (str, list, tuple)):
        places = (index.nonzero().flatten() if index.dtype == torch.bool else index).tolist()
        picked = [value[place] for place in places]
        return "".join(picked) if isinstance(value, str) else type(value)(picked)
    return value[index]


def _joined(values: list[Any], name: str) -> Any:
    first = values[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(values, dim=0)
    if isinstance(first, np.ndarray):
        return np.concatenate(values, axis=0)
    if isinstance(first, (str, list, tuple)):
        total = first[:0]
        for value in values:
            total = total + value
        return total
    if hasattr(first, "cat"):
        return first.cat(values)
    raise TypeError(f"{name!r}: {type(first).__name__} can't be joined; give it a static method cat(list)")
