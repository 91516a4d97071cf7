"""Config statements, executed from their syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Protocol

from toolkit.config.config_dict import ConfigDict, TracedDict, put
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator import operators, pure_builtins
from toolkit.config.evaluator.comprehensions import unpack
from toolkit.config.evaluator.expressions import ExpressionEvaluator
from toolkit.config.evaluator.failure import FileContext
from toolkit.config.evaluator.limits import Budget, Refused
from toolkit.config.lazy import LazyObject
from toolkit.config.origin import Origin, display_path
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

_MARKER_HOMES = ("mmengine", "mmengine.config", "toolkit.config")


class Substitution(Protocol):
    """The command-line overrides, as seen from a file that assigns variables."""

    def has_root(self, name: str) -> bool:
        """Whether any override concerns the variable `name`."""

    def substitute(self, name: str, value: Any, origin: Origin) -> tuple[Any, Origin]:
        """What the variable is to hold instead of `value`, and where that comes from."""


class BaseModule(Protocol):
    """What an import inside ``with read_base():`` gives."""

    names: ConfigDict
    imported: dict[str, LazyObject]


class _Break(Exception):
    """`break` in a loop."""


class _Continue(Exception):
    """`continue` in a loop."""


class StatementEvaluator(ExpressionEvaluator):
    """Executes the statements of a config file.

    Args:
        file: the file.
        base: the merged bases of ``_base_``, or None.
        budget: the work and memory left.
        overrides: what to put in the place of assigned variables, or None.
        read_module: reads the config that an import inside ``with read_base():`` names, from the module's
            name and its number of leading dots.

    Attributes:
        names: the top-level names, with their origins.
        imported: those names that stand for imports.
        assigned: those that an assignment set, as opposed to a loop or an import.
    """

    def __init__(
        self,
        file: FileContext,
        base: ConfigDict | None,
        budget: Budget,
        overrides: Substitution | None = None,
        read_module: Callable[[str, int, int], BaseModule] | None = None,
    ) -> None:
        super().__init__(file, TracedDict(), base, budget)
        self.imported: dict[str, LazyObject] = {}
        self.assigned: set[str] = set()
        self._overrides = overrides
        self._read_module = read_module
        self._has_marker = False

    def execute(self, body: list[ast.stmt]) -> None:
        """Execute statements in turn.

        Raises:
            ConfigError: with file, line and the construct, at the first that can't be executed.
        """
        for node in body:
            handler = _STATEMENTS.get(type(node))
            try:
                self.budget.step()
                if handler is None:
                    raise Refused(f"'{type(node).__name__.lower()}' is not part of the config language")
                handler(self, node)
            except (ConfigError, _Break, _Continue):
                raise
            except Exception as error:
                raise self.file.failure(node, error) from error

    # -- assignment -----------------------------------------------------------------------------------

    def bind(self, name: str, value: Any, origin: Origin) -> None:
        """Set a top-level name, letting the overrides have their say."""
        if self._overrides is not None and self._overrides.has_root(name):
            value, origin = self._overrides.substitute(name, value, origin)
        self.imported.pop(name, None)
        self.assigned.add(name)
        put(self.names, name, value, origin)

    def _store(self, target: ast.expr, value: Any, origin: Origin) -> None:
        if isinstance(target, ast.Name):
            if target.id == "_base_":
                raise Refused("_base_ is assigned once, at the top level of the file")
            self.bind(target.id, value, origin)
            return
        if isinstance(target, ast.Attribute):
            container = self.evaluate(target.value)
            if not isinstance(container, ConfigDict) or hasattr(ConfigDict, target.attr):
                raise Refused(f"attribute {target.attr!r} can't be set; set the key with [{target.attr!r}]")
            put(container, target.attr, value, origin)
        elif isinstance(target, ast.Subscript):
            self._store_item(target, value, origin)
        else:
            raise Refused("this can't be assigned to in a config")
        self._changed(target)

    def _store_item(self, target: ast.Subscript, value: Any, origin: Origin) -> None:
        container, index = self.evaluate(target.value), self.evaluate(target.slice)
        if isinstance(index, slice) and isinstance(container, ConfigList):
            container[index] = ConfigList(pure_builtins.materialize(value, self.budget))
        elif isinstance(container, ConfigList):
            container[index] = value
            container.__origins__[index] = origin.replacing(container.__origins__[index].over)
        elif isinstance(container, dict):
            pure_builtins.hashed((index,), self.budget)
            put(container, index, value, origin)
        else:
            raise TypeError(f"can't set an item of {type(container).__name__}")

    def _changed(self, node: ast.AST) -> None:
        """A part of a variable was changed: an override of that part still holds."""
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        if not isinstance(node, ast.Name) or self._overrides is None or node.id not in self.names:
            return
        if self._overrides.has_root(node.id) and node.id not in self.imported:
            origin = self.names.__origins__[node.id]
            put(self.names, node.id, *self._overrides.substitute(node.id, self.names[node.id], origin))

    def _assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id == "_base_" for target in node.targets):
            return  # the reader has read the bases before it executes the file
        value = self.evaluate(node.value)
        for target in node.targets:
            origin = self.origin(node, node.value)
            for single, part in unpack(target, value, self.budget):
                self._store(single, part, origin)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._store(node.target, self.evaluate(node.value), self.origin(node, node.value))

    def _augmented(self, node: ast.AugAssign) -> None:
        target = node.target
        read: ast.expr
        if isinstance(target, ast.Name):
            read = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        elif isinstance(target, ast.Attribute):
            read = ast.copy_location(ast.Attribute(target.value, target.attr, ast.Load()), target)
        else:
            read = ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)
        old, value = self.evaluate(read), self.evaluate(node.value)
        result = operators.in_place(type(node.op), old, value, self.budget)
        if self._taint is not None and result is not old:
            result = self._taint.binary(result, ast.BinOp(read, node.op, node.value), old, value)
        self._store(target, result, self.origin(node, node.value))

    def _delete(self, node: ast.Delete) -> None:
        index: Any
        for target in node.targets:
            if isinstance(target, ast.Name):
                if target.id not in self.names:
                    raise NameError(f"name {target.id!r} is not defined{did_you_mean(target.id, self.names)}")
                self.names.pop(target.id)
                self.imported.pop(target.id, None)
                continue
            if isinstance(target, ast.Attribute):
                container, index = self.evaluate(target.value), target.attr
            elif isinstance(target, ast.Subscript):
                container, index = self.evaluate(target.value), self.evaluate(target.slice)
            else:
                raise Refused("this can't be deleted in a config")
            if isinstance(container, TracedDict):
                self.item(container, index)
                container.pop(index)
            elif isinstance(container, (ConfigDict, ConfigList)):
                del container[index]
            else:
                raise TypeError(f"can't delete from {type(container).__name__}")

    # -- flow -----------------------------------------------------------------------------------------

    def _expression(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        self.evaluate(node.value)
        if isinstance(node.value, ast.Call):
            self._changed(node.value.func)

    def _if(self, node: ast.If) -> None:
        self.execute(node.body if self.evaluate(node.test) else node.orelse)

    def _for(self, node: ast.For) -> None:
        items = pure_builtins.iterate(self.evaluate(node.iter))
        for item in items:
            self.budget.step()
            for target, part in unpack(node.target, item, self.budget):
                if not isinstance(target, ast.Name):
                    raise Refused("a loop binds plain names only")
                put(self.names, target.id, part, self.origin(node))
                self.assigned.discard(target.id)
            try:
                self.execute(node.body)
            except _Continue:
                continue
            except _Break:
                return
        self.execute(node.orelse)

    def _break(self, node: ast.Break) -> None:
        raise _Break

    def _continue(self, node: ast.Continue) -> None:
        raise _Continue

    def _pass(self, node: ast.Pass) -> None:
        """Nothing."""

    # -- imports --------------------------------------------------------------------------------------

    def _bind_import(self, name: str, dotted: str, line: int) -> None:
        lazy = LazyObject(dotted, None, f"{display_path(self.file.path)}:{line}")
        put(self.names, name, lazy, Origin(self.file.path, line, chain=self.file.chain))
        self.imported[name] = lazy

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname is not None:
                self._bind_import(alias.asname, alias.name, node.lineno)
            else:
                top = alias.name.partition(".")[0]
                self._bind_import(top, top, node.lineno)

    def _import_from(self, node: ast.ImportFrom) -> None:
        if node.module == "__future__":
            return
        if node.level or node.module is None:
            raise Refused("a relative import belongs into `with read_base():`")
        for alias in node.names:
            if alias.name == "*":
                raise Refused("`import *` belongs into `with read_base():`")
            if alias.name == "read_base" and node.module in _MARKER_HOMES:
                self._has_marker = True
                continue
            self._bind_import(alias.asname or alias.name, f"{node.module}.{alias.name}", node.lineno)

    def _with(self, node: ast.With) -> None:
        if not is_read_base(node):
            raise Refused("the only `with` of the config language is `with read_base():`")
        if not self._has_marker:
            raise NameError("read_base is not imported; write `from toolkit.config import read_base`")
        for statement in node.body:
            if isinstance(statement, ast.ImportFrom):
                self._import_base(statement)
            elif not isinstance(statement, ast.Pass):
                raise Refused("`with read_base():` holds `from ... import ...` statements only")

    def _import_base(self, node: ast.ImportFrom) -> None:
        if node.module is None:
            raise Refused("name the config file: `from .file import ...`")
        assert self._read_module is not None
        module = self._read_module(node.module, node.level, node.lineno)
        for alias in node.names:
            if alias.name == "*":
                names = {name: name for name in module.names}
            elif alias.name in module.names:
                names = {alias.name: alias.asname or alias.name}
            else:
                near = did_you_mean(alias.name, module.names)
                raise self.file.at(node.lineno, f"the base {node.module!r} has no {alias.name!r}{near}")
            for there, here in names.items():
                put(self.names, here, dict.__getitem__(module.names, there), module.names.__origins__[there])
                self.imported.pop(here, None)
                self.assigned.discard(here)
                if there in module.imported:
                    self.imported[here] = module.imported[there]


def is_read_base(node: ast.stmt) -> bool:
    """Whether `node` is ``with read_base():``."""
    if not isinstance(node, ast.With) or len(node.items) != 1 or node.items[0].optional_vars is not None:
        return False
    call = node.items[0].context_expr
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "read_base"
        and not call.args
        and not call.keywords
    )


_STATEMENTS: dict[type[ast.stmt], Callable[[StatementEvaluator, Any], None]] = {
    ast.Assign: StatementEvaluator._assign,
    ast.AnnAssign: StatementEvaluator._annotated,
    ast.AugAssign: StatementEvaluator._augmented,
    ast.Delete: StatementEvaluator._delete,
    ast.Expr: StatementEvaluator._expression,
    ast.If: StatementEvaluator._if,
    ast.For: StatementEvaluator._for,
    ast.Break: StatementEvaluator._break,
    ast.Continue: StatementEvaluator._continue,
    ast.Pass: StatementEvaluator._pass,
    ast.Import: StatementEvaluator._import,
    ast.ImportFrom: StatementEvaluator._import_from,
    ast.With: StatementEvaluator._with,
}
