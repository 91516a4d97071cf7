"""Configs run as plain Python, for those who trust them."""

from __future__ import annotations

import ast
import types
from typing import Any

from toolkit.config.config_dict import TracedDict
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator.statements import StatementEvaluator, is_read_base
from toolkit.config.origin import NOTHING_READ, Origin
from toolkit.config.overrides import Overrides
from toolkit.config.own_values import BASE_KEY, OwnValues
from toolkit.config.secrets import ENV_TYPES, EnvStr
from toolkit.utils.errors import ConfigError

_HOOK = "__apply_overrides__"
_TEXT = "__config_text_{}__"
_SHORTEST_SECRET = 4


class _Rewriter(ast.NodeTransformer):
    """Puts templates and overrides into the tree of a file that is about to be run."""

    def __init__(self, evaluator: StatementEvaluator, overrides: Overrides, scope: dict[str, Any]) -> None:
        self._evaluator = evaluator
        self._overrides = overrides
        self._scope = scope
        self._depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]

    def visit_Name(self, node: ast.Name) -> Any:
        templates = self._evaluator.file.templates
        if templates.alone(node.id) is not None and node.id not in self._scope:
            self._scope[node.id] = self._evaluator.evaluate(node)
        return node

    def visit_Constant(self, node: ast.Constant) -> Any:
        if not isinstance(node.value, str) or not self._evaluator.file.templates.inside(node.value):
            return node
        name = _TEXT.format(len(self._scope))
        self._scope[name] = self._evaluator.evaluate(node)
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        parts = [self.visit(part) for part in node.values]
        node.values = [
            ast.copy_location(ast.FormattedValue(part, -1, None), node)
            if isinstance(part, ast.Name)
            else part
            for part in parts
        ]
        return node

    def _after(self, node: Any, targets: list[ast.expr]) -> Any:
        self.generic_visit(node)
        if self._depth:
            return node
        roots = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        hooks = [
            ast.copy_location(ast.Expr(ast.Call(ast.Name(_HOOK, ast.Load()), [ast.Constant(root)], [])), node)
            for root in sorted(roots)
            if self._overrides.has_root(root)
        ]
        return [node, *hooks]

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self._after(node, node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        return self._after(node, [node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return self._after(node, [node.target])


def run_trusted(tree: ast.Module, evaluator: StatementEvaluator, overrides: Overrides) -> OwnValues:
    """Run a config file as plain Python.

    Bases are read, templates filled and overrides put in as for a file that is not trusted.

    Args:
        tree: the file; it is changed.
        evaluator: reads the bases and knows the file.
        overrides: the overrides.

    Raises:
        ConfigError: if the file raises anything.
    """
    assigned = _assignments(tree)
    imports = [node for node in tree.body if is_read_base(node)]
    marker = [node for node in tree.body if isinstance(node, ast.ImportFrom) and _imports_marker(node)]
    evaluator.execute([*marker, *imports])
    scope: dict[str, Any] = {"__name__": "__config__", "__file__": evaluator.file.path}
    scope.update(dict.items(evaluator.names))
    if evaluator.base:
        scope[BASE_KEY] = evaluator.base
    before = {name: value for name, value in scope.items() if name in evaluator.names}
    tree.body = [node for node in tree.body if node not in imports and not _assigns(node, BASE_KEY)]

    def apply(name: str) -> None:
        origin = Origin(evaluator.file.path, assigned[name][0] if name in assigned else None)
        scope[name] = overrides.substitute(name, scope[name], origin)[0]

    scope[_HOOK] = apply
    tree = _Rewriter(evaluator, overrides, scope).visit(tree)
    _execute(ast.fix_missing_locations(tree), evaluator, scope)
    names = _collect(scope, before, evaluator, assigned)
    imported = {name: lazy for name, lazy in evaluator.imported.items() if name in names}
    return OwnValues(names, imported, {name for name in assigned if name in names})


def _imports_marker(node: ast.ImportFrom) -> bool:
    return any(alias.name == "read_base" for alias in node.names)


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == name for target in node.targets
    )


def _execute(tree: ast.Module, evaluator: StatementEvaluator, scope: dict[str, Any]) -> None:
    path = evaluator.file.path
    try:
        exec(compile(tree, path, "exec"), scope)
    except ConfigError:
        raise
    except Exception as error:
        line, frame = None, error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == path:
                line = frame.tb_lineno
            frame = frame.tb_next
        raise evaluator.file.at(line, f"{type(error).__name__}: {error}") from error


def _assignments(tree: ast.Module) -> dict[str, tuple[int, ast.expr | None]]:
    """The line of the last assignment to each top-level name, and the expression it is assigned."""
    found: dict[str, tuple[int, ast.expr | None]] = {}
    stack: list[ast.AST] = list(reversed(tree.body))
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Assign):
            for target in node.targets:
                whole = node.value if isinstance(target, ast.Name) else None
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                        found[name.id] = (node.lineno, whole)
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and isinstance(node.target, ast.Name):
            found[node.target.id] = (node.lineno, None)
        elif isinstance(node, ast.For):
            found.update(
                {n.id: (node.lineno, None) for n in ast.walk(node.target) if isinstance(n, ast.Name)}
            )
        stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def _collect(
    scope: dict[str, Any],
    inherited: dict[str, Any],
    evaluator: StatementEvaluator,
    assigned: dict[str, tuple[int, ast.expr | None]],
) -> TracedDict:
    """The config values among the names of a file that was run."""
    secrets = {
        value: f"{{{{ ${name} }}}}"
        for name, value in evaluator.file.templates.env_used.items()
        if len(value) >= _SHORTEST_SECRET
    }
    names = TracedDict()
    for name, value in scope.items():
        if name.startswith("__") or name == "_base_":
            continue
        if name in inherited and value is inherited[name] and name not in assigned:
            dict.__setitem__(names, name, value)
            names.__origins__[name] = evaluator.names.__origins__[name]
        elif name in assigned and not isinstance(value, (types.FunctionType, types.ModuleType)):
            line, node = assigned[name]
            tracer = _Tracer(evaluator, secrets)
            dict.__setitem__(names, name, tracer.trace(value, node, line))
            names.__origins__[name] = tracer.origin(line, node)
    return names


class _Tracer:
    """Gives plain values the lines of the literals that they were written as."""

    def __init__(self, evaluator: StatementEvaluator, secrets: dict[str, str]) -> None:
        self._evaluator = evaluator
        self._secrets = secrets

    def origin(self, line: int, node: ast.expr | None) -> Origin:
        file = self._evaluator.file
        if node is not None:
            return Origin(file.path, line, chain=file.chain, reads=self._evaluator.origin(node, node).reads)
        return Origin(file.path, line, chain=file.chain, reads=NOTHING_READ)

    def trace(self, value: Any, node: ast.expr | None, line: int) -> Any:
        if type(value) is dict:
            written = _written_items(node)
            made = TracedDict(value)
            for key, item in value.items():
                inner = written.get(key)
                at = inner.lineno if inner is not None else line
                dict.__setitem__(made, key, self.trace(item, inner, at))
                made.__origins__[key] = self.origin(at, inner)
            return made
        if type(value) in (list, tuple):
            nodes: list[Any] = list(getattr(node, "elts", ()))
            if len(nodes) != len(value):
                nodes = [None] * len(value)
            lines = [inner.lineno if inner is not None else line for inner in nodes]
            items = [self.trace(item, inner, at) for item, inner, at in zip(value, nodes, lines, strict=True)]
            if type(value) is tuple:
                return tuple(items)
            return ConfigList(items, [self.origin(at, inner) for at, inner in zip(lines, nodes, strict=True)])
        return self._hide(value)

    def _hide(self, value: Any) -> Any:
        """Python's own string operations forget where a part came from; look for the secrets instead."""
        if not isinstance(value, str) or isinstance(value, ENV_TYPES):
            return value
        template = value
        for secret, reference in self._secrets.items():
            template = template.replace(secret, reference)
        return EnvStr(value, None, template) if template != value else value


def _written_items(node: ast.expr | None) -> dict[Any, ast.expr]:
    """The expressions of a dict display or a call of ``dict``, by key."""
    if isinstance(node, ast.Dict):
        return {
            key.value: value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant)
        }
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
    return {}
