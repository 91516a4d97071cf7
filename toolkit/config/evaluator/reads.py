"""Which top-level variables an expression is computed from."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

BASE = "_base_"
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _is_display(node: ast.AST) -> bool:
    # Their items have origins of their own, with what they read.
    if isinstance(node, (ast.Dict, ast.List)):
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict"


def _spread(node: ast.AST) -> Iterator[ast.AST]:
    """What a display takes over from other containers."""
    if isinstance(node, ast.Dict):
        yield from (value for key, value in zip(node.keys, node.values, strict=True) if key is None)
    elif isinstance(node, ast.List):
        yield from (item for item in node.elts if isinstance(item, ast.Starred))
    elif isinstance(node, ast.Call):
        yield from node.args
        yield from (keyword.value for keyword in node.keywords if keyword.arg is None)


def _chain(node: ast.AST) -> tuple[str, ...] | None:
    """The parts of ``name.a['b'][0]``, as far as they are constant; None for other expressions."""
    parts: list[str] = []
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
        elif isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, (str, int)):
            parts.append(str(node.slice.value))
        else:
            parts.clear()  # what is behind an index that is computed is not known here
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else None


def _indices(node: ast.AST) -> Iterator[ast.AST]:
    """The computed indices along a chain, which may read variables too."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):
            yield node.slice
        node = node.value


def _bound(node: ast.AST) -> set[str]:
    """The names that a comprehension binds for itself."""
    return {
        name.id
        for generator in getattr(node, "generators", ())
        for name in ast.walk(generator.target)
        if isinstance(name, ast.Name)
    }


def direct_reads(
    expression: ast.expr, template_keys: Callable[[str], frozenset[str]]
) -> set[tuple[str, ...]]:
    """What `expression` reads itself: names with the constant parts behind them.

    What the items of a dict or a list in it read is not counted: they have origins of their own.

    Args:
        expression: the syntax tree.
        template_keys: for a name or a string, the keys of the bases that the templates in it read.
    """
    found: set[tuple[str, ...]] = set()
    if isinstance(expression, ast.Constant) and not isinstance(expression.value, str):
        return found
    stack: list[tuple[ast.AST, frozenset[str]]] = [(expression, frozenset())]
    while stack:
        node, bound = stack.pop()
        if isinstance(node, ast.Constant):
            keys = template_keys(node.value) if isinstance(node.value, str) else ()
            found.update((BASE, *key.split(".")) for key in keys)
            continue
        chain = _chain(node)
        if chain is not None:
            stack.extend((index, bound) for index in _indices(node))
            keys = template_keys(chain[0])
            found.update((BASE, *key.split(".")) for key in keys)
            if not keys and chain[0] not in bound:
                found.add(chain)
        elif _is_display(node):
            stack.extend((item, bound) for item in _spread(node))
        else:
            inner = bound | _bound(node) if isinstance(node, _COMPREHENSIONS) else bound
            stack.extend((child, inner) for child in ast.iter_child_nodes(node))
    return found
