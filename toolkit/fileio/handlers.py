"""Formats of files that hold values: JSON, YAML and pickle."""

from __future__ import annotations

import io
import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from toolkit.utils.errors import DataError


class BaseFileHandler(ABC):
    """Reads and writes one format. `str_like` tells whether files are text or bytes."""

    str_like = True

    @abstractmethod
    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """What an open file holds."""

    @abstractmethod
    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write a value to an open file."""

    @abstractmethod
    def dump_to_str(self, obj: Any, **kwargs: Any) -> Any:
        """A value as it stands in a file: a str, or bytes where not `str_like`."""

    def load_from_path(self, filepath: str | Path, mode: str = "r", **kwargs: Any) -> Any:
        """What a local file holds."""
        with open(filepath, mode, encoding=None if "b" in mode else "utf-8") as file:
            return self.load_from_fileobj(file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: str | Path, mode: str = "w", **kwargs: Any) -> None:
        """Write a value to a local file."""
        with open(filepath, mode, encoding=None if "b" in mode else "utf-8") as file:
            self.dump_to_fileobj(obj, file, **kwargs)


def _plain(value: Any) -> Any:
    if isinstance(value, (set, range)):
        return list(value)
    if hasattr(value, "tolist"):  # arrays, tensors, and scalars of both
        return value.tolist()
    raise TypeError(f"JSON has no place for a {type(value).__name__}")


class JsonHandler(BaseFileHandler):
    """JSON; sets, ranges, arrays and numpy's numbers are written as lists and numbers."""

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """What an open file holds."""
        return json.load(file, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write a value to an open file; `kwargs` are those of `json.dump`."""
        file.write(self.dump_to_str(obj, **kwargs))

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """A value as JSON; `kwargs` are those of `json.dumps`."""
        kwargs.setdefault("default", _plain)
        return json.dumps(obj, **kwargs)


class YamlHandler(BaseFileHandler):
    """YAML; only plain values are read, never objects."""

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """What an open file holds."""
        import yaml

        kwargs.setdefault("Loader", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return yaml.load(file, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write a value to an open file; `kwargs` are those of `yaml.dump`."""
        file.write(self.dump_to_str(obj, **kwargs))

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """A value as YAML; `kwargs` are those of `yaml.dump`."""
        import yaml

        kwargs.setdefault("Dumper", getattr(yaml, "CSafeDumper", yaml.SafeDumper))
        text: str = yaml.dump(obj, **kwargs)
        return text


# What a pickle may call without asking: containers, arrays, tensors. None of these runs a file's code.
_HARMLESS = {
    "builtins": {"set", "frozenset", "complex", "bytearray", "slice", "range"},
    "collections": {"OrderedDict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"},
    "_codecs": {"encode"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "torch._utils": {"_rebuild_tensor_v2", "_rebuild_parameter"},
    "torch": {"Size", "device"},
}


def _storage_from_bytes(content: bytes) -> Any:
    """What torch's own function of this purpose does, without unpickling everything."""
    import torch

    return torch.load(io.BytesIO(content), weights_only=True)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage_from_bytes
        # Protocols up to 2 name the modules of Python 2.
        if name in _HARMLESS.get(module.replace("__builtin__", "builtins"), ()):
            return super().find_class(module, name)
        raise DataError(
            f"the pickle wants {module}.{name}, which may run code of whoever wrote it; only containers, "
            "arrays and tensors are read without asking. Pass trusted=True if you trust the file."
        )


class PickleHandler(BaseFileHandler):
    """Pickles. Containers, arrays and tensors are read; anything else only with ``trusted=True``."""

    str_like = False

    def load_from_fileobj(self, file: IO[Any], *, trusted: bool = False, **kwargs: Any) -> Any:
        """What an open file holds.

        Raises:
            DataError: It holds objects of other classes, and `trusted` is False.
        """
        return (pickle.Unpickler if trusted else _PlainUnpickler)(file, **kwargs).load()

    def load_from_path(self, filepath: str | Path, mode: str = "rb", **kwargs: Any) -> Any:
        """What a local file holds; see `load_from_fileobj`."""
        return super().load_from_path(filepath, mode, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write a value to an open file; `kwargs` are those of `pickle.dump`."""
        file.write(self.dump_to_str(obj, **kwargs))

    def dump_to_path(self, obj: Any, filepath: str | Path, mode: str = "wb", **kwargs: Any) -> None:
        """Write a value to a local file."""
        super().dump_to_path(obj, filepath, mode, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> bytes:
        """A value as a pickle of protocol 2, unless another is named."""
        kwargs.setdefault("protocol", 2)
        return pickle.dumps(obj, **kwargs)


file_handlers: dict[str, BaseFileHandler] = {
    "json": JsonHandler(),
    "yaml": YamlHandler(),
    "yml": YamlHandler(),
    "pickle": PickleHandler(),
    "pkl": PickleHandler(),
}


def register_handler(file_formats: str | Iterable[str], **kwargs: Any) -> Callable[[type], type]:
    """A decorator that registers a subclass of `BaseFileHandler` for the ends of file names.

    Args:
        file_formats: One such as ``"txt"``, or several. What has it already is replaced.
        **kwargs: Arguments of the class.

    Raises:
        TypeError: A format is no str, or the class is none of `BaseFileHandler`.
    """
    formats = [file_formats] if isinstance(file_formats, str) else list(file_formats)
    if not all(isinstance(name, str) for name in formats):
        raise TypeError(f"file formats are strs, got {file_formats!r}")

    def register(cls: type) -> type:
        if not issubclass(cls, BaseFileHandler):
            raise TypeError(f"a handler is a subclass of BaseFileHandler, got {cls.__name__}")
        for name in formats:
            file_handlers[name] = cls(**kwargs)
        return cls

    return register
