"""Decorators that check what a function needs and warn of what is on its way out."""

from __future__ import annotations

import functools
import importlib
import inspect
import shutil
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_MISSING = 'Prerequisites "{}" are required in method "{}" but not found, please install them first.'


def check_prerequisites(
    prerequisites: str | list[str], checker: Callable[[str], bool], msg_tmpl: str = _MISSING
) -> Callable[[F], F]:
    """A decorator: each call first checks that all things that the function needs are there.

    Args:
        prerequisites: One name or several.
        checker: Tells for a name whether it is there.
        msg_tmpl: The message, with the missing names and the function's name put in.

    Raises:
        RuntimeError: At a call, where something is missing.
    """
    names = [prerequisites] if isinstance(prerequisites, str) else prerequisites

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            missing = [name for name in names if not checker(name)]
            if missing:
                raise RuntimeError(msg_tmpl.format(", ".join(missing), function.__name__))
            return function(*args, **kwargs)

        return checked  # type: ignore[return-value]

    return decorate


def requires_package(prerequisites: str | list[str]) -> Callable[[F], F]:
    """A decorator for a function that needs Python packages; see `check_prerequisites`."""
    return check_prerequisites(prerequisites, checker=_can_import)


def requires_executable(prerequisites: str | list[str]) -> Callable[[F], F]:
    """A decorator for a function that needs programs on the PATH; see `check_prerequisites`."""
    return check_prerequisites(prerequisites, checker=lambda name: shutil.which(name) is not None)


def _can_import(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def deprecated_api_warning(name_dict: Mapping[str, str], cls_name: str | None = None) -> Callable[[F], F]:
    """A decorator that takes arguments by their former names, and warns of each.

    Args:
        name_dict: From former to present names.
        cls_name: The class of a method, for the warning.

    Raises:
        TypeError: At a call that gives an argument by both names.
    """

    def decorate(function: F) -> F:
        shown = f"{cls_name}.{function.__name__}" if cls_name else function.__name__

        @functools.wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            for old, new in name_dict.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise TypeError(f"{shown} got both {old!r} and {new!r}: {old!r} is the former name")
                warnings.warn(
                    f'"{old}" is deprecated in `{shown}`, please use "{new}" instead',
                    DeprecationWarning,
                    stacklevel=2,
                )
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renamed  # type: ignore[return-value]

    return decorate


def deprecated_function(since: str, removed_in: str, instructions: str) -> Callable[[F], F]:
    """A decorator that marks a function as deprecated, in its docstring and by a warning at each call.

    Args:
        since: The version that deprecated it.
        removed_in: The version that will be without it.
        instructions: What to do instead.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def warned(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(
                f"{function.__name__} is deprecated since {since} and will be removed in {removed_in}: "
                f"{instructions}",
                DeprecationWarning,
                stacklevel=2,
            )
            return function(*args, **kwargs)

        note = f".. deprecated:: {since}\n    Will be removed in {removed_in}: {instructions}\n\n"
        warned.__doc__ = note + inspect.cleandoc(function.__doc__ or "")
        return warned  # type: ignore[return-value]

    return decorate


def has_method(obj: object, method: str) -> bool:
    """Whether an object has something to call of this name."""
    return callable(getattr(obj, method, None))


def is_method_overridden(method: str, base_class: type, derived_class: type | Any) -> bool:
    """Whether a class, or that of an object, brings its own version of a method of its base.

    Raises:
        TypeError: `base_class` is no class.
    """
    if not isinstance(base_class, type):
        raise TypeError(f"base_class is a class, got an object of type {type(base_class).__name__}")
    derived = derived_class if isinstance(derived_class, type) else type(derived_class)
    return getattr(derived, method) is not getattr(base_class, method)
