"""Values in files: `load` and `dump` by format, and lists and dicts from lines of text."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.fileio.backends import PathLike
from toolkit.fileio.files import either_args
from toolkit.fileio.handlers import BaseFileHandler, file_handlers
from toolkit.fileio.operations import get, get_text, put
from toolkit.utils.suggest import did_you_mean

Args = Mapping[str, Any] | None


def _handler(file: Any, file_format: str | None) -> BaseFileHandler:
    if file_format is None:
        if file is None:
            raise ValueError("without a file, file_format is needed, such as 'json'")
        if not isinstance(file, (str, os.PathLike)):
            raise TypeError("an open file does not tell its format: pass file_format, such as 'json'")
        file_format = os.path.splitext(os.fspath(file))[1].removeprefix(".")
    if file_format not in file_handlers:
        raise TypeError(
            f"unsupported format {file_format!r} of {file!r}{did_you_mean(file_format, file_handlers)}; "
            f"there are {sorted(file_handlers)}, and register_handler adds others"
        )
    return file_handlers[file_format]


def load(
    file: Any,
    file_format: str | None = None,
    file_client_args: Args = None,
    backend_args: Args = None,
    **kwargs: Any,
) -> Any:
    """What a JSON, YAML or pickle file holds.

    Args:
        file: A local path, a URL or an open file.
        file_format: The format, needed for an open file; the end of the name by default.
        file_client_args: The former name of `backend_args`.
        backend_args: Options of the storage.
        **kwargs: For the format's own function. A pickle takes ``trusted=True``; see `PickleHandler`.

    Raises:
        TypeError: There is no such format, or that of an open file is not told.
    """
    backend_args = either_args(file_client_args, backend_args)
    handler = _handler(file, file_format)
    if not isinstance(file, (str, os.PathLike)):
        return handler.load_from_fileobj(file, **kwargs)
    if handler.str_like:
        return handler.load_from_fileobj(io.StringIO(get_text(file, backend_args=backend_args)), **kwargs)
    return handler.load_from_fileobj(io.BytesIO(get(file, backend_args=backend_args)), **kwargs)


def dump(
    obj: Any,
    file: Any = None,
    file_format: str | None = None,
    file_client_args: Args = None,
    backend_args: Args = None,
    **kwargs: Any,
) -> Any:
    """Write a value as JSON, YAML or pickle.

    Args:
        obj: The value.
        file: A local path, a URL or an open file; where None, the text (bytes of a pickle) is returned.
        file_format: The format, needed without a path; the end of the name by default.
        file_client_args: The former name of `backend_args`.
        backend_args: Options of the storage.
        **kwargs: For the format's own function, such as ``indent=2`` for JSON.

    Raises:
        TypeError: There is no such format, or that of an open file is not told.
        ValueError: There is neither a file nor a format.
    """
    backend_args = either_args(file_client_args, backend_args)
    handler = _handler(file, file_format)
    if file is None:
        return handler.dump_to_str(obj, **kwargs)
    if not isinstance(file, (str, os.PathLike)):
        handler.dump_to_fileobj(obj, file, **kwargs)
        return None
    stream: Any = io.StringIO() if handler.str_like else io.BytesIO()
    handler.dump_to_fileobj(obj, stream, **kwargs)
    content = stream.getvalue()
    put(content.encode() if isinstance(content, str) else content, file, backend_args)
    return None


def list_from_file(
    filename: PathLike,
    prefix: str = "",
    offset: int = 0,
    max_num: int = 0,
    encoding: str = "utf-8",
    file_client_args: Args = None,
    backend_args: Args = None,
) -> list[str]:
    """The lines of a text file, without their ends.

    Args:
        filename: A local path or a URL.
        prefix: Put before each line.
        offset: How many lines to skip first.
        max_num: How many lines to take at most; all where 0.
        encoding: Of the file.
        file_client_args: The former name of `backend_args`.
        backend_args: Options of the storage.
    """
    text = get_text(filename, encoding, either_args(file_client_args, backend_args))
    lines = [line.rstrip("\n\r") for line in io.StringIO(text)][offset:]
    return [prefix + line for line in (lines[:max_num] if max_num > 0 else lines)]


def dict_from_file(
    filename: PathLike,
    key_type: Callable[[str], Any] = str,
    encoding: str = "utf-8",
    file_client_args: Args = None,
    backend_args: Args = None,
) -> dict[Any, str | list[str]]:
    """A dict from a text file with a key and one or more values a line, parted by white space.

    Args:
        filename: A local path or a URL.
        key_type: Made of each key.
        encoding: Of the file.
        file_client_args: The former name of `backend_args`.
        backend_args: Options of the storage.

    Returns:
        From key to value, to the list of values where a line has several.

    Raises:
        ValueError: A line has a key only.
    """
    mapping: dict[Any, str | list[str]] = {}
    text = get_text(filename, encoding, either_args(file_client_args, backend_args))
    for number, line in enumerate(io.StringIO(text), 1):
        key, *values = line.split() or [""]
        if not values:
            raise ValueError(f"{os.fspath(filename)}:{number}: a key and a value are needed, got {line!r}")
        mapping[key_type(key)] = values[0] if len(values) == 1 else values
    return mapping
