"""Dotted paths in configs: what may be imported, and what it must be.

A config is data from anywhere, so a dotted path must not become a way to run code. Three rules hold:
only modules of allowed packages are imported or walked through; what is found must itself be defined in an
allowed package (``torch.utils.cpp_extension.subprocess.Popen`` is not); and it must be of the registry's
kind.
"""

from __future__ import annotations

import importlib
import inspect
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

from toolkit.registry.scope import SCOPE_ALIASES, SCOPE_MODULES
from toolkit.utils import BuildError, did_you_mean

FUNCTION_KIND = "function"

# Packages of other people: theirs are only the kinds named by a registry's `base`.
FOREIGN_PACKAGES = frozenset({"torch", "torchvision", "timm"})
_OWN_PACKAGE = "toolkit"

# Plain functions of foreign packages have effects of every sort (`torch.hub.load` runs downloaded code):
# these modules hold pure ones.
_PURE_FUNCTION_MODULES = ("torch.nn.functional", "torch.nn.init", "torch.utils.data", "torchvision.ops")

_user_packages: set[str] = set()


def allow_package(name: str) -> None:
    """Let dotted paths in configs reach into a package, such as the user's own.

    Args:
        name: A package or module; its top-level package becomes allowed.
    """
    _user_packages.add(name.partition(".")[0])


def allowed_packages() -> list[str]:
    """Top-level packages that a dotted path may point into."""
    return sorted({_OWN_PACKAGE} | FOREIGN_PACKAGES | _user_packages)


def is_allowed(module_name: str) -> bool:
    """Whether a module lies inside an allowed package."""
    top = module_name.partition(".")[0]
    return top == _OWN_PACKAGE or top in FOREIGN_PACKAGES or top in _user_packages


def is_own(path: str) -> bool:
    """Whether a dotted path points into this package."""
    return path.partition(".")[0] == _OWN_PACKAGE


def load_string(path: str) -> Any:
    """The object at ``module:attribute``, for paths that our own code holds (never a config's)."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def find_dotted(path: str) -> Any | None:
    """The object at a dotted path, or None where there is no such module or attribute.

    Args:
        path: ``package.module.Name``, or ``package.module:Name``.

    Raises:
        BuildError: The path points outside the allowed packages.
    """
    parts = path.replace(":", ".").split(".")
    if len(parts) < 2:
        return None
    if not is_allowed(parts[0]):
        raise BuildError(
            f"{path!r} points into the package {parts[0]!r}, which a config may not import "
            f"(allowed: {', '.join(allowed_packages())}{_near_scope(parts[0])}). "
            "If you trust it, name its module in custom_imports=dict(imports=[...]), "
            f"or give --allow-package {parts[0]}"
        )
    found: Any = _import_prefix(parts[0])
    for index, part in enumerate(parts[1:], start=2):
        child = getattr(found, part, None)
        if child is None and isinstance(found, ModuleType):
            child = _import_prefix(".".join(parts[:index]))
        if child is None or (isinstance(child, ModuleType) and not is_allowed(child.__name__)):
            return None
        found = child
    return None if isinstance(found, ModuleType) else found


def _near_scope(name: str) -> str:
    return did_you_mean(name, [*SCOPE_ALIASES, *SCOPE_MODULES]).rstrip("?")


def _import_prefix(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only the absence of the module itself means "no such path"; a broken import inside it is shown.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise


def refusal(found: Any, base: str | tuple[str, ...] | None) -> str | None:
    """Why an object found by a dotted path does not fit a registry, or None where it does.

    Args:
        found: The object.
        base: The registry's kind: ``module:Class`` (one or several), ``"function"``, or None for any class
            of ours and of packages that the user allowed.
    """
    if base == FUNCTION_KIND:
        return _refuse_function(found)
    if not inspect.isclass(found):
        return f"is {_a(type(found).__name__)}, not a class"
    if not is_allowed(found.__module__):
        return f"is defined in {found.__module__!r}, outside the allowed packages"
    if base is None:
        if found.__module__.partition(".")[0] in FOREIGN_PACKAGES:
            return "is not a class made for this slot"
        return None
    bases = (base,) if isinstance(base, str) else base
    if not any(issubclass(found, load_string(one)) for one in bases):
        return f"is not {_a(' or '.join(one.partition(':')[2] for one in bases))}"
    return None


def _refuse_function(found: Any) -> str | None:
    if not isinstance(found, FunctionType):
        return f"is {_a(type(found).__name__)}, not a plain function"
    module = found.__module__
    if not is_allowed(module):
        return f"is defined in {module!r}, outside the allowed packages"
    if module.partition(".")[0] in FOREIGN_PACKAGES and not module.startswith(_PURE_FUNCTION_MODULES):
        return f"is a function of {module}; theirs may come from {', '.join(_PURE_FUNCTION_MODULES)} only"
    return None


def argument_refusal(found: Any) -> str | None:
    """Why an object of a foreign package can't be given as an argument by a config, or None where it can.

    An argument has no slot that would say its kind: layers, optimizers, data types, members of an enumeration
    and pure functions are let through.
    """
    if inspect.isclass(found):
        return refusal(found, ("torch.nn:Module", "torch.optim:Optimizer"))
    if inspect.isfunction(found):
        return _refuse_function(found)
    if isinstance(found, (Enum, bool, int, float, str, load_string("torch:dtype"))):
        return None
    return f"is {_a(type(found).__name__)}"


def _a(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "AEIOUaeiou" else f"a {noun}"
