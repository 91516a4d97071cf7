"""How a name is looked up in a tree of registries."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolkit.registry.allowed import FUNCTION_KIND, find_dotted, is_allowed, is_own, load_string, refusal
from toolkit.registry.scope import ROOT_SCOPE, SCOPE_ALIASES, SCOPE_MODULES, canonical_scope, current_scope
from toolkit.utils import BuildError

if TYPE_CHECKING:
    from toolkit.registry.registry import Registry


@dataclass
class Found:
    """The outcome of a lookup.

    Attributes:
        value: The class or function, or None.
        searched: The registries that were asked, in order.
    """

    value: Any | None = None
    searched: list[Registry] = field(default_factory=list)

    @property
    def scopes(self) -> list[str]:
        """Scopes that were asked, in order, each once."""
        return list(dict.fromkeys(registry.scope for registry in self.searched))


def find(registry: Registry, key: str) -> Found:
    """Look a name up: explicit scope, default scope, registry, parents, resolvers, children, dotted path."""
    found = Found()
    scope, _, rest = key.partition(".")
    if rest and "/" not in scope:
        _find_scoped(registry, scope, rest, found)
        if found.value is None and (is_allowed(scope) or not _is_scope(registry, scope)):
            found.value = _find_path(registry, key)
        return found
    _find_plain(registry, key, found)
    return found


def _is_scope(registry: Registry, scope: str) -> bool:
    return scope in SCOPE_ALIASES or scope in SCOPE_MODULES or registry.search_scope(scope) is not None


def _find_scoped(registry: Registry, scope: str, name: str, found: Found) -> None:
    home = scope_registry(registry, scope)
    if home is None:
        return
    chain = list(_chain(home))
    # An import in a config, `from mmdet.models import FasterRCNN`, gives `mmdet.models.FasterRCNN`.
    for one in dict.fromkeys((name, name.rpartition(".")[2])):
        found.value = _ask(chain, one, found)
        if found.value is not None or home.scope == ROOT_SCOPE == scope:
            return
    if home.scope == ROOT_SCOPE:
        # `mmcv.RandomFlip` is of no task there; here each task has its own
        _find_plain(registry, name.rpartition(".")[2], found)


def scope_registry(registry: Registry, scope: str) -> Registry | None:
    """The registry of the same kind in another scope; ours are imported if need be."""
    scope = canonical_scope(scope)
    if scope in SCOPE_MODULES:
        importlib.import_module(SCOPE_MODULES[scope])
    found = registry.search_scope(scope)
    if found is None and scope in SCOPE_MODULES:
        return registry.root  # a kind that the task adds nothing to
    return found


def _chain(registry: Registry | None) -> Iterator[Registry]:
    while registry is not None:
        yield registry
        registry = registry.parent


def _find_plain(registry: Registry, name: str, found: Found) -> None:
    chain: dict[int, Registry] = {}
    scope = current_scope()
    default = scope_registry(registry, scope) if scope is not None else None
    for one in (*_chain(default), *_chain(registry)):
        chain.setdefault(id(one), one)
    found.value = _ask(_roots_last(chain.values()), name, found)
    # A task that is set does not borrow from another: the same name may mean another thing there.
    if found.value is None and registry.parent is None and default in (None, registry):
        found.value = _find_below(registry, name, found)


def _roots_last(chain: Iterable[Registry]) -> list[Registry]:
    """The default scope, then the registry itself, and what they share after both."""
    return sorted(chain, key=lambda one: one.parent is None)


def _ask(chain: Iterable[Registry], name: str, found: Found) -> Any | None:
    chain = list(chain)
    for registry in chain:
        if registry not in found.searched:
            found.searched.append(registry)
        value = _own(registry, name)
        if value is not None:
            return value
    for registry in chain:
        for resolver in registry.resolvers:
            value = _resolver(resolver)(name)
            if value is not None:
                return value
    return None


def _own(registry: Registry, name: str) -> Any | None:
    if name not in registry.module_dict:
        registry.import_from_location()
    return registry.module_dict.get(name)


def _resolver(resolver: str | Callable[[str], Any]) -> Callable[[str], Any]:
    return load_string(resolver) if isinstance(resolver, str) else resolver


def _find_below(root: Registry, name: str, found: Found) -> Any | None:
    for module in SCOPE_MODULES.values():
        if root.scope == ROOT_SCOPE:
            importlib.import_module(module)
    hits: dict[str, Any] = {}
    for registry in root.walk():
        if registry not in found.searched:
            found.searched.append(registry)
        value = _own(registry, name)
        if value is not None:
            hits[registry.scope] = value
    if len(set(map(id, hits.values()))) > 1:
        choices = " or ".join(repr(f"{scope}.{name}") for scope in sorted(hits))
        raise BuildError(
            f"{name!r} is in several scopes of registry {root.name!r} ({', '.join(sorted(hits))}): "
            f"write {choices}, or set default_scope"
        )
    return next(iter(hits.values()), None)


def _find_path(registry: Registry, path: str) -> Any | None:
    value = find_dotted(path)
    if value is None:
        return None
    reason = refusal(value, registry.base)
    if reason is None and is_own(path) and registry.base in (None, FUNCTION_KIND):
        # Nothing else says that it is meant for this slot: a Runner must not be built as a task util.
        registered = (one for branch in registry.root.walk() for one in branch.module_dict.values())
        if not any(one is value for one in registered):
            reason = "is not registered as one"
    if reason is not None:
        raise BuildError(f"{path!r} can't be used as a {registry.name}: it {reason}")
    return value


def elsewhere(registry: Registry, name: str, found: Found) -> list[str]:
    """Scoped names under which registries that were not searched hold a name, for suggestions."""
    others = [one for one in registry.root.walk() if one not in found.searched]
    return [f"{one.scope}.{name}" for one in others if _own(one, name) is not None]


def known_names(registries: Iterable[Registry]) -> list[str]:
    """Names that registries hold or resolve, for suggestions."""
    names: dict[str, None] = {}
    for registry in registries:
        names.update(dict.fromkeys(registry.module_dict))
        for resolver in registry.resolvers:
            lister = _lister(resolver)
            names.update(dict.fromkeys(lister() if lister is not None else ()))
    return list(names)


def _lister(resolver: str | Callable[[str], Any]) -> Callable[[], list[str]] | None:
    module, name = (
        resolver.split(":") if isinstance(resolver, str) else (resolver.__module__, resolver.__name__)
    )
    return getattr(importlib.import_module(module), f"{name}_names", None)
