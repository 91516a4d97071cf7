"""Comprehensions, and the unpacking of values into targets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from toolkit.config.config_dict import TracedDict
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator import pure_builtins
from toolkit.config.evaluator.limits import Budget, Refused
from toolkit.config.origin import Origin


def unpack(target: ast.expr, value: Any, budget: Budget) -> Iterator[tuple[ast.expr, Any]]:
    """The single targets of an assignment, with the part of `value` that each gets."""
    if not isinstance(target, (ast.Tuple, ast.List)):
        yield target, value
        return
    items = pure_builtins.materialize(value, budget)
    stars = [place for place, part in enumerate(target.elts) if isinstance(part, ast.Starred)]
    wanted = len(target.elts) - len(stars)
    if len(items) < wanted or (not stars and len(items) > wanted):
        raise ValueError(f"can't unpack {len(items)} values into {len(target.elts)} names")
    for place in stars[:1]:
        end = len(items) - (len(target.elts) - place - 1)
        items[place:end] = [ConfigList(items[place:end])]
    for part, item in zip(target.elts, items, strict=True):
        yield from unpack(part.value if isinstance(part, ast.Starred) else part, item, budget)


class Comprehensions:
    """The part of the evaluator that handles comprehensions."""

    budget: Budget
    _locals: list[dict[str, Any]]

    def evaluate(self, node: ast.expr) -> Any:
        """The value of an expression."""
        raise AssertionError("the evaluator defines it")

    def origin(self, node: ast.AST, value: ast.expr | None = None) -> Origin:
        """The origin of what is written at `node`."""
        raise AssertionError("the evaluator defines it")

    def _comprehended(self, generators: list[ast.comprehension], emit: Callable[[], None]) -> None:
        """Run `emit` for every combination that the clauses of a comprehension give."""
        clause, rest = generators[0], generators[1:]
        if clause.is_async:
            raise Refused("async is not part of the config language")
        items = pure_builtins.iterate(self.evaluate(clause.iter))
        scope: dict[str, Any] = {}
        self._locals.append(scope)
        try:
            for item in items:
                self.budget.step()
                for name, part in unpack(clause.target, item, self.budget):
                    if not isinstance(name, ast.Name):
                        raise Refused("a comprehension binds plain names only")
                    scope[name.id] = part
                if all(self.evaluate(test) for test in clause.ifs):
                    if rest:
                        self._comprehended(rest, emit)
                    else:
                        emit()
        finally:
            self._locals.pop()

    def _list_comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> Any:
        made: list[Any] = []
        self._comprehended(node.generators, lambda: made.append(self.evaluate(node.elt)))
        self.budget.items(len(made))
        return ConfigList(made, [self.origin(node.elt, node)] * len(made))

    def _set_comprehension(self, node: ast.SetComp) -> Any:
        made: list[Any] = []
        self._comprehended(node.generators, lambda: made.append(self.evaluate(node.elt)))
        pure_builtins.hashed(made, self.budget)
        return set(made)

    def _dict_comprehension(self, node: ast.DictComp) -> Any:
        made: list[tuple[Any, Any]] = []

        def emit() -> None:
            made.append((self.evaluate(node.key), self.evaluate(node.value)))

        self._comprehended(node.generators, emit)
        pure_builtins.hashed((key for key, _ in made), self.budget)
        self.budget.items(len(made))
        origin = self.origin(node.key, node)
        return TracedDict(made, {key: origin for key, _ in made})
