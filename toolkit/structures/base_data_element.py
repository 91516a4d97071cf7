"""`BaseDataElement`: named data fields with facts about them (metainfo)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch

Self = TypeVar("Self", bound="BaseDataElement")

_PRIVATE = ("_metainfo_fields", "_data_fields")
_ATOMS = (str, int, float, bool, type(None))


class BaseDataElement:
    """Data fields (tensors, arrays, other elements) with metainfo (facts such as ``img_shape``).

    Both are read as attributes. Data fields are set as attributes, metainfo with `set_metainfo`, which copies
    what it is given; a name belongs to one of the two for good. Elements nest, and `to`, `cpu`, `detach` and
    the like reach into nested ones.

    Args:
        metainfo: Facts about the sample.
        **kwargs: Data fields.

    Examples:
        >>> sample = BaseDataElement(metainfo=dict(img_id=3), scores=torch.zeros(2))
        >>> sample.img_id, sample.keys()
        (3, ['scores'])
        >>> sample.to(torch.float64).scores.dtype
        torch.float64
    """

    # The fields themselves lie in the instance's __dict__, so that reading one costs what any attribute
    # costs; these two hold their names, in the order in which they were set.
    _metainfo_fields: dict[str, None]
    _data_fields: dict[str, None]

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self.__dict__["_metainfo_fields"] = {}
        self.__dict__["_data_fields"] = {}
        if metainfo is not None:
            self.set_metainfo(metainfo)
        for name, value in kwargs.items():
            setattr(self, name, value)

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Add facts, or change them. Values are copied."""
        if not isinstance(metainfo, Mapping):
            raise TypeError(f"metainfo must be a dict, got {type(metainfo).__name__}")
        for name, value in metainfo.items():
            self.set_field(_copied(value), name, field_type="metainfo")

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Set several data fields at once."""
        if not isinstance(data, Mapping):
            raise TypeError(f"data must be a dict, got {type(data).__name__}")
        for name, value in data.items():
            setattr(self, name, value)

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type[Any] | tuple[type[Any], ...] | None = None,
        field_type: str = "data",
    ) -> None:
        """Set one field.

        Args:
            value: The value.
            name: Its name.
            dtype: The type that the value must be of; any by default.
            field_type: ``data`` or ``metainfo``.

        Raises:
            TypeError: The value is not of `dtype`.
            AttributeError: The name is reserved, or belongs to a field of the other type.
        """
        if name in _PRIVATE:
            raise AttributeError(f"{name!r} is reserved by {type(self).__name__}")
        if dtype is not None and not isinstance(value, dtype):
            raise TypeError(f"{name} must be of {dtype}, got {type(value).__name__}: {value!r}")
        if field_type == "data":
            mine, other = self._data_fields, self._metainfo_fields
        elif field_type == "metainfo":
            mine, other = self._metainfo_fields, self._data_fields
        else:
            raise ValueError(f"field_type must be 'data' or 'metainfo', got {field_type!r}")
        if name in other:
            kind = "metainfo" if field_type == "data" else "data"
            raise AttributeError(
                f"{name!r} is a {kind} field of this {type(self).__name__} and can't be {field_type}"
            )
        mine[name] = None
        object.__setattr__(self, name, value)

    def update(self, instance: BaseDataElement) -> None:
        """Take over all fields of another element."""
        if not isinstance(instance, BaseDataElement):
            raise TypeError(f"expected a BaseDataElement, got {type(instance).__name__}")
        self.set_metainfo(dict(instance.metainfo_items()))
        self.set_data(dict(instance.items()))

    def new(
        self: Self, *, metainfo: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
    ) -> Self:
        """A new element of the same class.

        Args:
            metainfo: Its facts; this element's by default.
            data: Its data fields; this element's by default (the same objects, not copies).
        """
        element = self.__class__()
        element.set_metainfo(dict(self.metainfo_items()) if metainfo is None else metainfo)
        element.set_data(dict(self.items()) if data is None else data)
        return element

    def clone(self: Self) -> Self:
        """A new element with the same data objects and a copy of the metainfo."""
        return self.new()

    def keys(self) -> list[str]:
        """Names of the data fields."""
        # A property `gt_instances` keeps its value in `_gt_instances`: one field, under its public name.
        cls = type(self)
        return [
            name
            for name in self._data_fields
            if not (name[0] == "_" and isinstance(getattr(cls, name[1:], None), property))
        ]

    def values(self) -> list[Any]:
        """Values of the data fields."""
        return [getattr(self, name) for name in self.keys()]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the data fields."""
        for name in self.keys():
            yield name, getattr(self, name)

    def metainfo_keys(self) -> list[str]:
        """Names of the facts."""
        return list(self._metainfo_fields)

    def metainfo_values(self) -> list[Any]:
        """Values of the facts."""
        return [getattr(self, name) for name in self._metainfo_fields]

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the facts."""
        for name in list(self._metainfo_fields):
            yield name, getattr(self, name)

    def all_keys(self) -> list[str]:
        """Names of facts and data fields."""
        return self.metainfo_keys() + self.keys()

    def all_values(self) -> list[Any]:
        """Values of facts and data fields."""
        return self.metainfo_values() + self.values()

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of facts and data fields."""
        yield from self.metainfo_items()
        yield from self.items()

    @property
    def metainfo(self) -> dict[str, Any]:
        """The facts, as a new dict."""
        return dict(self.metainfo_items())

    def get(self, key: str, default: Any = None) -> Any:
        """The field with a name, or `default`."""
        return getattr(self, key, default)

    def pop(self, *args: Any) -> Any:
        """Remove a data field and return it; ``pop(name)`` or ``pop(name, default)``.

        Raises:
            KeyError: There is no such data field and no default.
        """
        if len(args) not in (1, 2):
            raise TypeError(f"pop takes a name and at most a default, got {len(args)} arguments")
        name = args[0]
        if name in _PRIVATE:
            raise AttributeError(f"{name!r} is reserved by {type(self).__name__}")
        if name in self._data_fields:
            value = getattr(self, name)
            delattr(self, name)
            return value
        if len(args) == 2:
            return args[1]
        raise KeyError(f"{type(self).__name__} has no data field {name!r}; it has {', '.join(self.keys())}")

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """A new element with ``.to(*args, **kwargs)`` of every data field that has it."""
        return self._converted(lambda value: value.to(*args, **kwargs) if hasattr(value, "to") else value)

    def cpu(self: Self) -> Self:
        """A new element with its tensors on the CPU."""
        return self.to("cpu")

    def cuda(self: Self) -> Self:
        """A new element with its tensors on the current CUDA device."""
        return self.to("cuda")

    def detach(self: Self) -> Self:
        """A new element with its tensors cut from the graph."""
        return self._converted(lambda value: value.detach() if hasattr(value, "detach") else value)

    def numpy(self: Self) -> Self:
        """A new element with numpy arrays for its tensors."""
        return self._converted(_to_numpy)

    def to_tensor(self: Self) -> Self:
        """A new element with tensors for its numpy arrays; they share memory."""
        return self._converted(_to_tensor)

    def to_dict(self) -> dict[str, Any]:
        """All fields as a dict; nested elements become dicts too."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value
            for name, value in self.all_items()
        }

    def _converted(self: Self, convert: Callable[[Any], Any]) -> Self:
        return self._rebuilt({name: convert(value) for name, value in self.items()})

    def _rebuilt(self: Self, data: Mapping[str, Any]) -> Self:
        """`new`, with data made from this element's own, which need no checks: every index passes here."""
        element = self.__class__()
        state, cls = element.__dict__, type(self)
        for name in self._metainfo_fields:
            element._metainfo_fields[name] = None
            object.__setattr__(element, name, _copied(getattr(self, name)))
        for name, value in data.items():
            if hasattr(cls, name):
                setattr(element, name, value)
            else:
                element._data_fields[name] = None
                state[name] = value
        return element

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_field(value, name)

    def __delattr__(self, name: str) -> None:
        if name in _PRIVATE:
            raise AttributeError(f"{name!r} is reserved by {type(self).__name__}")
        object.__delattr__(self, name)
        self._metainfo_fields.pop(name, None)
        self._data_fields.pop(name, None)
        if isinstance(getattr(type(self), name, None), property):
            self._data_fields.pop(f"_{name}", None)

    def __getattr__(self, name: str) -> Any:
        # Reached only where normal lookup failed.
        known = [*self.__dict__.get("_metainfo_fields", ()), *self.__dict__.get("_data_fields", ())]
        raise AttributeError(
            f"{type(self).__name__} has no field {name!r}; it has {', '.join(known) or 'none'}"
        )

    def __contains__(self, name: str) -> bool:
        return name in self._data_fields or name in self._metainfo_fields

    def __repr__(self) -> str:
        lines = [f"<{type(self).__name__}("]
        for title, pairs in (("META INFORMATION", self.metainfo_items()), ("DATA FIELDS", self.items())):
            shown = [f"{name}: {_shown(value)}" for name, value in pairs]
            if shown:
                lines += ["", f"    {title}", *("    " + one.replace("\n", "\n    ") for one in shown)]
        return "\n".join([*lines, f") at {hex(id(self))}>"])


def _copied(value: Any) -> Any:
    if isinstance(value, _ATOMS):
        return value
    if type(value) is tuple and all(isinstance(one, _ATOMS) for one in value):
        return value
    return copy.deepcopy(value)


def _to_numpy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    return value.numpy() if isinstance(value, BaseDataElement) else value


def _to_tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value.to_tensor() if isinstance(value, BaseDataElement) else value


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)) and any(isinstance(one, BaseDataElement) for one in value):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(value)
