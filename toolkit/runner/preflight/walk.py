"""The walk over a config: every `type` is resolved, every set of arguments is bound to a signature."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from toolkit.registry.arguments import accepted_by
from toolkit.registry.build import resolve_type
from toolkit.registry.scope import DefaultScope
from toolkit.runner.preflight.problems import Problem
from toolkit.runner.preflight.slots import Slot, general, kind_of
from toolkit.utils import BuildError

Visit = Callable[[Mapping[str, Any], str, Any], None]


class Walker:
    """Checks dicts against the classes they name, and collects what is wrong.

    Args:
        on_class: Called with each dict whose type was resolved, its dotted path and the class.

    Attributes:
        problems: What was found, in the order of the config.
        closed_paths: Dotted paths of dicts whose arguments were all checked.
    """

    def __init__(self, on_class: Visit | None = None) -> None:
        self.problems: list[Problem] = []
        self.closed_paths: set[str] = set()
        self._on_class = on_class

    def visit(self, value: Any, slot: Slot, path: str, container: Any = None, key: Any = None) -> None:
        """Check what stands at a place: a dict to build, a list of them, or an object that is built already.

        Args:
            value: What stands there.
            slot: How it is built.
            path: The dotted path of the place.
            container: The dict or list that holds `value`, for its origin.
            key: The key or index there.
        """
        if isinstance(value, Mapping):
            self._visit_dict(value, slot, path, container, key)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                self.visit(item, slot, f"{path}.{index}", value, index)

    def _visit_dict(self, cfg: Mapping[str, Any], slot: Slot, path: str, container: Any, key: Any) -> None:
        kind = cfg.get("type", slot.default_type)
        if kind is None:
            if slot.needs_type:
                self._complain(container, key, path, f"a {slot.kinds[0].name} needs a 'type'")
            self._visit_values(cfg, slot, path)
            return
        with DefaultScope.overwrite_default_scope(cfg.get("_scope_")):
            target = self._resolve(cfg, kind, slot, path)
            if target is not None:
                self._bind(cfg, target, slot, path)
                if self._on_class is not None:
                    self._on_class(cfg, path, target)
            self._visit_values(cfg, slot, path, getattr(target, "foreign_keys", ()))

    def _resolve(self, cfg: Mapping[str, Any], kind: Any, slot: Slot, path: str) -> Any | None:
        error: BuildError | None = None
        for registry in slot.kinds:
            try:
                return resolve_type(kind, registry)
            except BuildError as problem:
                error = _better(error, problem)
        if error is not None and slot.known:
            self._complain(cfg, "type", path, str(error))
        return None

    def _bind(self, cfg: Mapping[str, Any], target: Any, slot: Slot, path: str) -> None:
        accepted = accepted_by(target)
        if not accepted.is_open:
            self.closed_paths.add(path)
        extra = {"type", "_scope_", *slot.extra.difference(accepted.names)}
        given = [key for key in cfg if key not in extra]
        name = getattr(target, "__name__", str(target))
        for argument, sentence in accepted.problems(given, slot.supplied):
            is_missing = argument not in cfg
            if is_missing and not slot.strict:
                continue
            end = "" if sentence.endswith("?") else "."
            message = f"{name} {sentence}{end} It takes: {accepted.describe()}"
            self._complain(cfg, "type" if is_missing else argument, path, message)

    def _visit_values(
        self, cfg: Mapping[str, Any], context: Slot, path: str, foreign: Collection[str] = ()
    ) -> None:
        for key, value in cfg.items():
            # what a class hands on to another package has types of that package
            if key == "type" or key in foreign:
                continue
            ruled, slot = kind_of(context, str(key))
            place = f"{path}.{key}"
            if not ruled:
                self._search(value, context, place, cfg, key)
            elif slot is not None:
                self._visit_ruled(value, slot, place, cfg, key)

    def _visit_ruled(self, value: Any, slot: Slot, path: str, container: Any, key: Any) -> None:
        """A value whose key has a rule; one that holds no type at all is plain settings."""
        if next(_typed(value), None) is not None:
            self.visit(value, slot, path, container, key)

    def _search(self, value: Any, context: Slot, path: str, container: Any, key: Any) -> None:
        """Look for dicts with a type in a value whose key says nothing."""
        if isinstance(value, Mapping):
            if "type" in value:
                self._visit_dict(value, general(context), path, container, key)
            else:
                self._visit_values(value, context, path)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                self._search(item, context, f"{path}.{index}", value, index)

    def _complain(self, container: Any, key: Any, path: str, message: str) -> None:
        self.problems.append(Problem.at(container, key, path, message))


def _better(first: BuildError | None, second: BuildError) -> BuildError:
    """Of the errors of several registries, one that has a suggestion."""
    if first is None or ("did you mean" in str(second) and "did you mean" not in str(first)):
        return second
    return first


def _typed(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "type" in value:
            yield value
        for item in value.values():
            yield from _typed(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _typed(item)
