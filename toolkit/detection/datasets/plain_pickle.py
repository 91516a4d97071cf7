"""Pickles of NumPy arrays and plain containers, read without running code of theirs."""

from __future__ import annotations

import importlib
import io
import pickle
from typing import Any

import numpy as np

_ARRAY_MODULES = (
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
)
_INSTANCES = ("mmengine.structures.instance_data", "toolkit.structures.instance_data")
ERRORS = (pickle.UnpicklingError, EOFError, AttributeError, ValueError, IndexError, KeyError, TypeError)
"""What a file of anything else may raise, when it is read or when its content is looked at."""


class Instances:
    """Stands in for MMEngine's InstanceData."""

    def fields(self) -> dict[str, Any]:
        """The values by name."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}


def load_plain(content: bytes) -> Any:
    """The content of a pickle; an InstanceData becomes `Instances`.

    Raises:
        UnpicklingError: It asks for anything but arrays and plain containers; or one of `ERRORS`.
    """
    return _Unpickler(io.BytesIO(content)).load()


class _Unpickler(pickle.Unpickler):
    """Makes NumPy arrays and plain containers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The few things that a file may name."""
        if module in _ARRAY_MODULES and name in ("_reconstruct", "scalar", "_frombuffer"):
            modern = module.replace("numpy.core", "numpy._core") if np.__version__ >= "2" else module
            return getattr(importlib.import_module(modern), name)
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in _INSTANCES and name == "InstanceData":
            return Instances
        if (module, name) == ("_codecs", "encode"):
            return importlib.import_module("_codecs").encode
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
