"""`Registry`: names of classes and functions, grouped by kind and by scope."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from toolkit.registry.lookup import Found, find
from toolkit.registry.scope import ROOT_SCOPE, DefaultScope, canonical_scope
from toolkit.utils import BuildError

BuildFunc = Callable[..., Any]


class Registry:
    """A table from names to classes (or functions) of one kind.

    Registries of the same kind form a tree: the root one holds what every task shares, and each task has a
    child with its own scope. A name is looked up in the explicit scope (``mmdet.ResNet``), in the default
    scope, in the registry itself and in its parents. From the root, where no other scope is set, the children
    are searched last, and it must be in exactly one of them.

    Args:
        name: The kind, such as ``model``.
        build_func: Builds an object from a config; `build_from_cfg` by default.
        parent: The registry of the same kind that this one extends.
        scope: The scope of its names; the top-level package of the caller by default.
        locations: Modules whose import registers the members. They are imported once, at the first name
            that is not found.
        base: What a dotted path must find: ``module:Class`` (one or several) or ``"function"``. None: any
            class
            of ours or of a package that the user allowed.
        resolvers: ``module:function`` strings or functions, asked for names that nobody registered.
    """

    def __init__(
        self,
        name: str,
        build_func: BuildFunc | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        locations: Sequence[str] = (),
        base: str | tuple[str, ...] | None = None,
        resolvers: Sequence[str | Callable[[str], Any]] = (),
    ) -> None:
        self._name = name
        self._scope = canonical_scope(scope if scope is not None else self.infer_scope())
        self._module_dict: dict[str, Any] = {}
        self._children: dict[str, Registry] = {}
        self._locations = tuple(locations)
        self._imported = False
        self._resolvers = tuple(resolvers)
        self.base: str | tuple[str, ...] | None = base
        if base is None and parent is not None:
            self.base = parent.base
        self.parent = parent
        self._build_func = build_func
        if parent is not None:
            parent._add_child(self)

    @staticmethod
    def infer_scope() -> str:
        """The top-level package of the code that makes the registry."""
        frame = sys._getframe(2)
        module = frame.f_globals.get("__name__", ROOT_SCOPE)
        return str(module).partition(".")[0]

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """Split ``scope.name`` at its first dot; the scope is None where there is no dot."""
        scope, dot, name = key.partition(".")
        return (scope, name) if dot else (None, key)

    @property
    def name(self) -> str:
        """The kind of what is registered."""
        return self._name

    @property
    def scope(self) -> str:
        """The scope of the names."""
        return self._scope

    @property
    def module_dict(self) -> dict[str, Any]:
        """What is registered here, by name; parents and children are not included."""
        return self._module_dict

    @property
    def children(self) -> dict[str, Registry]:
        """Registries that extend this one, by scope."""
        return self._children

    @property
    def resolvers(self) -> tuple[str | Callable[[str], Any], ...]:
        """Where names are looked up that nobody registered."""
        return self._resolvers

    @property
    def build_func(self) -> BuildFunc:
        """The function behind `build`: its own, its parent's, or `build_from_cfg`."""
        if self._build_func is not None:
            return self._build_func
        if self.parent is not None:
            return self.parent.build_func
        return importlib.import_module("toolkit.registry.build").build_from_cfg  # type: ignore[no-any-return]

    @property
    def root(self) -> Registry:
        """The registry at the top of the tree."""
        registry = self
        while registry.parent is not None:
            registry = registry.parent
        return registry

    def __len__(self) -> int:
        return len(self._module_dict)

    def __contains__(self, key: str) -> bool:
        try:
            return self.get(key) is not None
        except BuildError:  # ambiguous, or a path that configs may not follow
            return False

    def __repr__(self) -> str:
        names = "".join(f"\n  {name}: {value}" for name, value in sorted(self._module_dict.items()))
        return f"Registry(name={self._name!r}, scope={self._scope!r}, items={len(self)}){names}"

    def import_from_location(self) -> None:
        """Import the modules that register this registry's members; each is imported once.

        An import error inside one of them is not swallowed.
        """
        if self._imported:
            return
        self._imported = True  # before the imports: they may look names up themselves
        try:
            for location in self._locations:
                importlib.import_module(location)
        except BaseException:
            self._imported = False
            raise

    def get(self, key: str) -> Any | None:
        """The class or function with a name, or None where there is none.

        Args:
            key: A name, a scoped name or a dotted path inside an allowed package.

        Raises:
            BuildError: The name is in several scopes and none was given, or a dotted path points outside the
                allowed packages or to something of another kind.
        """
        return self.find(key).value

    def find(self, key: str) -> Found:
        """Like `get`, with the scopes that were searched."""
        if not isinstance(key, str):
            raise TypeError(f"a registered name is a str, got {type(key).__name__}: {key!r}")
        return find(self, key)

    def build(self, cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Build what a config describes, with this registry's build function.

        Args:
            cfg: A dict with ``type`` and the constructor's arguments.
            *args: Passed on to the build function.
            **kwargs: Passed on to the build function, for example ``default_args``.
        """
        return self.build_func(cfg, *args, **kwargs, registry=self)

    @contextmanager
    def switch_scope_and_registry(self, scope: str | None) -> Iterator[Registry]:
        """Make a scope the default one and give the registry of this kind in it.

        Args:
            scope: The scope; None takes the default one in force, or else this registry's own.
        """
        with DefaultScope.overwrite_default_scope(scope):
            current = DefaultScope.get_current_instance()
            found = self if current is None else self.search_scope(current.scope_name)
            yield found if found is not None else self

    def search_scope(self, scope: str) -> Registry | None:
        """The registry of this kind with a scope, anywhere in the tree; None where there is none."""
        scope = canonical_scope(scope)
        return next((one for one in self.root.walk() if one.scope == scope), None)

    def walk(self) -> Iterator[Registry]:
        """This registry and all below it."""
        yield self
        for child in list(self._children.values()):
            yield from child.walk()

    def register_module(
        self, name: str | Sequence[str] | None = None, force: bool = False, module: Any | None = None
    ) -> Any:
        """Register a class or function; used as a decorator, or called with `module`.

        Args:
            name: The name, or several. The name of the class by default.
            force: Replace what has the name already.
            module: The class or function. Without it, a decorator is returned.

        Raises:
            KeyError: The name is taken; the message says by what and where.

        Examples:
            >>> MODELS = Registry("model", scope="example")
            >>> @MODELS.register_module()
            ... class Net: ...
            >>> MODELS.get("Net") is Net
            True
        """
        if not isinstance(force, bool):
            raise TypeError(f"force must be a bool, got {force!r}")
        if callable(name):
            raise TypeError("write @REGISTRY.register_module(), with parentheses")
        if name is not None and not isinstance(name, str):
            name = list(name)
            if not all(isinstance(one, str) for one in name):
                raise TypeError(f"names must be str, got {name!r}")
        names = [name] if isinstance(name, str) else name

        def decorate(value: Any) -> Any:
            self._register(value, names, force)
            return value

        return decorate if module is None else decorate(module)

    def _register(self, value: Any, names: list[str] | None, force: bool) -> None:
        if not callable(value):
            raise TypeError(f"only classes and functions can be registered, got {value!r}")
        for name in names or [value.__name__]:
            taken = self._module_dict.get(name)
            if taken is not None and not force:
                raise KeyError(
                    f"{name!r} is in registry {self._name!r} of scope {self._scope!r} already: "
                    f"{_place(taken)} has it, {_place(value)} wants it. "
                    "Rename one, or register with force=True"
                )
            self._module_dict[name] = value

    def _add_child(self, child: Registry) -> None:
        if child.scope in self._children or child.scope == self._scope:
            raise KeyError(f"registry {self._name!r} has a child of scope {child.scope!r} already")
        self._children[child.scope] = child


def _place(value: Any) -> str:
    name = f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', repr(value))}"
    try:
        line = inspect.getsourcelines(value)[1]
        return f"{name} ({inspect.getsourcefile(value)}:{line})"
    except (OSError, TypeError):
        return name
