"""Scopes: which task a name in a config is looked up in first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar

ROOT_SCOPE = "toolkit"

# Names of the projects whose configs run here, and the scope of ours that stands for each.
SCOPE_ALIASES = {
    "mmengine": ROOT_SCOPE,
    "mmcv": ROOT_SCOPE,
    "mmdet": "detection",
    "mmpretrain": "classification",
    "mmcls": "classification",
}

# Importing the module creates the registries of the scope, as children of the root ones.
SCOPE_MODULES = {
    "detection": "toolkit.detection.registry",
    "classification": "toolkit.classification.registry",
}


def canonical_scope(scope: str) -> str:
    """Our name of a scope: ``mmdet`` and ``detection`` are the same one."""
    return SCOPE_ALIASES.get(scope, scope)


class DefaultScope:
    """The scope that names without one are looked up in first.

    It is a context variable: a thread or an asyncio task that sets it does not disturb the others.

    Args:
        name: A name of this setting, for example the experiment's.
        scope_name: The scope, ours (``detection``) or an alias (``mmdet``).
    """

    _instances: ClassVar[dict[str, DefaultScope]] = {}

    def __init__(self, name: str, scope_name: str) -> None:
        if not isinstance(scope_name, str):
            raise TypeError(f"scope_name must be a str, got {scope_name!r}")
        self._instance_name = name
        self._scope_name = scope_name

    @property
    def instance_name(self) -> str:
        """The name of this setting."""
        return self._instance_name

    @property
    def scope_name(self) -> str:
        """The scope as it was given."""
        return self._scope_name

    @classmethod
    def get_instance(cls, name: str, scope_name: str | None = None) -> DefaultScope:
        """Make a scope the current one; without `scope_name`, the one called `name`, or the current one."""
        if scope_name is None:
            found = cls._instances.get(name) or _CURRENT.get()
            if found is None:
                raise ValueError(f"no default scope is set yet: give scope_name for {name!r}")
            return found
        instance = cls(name, scope_name)
        cls._instances[name] = instance
        _CURRENT.set(instance)
        return instance

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether `get_instance` has made a setting called `name`."""
        return name in cls._instances

    @classmethod
    def get_current_instance(cls) -> DefaultScope | None:
        """The scope in force, or None where none was set."""
        return _CURRENT.get()

    @classmethod
    @contextmanager
    def overwrite_default_scope(cls, scope_name: str | None) -> Iterator[None]:
        """Set the default scope for a block; None leaves it as it is."""
        if scope_name is None:
            yield
            return
        token = _CURRENT.set(cls(f"overwrite-{time.time_ns()}", scope_name))
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def __repr__(self) -> str:
        return f"DefaultScope({self._instance_name!r}, {self._scope_name!r})"


_CURRENT: ContextVar[DefaultScope | None] = ContextVar("toolkit_default_scope", default=None)


def current_scope() -> str | None:
    """Our name of the default scope in force, or None."""
    current = _CURRENT.get()
    return None if current is None else canonical_scope(current.scope_name)


def init_default_scope(scope: str) -> None:
    """Set the default scope by hand, for scripts that use no Runner."""
    DefaultScope.get_instance(f"{scope}-{time.time_ns()}", scope_name=scope)
