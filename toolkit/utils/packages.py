"""Packages and modules: whether they are there, where they are, importing them by name."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any


def is_installed(package: str) -> bool:
    """Whether there is a distribution, or a module that can be imported, of this name."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def get_installed_path(package: str) -> str:
    """The folder of a package, named by its distribution or by its module.

    Raises:
        PackageNotFoundError: There is neither; it is an ImportError.
        RuntimeError: It is a namespace package, which has no single folder.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        distribution = importlib.metadata.distribution(package)
        top_level = (distribution.read_text("top_level.txt") or "").split()
        public = [name for name in top_level if not name.startswith("_")]
        spec = importlib.util.find_spec(public[0]) if public else None
        if spec is None:
            raise RuntimeError(f"the distribution {package!r} does not say what its module is called")
    if spec.origin is None:
        raise RuntimeError(f"{package!r} is a namespace package, spread over several folders")
    return os.path.dirname(spec.origin)


def call_command(cmd: list[str]) -> None:
    """Run a command.

    Raises:
        CalledProcessError: It failed.
    """
    subprocess.check_call(cmd)


def install_package(package: str) -> None:
    """Install a package with pip into the running Python, unless it is there."""
    if not is_installed(package):
        call_command([sys.executable, "-m", "pip", "install", package])


def import_modules_from_strings(
    imports: str | Iterable[str] | None, allow_failed_imports: bool = False
) -> Any:
    """Import modules by their names.

    Args:
        imports: One name or several; nothing happens for None and for an empty list.
        allow_failed_imports: Warn of a module that can't be imported, and give None for it.

    Returns:
        A module for one name, a list of modules for several, None for none.

    Raises:
        TypeError: A name is no str.
        ImportError: A module can't be imported, and `allow_failed_imports` is False.

    >>> import_modules_from_strings(["os.path", "sys"])[1].__name__
    'sys'
    """
    if not imports:
        return None
    names = [imports] if isinstance(imports, str) else list(imports)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a module is named by a str, got {name!r} of type {type(name).__name__}")
    modules = [_imported(name, allow_failed_imports) for name in names]
    return modules[0] if isinstance(imports, str) else modules


def _imported(name: str, allow_failed: bool) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"{name!r} can't be imported: {error}"
        if not allow_failed:
            raise ImportError(message) from error
        warnings.warn(message, UserWarning, stacklevel=3)
        return None


def get_object_from_string(obj_name: str) -> Any:
    """What a dotted name stands for, such as ``torch.optim.SGD``; None where there is no such thing.

    A function goes before a module of the same name, as where a package imports `nms` from its module `nms`.
    """
    first, *rest = obj_name.split(".")
    found: Any = _submodule(first)
    for part in rest:
        value = getattr(found, part, None)
        if isinstance(found, ModuleType) and (value is None or isinstance(value, ModuleType)):
            value = _submodule(f"{found.__name__}.{part}") or value
        found = value
    return found


def _submodule(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise  # the module is there; one that it imports isn't
