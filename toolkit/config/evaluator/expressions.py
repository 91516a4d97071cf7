"""Config expressions, evaluated from their syntax tree."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from typing import Any

from toolkit.config.config_dict import ConfigDict, TracedDict
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator import methods, operators, pure_builtins
from toolkit.config.evaluator.comprehensions import Comprehensions
from toolkit.config.evaluator.failure import FileContext
from toolkit.config.evaluator.formatting import format_value
from toolkit.config.evaluator.limits import Budget, Refused, refuse_import
from toolkit.config.evaluator.reads import BASE, direct_reads
from toolkit.config.evaluator.secret_source import Tainting
from toolkit.config.lazy import LazyObject
from toolkit.config.origin import NOTHING_READ, Origin, Read, read_in
from toolkit.config.templates import Template
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

_UNSET = object()
_MODULE_NAMES = ("__file__", "__name__")


class ExpressionEvaluator(Comprehensions):
    """Evaluates expressions over a scope of names.

    Args:
        file: the file that the syntax tree is of.
        names: the top-level names of the file; assignments change it.
        base: the merged bases, which ``_base_`` stands for.
        budget: the work and memory left.
    """

    def __init__(self, file: FileContext, names: TracedDict, base: ConfigDict | None, budget: Budget) -> None:
        self.file = file
        self.names = names
        self.base = base
        self.budget = budget
        self._locals: list[dict[str, Any]] = []
        self._taint = Tainting() if file.templates.has_env else None

    def evaluate(self, node: ast.expr) -> Any:
        """The value of an expression.

        Raises:
            ConfigError: with file, line and the construct, if it can't be evaluated.
        """
        self.budget.steps_left -= 1
        handler = _HANDLERS.get(type(node))
        try:
            if self.budget.steps_left < 0:
                self.budget.step()
            if handler is None:
                raise Refused(f"{_describe(node)} is not part of the config language")
            return handler(self, node)
        except ConfigError:
            raise
        except Exception as error:
            raise self.file.failure(node, error) from error

    def origin(self, node: ast.AST, value: ast.expr | None = None) -> Origin:
        """The origin of what is written at `node`, with what `value` is computed from."""
        reads = self._reads(value) if value is not None else NOTHING_READ
        return Origin(self.file.path, getattr(node, "lineno", None), chain=self.file.chain, reads=reads)

    def _reads(self, value: ast.expr) -> frozenset[Read]:
        found = set()
        for chain in direct_reads(value, self.file.templates.base_keys):
            if chain[0] == BASE and self.base is not None:
                found.add(read_in(self.base, chain[1:]))
            elif chain[0] in self.names:
                found.add(read_in(self.names, chain))
        return frozenset(read for read in found if read is not None)

    def base_value(self, template: Template) -> Any:
        """What ``{{ _base_.a.b }}`` stands for."""
        found: Any = self.base if self.base is not None else ConfigDict()
        for part in template.name.split("."):
            if isinstance(found, (list, tuple)) and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict) and part in found:
                found = found[part]
            else:
                keys = [str(key) for key in found] if isinstance(found, dict) else []
                raise self.file.at(
                    template.line, f"the bases have no {template.name!r}{did_you_mean(part, keys)}"
                )
        return found

    def template_reads(self, text: str) -> frozenset[Read]:
        """What the templates in `text` read of the bases."""
        found = {read_in(self.base, tuple(key.split("."))) for key in self.file.templates.base_keys(text)}
        return frozenset(read for read in found if read is not None)

    # -- leaves ---------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        if isinstance(value, str) and self.file.templates.inside(value):
            return self.file.templates.fill(value, self.base_value)
        return value

    def _name(self, node: ast.Name) -> Any:
        name = node.id
        for scope in reversed(self._locals):
            if name in scope:
                return scope[name]
        found = dict.get(self.names, name, _UNSET)
        if found is not _UNSET:
            return found
        if name == "_base_" and self.base is not None:
            return self.base
        if name in pure_builtins.BUILTINS:
            return pure_builtins.BUILTINS[name]
        template = self.file.templates.alone(name)
        if template is not None:
            return self._template(template)
        if name in _MODULE_NAMES:
            return self.file.path if name == "__file__" else "__config__"
        if hasattr(builtins, name):
            raise Refused(f"the builtin {name!r} is not part of the config language")
        known = [*self.names, *pure_builtins.BUILTINS]
        raise NameError(f"name {name!r} is not defined{did_you_mean(name, known)}")

    def _template(self, template: Template) -> Any:
        """A template that stands alone, in the place of a value."""
        if template.kind == "base":
            return self.base_value(template)
        text = self.file.templates.text_of(template)
        if template.kind == "predefined":
            return text
        assert self._taint is not None
        try:
            tree = ast.parse(text, mode="eval")
        except SyntaxError:
            raise ValueError(f"the value for {template.text} is no Python value; put it in quotes") from None
        for inner in ast.walk(tree):
            if hasattr(inner, "lineno"):
                inner.lineno = template.line
        return self._taint.read(self.evaluate(tree.body), template)

    # -- displays -------------------------------------------------------------------------------------

    def _items(self, nodes: list[ast.expr]) -> Iterator[tuple[Any, Origin | None, ast.expr]]:
        """The items of a display or a call, with starred ones spread, and the origins those bring."""
        for node in nodes:
            if isinstance(node, ast.Starred):
                spread = self.evaluate(node.value)
                origins = spread.__origins__ if isinstance(spread, ConfigList) else None
                for index, item in enumerate(pure_builtins.materialize(spread, self.budget)):
                    yield item, origins[index] if origins else None, node
            else:
                yield self.evaluate(node), None, node

    def _list(self, node: ast.List) -> Any:
        items: list[Any] = []
        origins: list[Origin] = []
        for item, origin, written in self._items(node.elts):
            items.append(item)
            origins.append(origin or self.origin(written, written))
        self.budget.items(len(items))
        return ConfigList(items, origins)

    def _tuple(self, node: ast.Tuple) -> Any:
        items = tuple([item for item, _, _ in self._items(node.elts)])
        self.budget.items(len(items))
        return items

    def _set(self, node: ast.Set) -> Any:
        items = [item for item, _, _ in self._items(node.elts)]
        pure_builtins.hashed(items, self.budget)
        self.budget.items(len(items))
        return set(items)

    def _dict(self, node: ast.Dict) -> Any:
        made = TracedDict()
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            if key_node is None:
                self._spread(made, self.evaluate(value_node))
                continue
            key = self.evaluate(key_node)
            pure_builtins.hashed((key,), self.budget)
            dict.__setitem__(made, key, self.evaluate(value_node))
            made.__origins__[key] = self.origin(key_node, value_node)
        self.budget.items(len(made))
        return made

    def _spread(self, target: TracedDict, value: Any) -> None:
        if not isinstance(value, dict):
            raise TypeError(f"can't spread {value!r} with **")
        self.budget.items(len(value))
        target |= value if isinstance(value, TracedDict) else TracedDict(value)

    # -- operators ------------------------------------------------------------------------------------

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        result = operators.binary(type(node.op), left, right, self.budget)
        return self._taint.binary(result, node, left, right) if self._taint else result

    def _unary(self, node: ast.UnaryOp) -> Any:
        value = self.evaluate(node.operand)
        result = operators.unary(type(node.op), value)
        return self._taint.unary(result, node, value) if self._taint else result

    def _boolean(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for operand in node.values:
            value = self.evaluate(operand)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _compare(self, node: ast.Compare) -> Any:
        left = self.evaluate(node.left)
        result: Any = True
        for kind, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(right_node)
            result = operators.compare(type(kind), left, right, self.budget)
            if not result:
                break
            left = right
        return result

    def _conditional(self, node: ast.IfExp) -> Any:
        return self.evaluate(node.body if self.evaluate(node.test) else node.orelse)

    # -- access ---------------------------------------------------------------------------------------

    def _attribute(self, node: ast.Attribute) -> Any:
        return self.attribute(self.evaluate(node.value), node.attr)

    def attribute(self, value: Any, name: str) -> Any:
        """``value.name``, for the values whose attributes are config values."""
        if name.startswith("__"):
            raise Refused("names with two underscores are out of reach")
        if isinstance(value, LazyObject):
            return LazyObject(value.dotted, name, value.location)
        if isinstance(value, ConfigDict):
            if hasattr(ConfigDict, name):
                raise Refused(f"{name!r} is a method of a config dict; read the key as [{name!r}]")
            return value[name]
        if isinstance(value, dict) and name in value:
            raise Refused(f"a dict of this file has no attributes; read the key as [{name!r}]")
        raise Refused(f"attribute {name!r} of {type(value).__name__} is out of reach")

    def _subscript(self, node: ast.Subscript) -> Any:
        value, index = self.evaluate(node.value), self.evaluate(node.slice)
        result = self.item(value, index)
        return self._taint.subscript(result, value, index) if self._taint else result

    def item(self, value: Any, index: Any) -> Any:
        """``value[index]``."""
        if isinstance(value, (str, bytes, list, tuple, range)):
            if isinstance(index, slice):
                self.budget.items(len(value))
            return value[index]
        if not isinstance(value, dict):
            refuse_import(value)
            raise TypeError(f"can't index {value!r}")
        pure_builtins.hashed((index,), self.budget)
        if index not in value:
            raise LookupError(f"no key {index!r}{did_you_mean(str(index), [str(key) for key in value])}")
        return value[index]

    def _slice(self, node: ast.Slice) -> Any:
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if part is None else self.evaluate(part) for part in parts))

    # -- calls ----------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute):
            receiver = self.evaluate(node.func.value)
            if not isinstance(receiver, LazyObject) and node.func.attr in methods.allowed(receiver):
                return self._call_method(node, receiver, node.func.attr)
            function = self._function_in(receiver, node.func.attr)
        else:
            function = self.evaluate(node.func)
        if not pure_builtins.is_pure(function):
            raise Refused("only the pure builtins and the methods of str, list and dict can be called")
        args = [item for item, _, _ in self._items(node.args)]
        if function is dict:
            return self._call_dict(node, args)
        kwargs = self._keywords(node.keywords)
        result = pure_builtins.call(function, args, kwargs, self.budget)
        if self._taint and function is not list and not isinstance(function, LazyObject):
            return self._taint.call(result, function.__name__, args, kwargs)
        return result

    def _function_in(self, receiver: Any, name: str) -> Any:
        if isinstance(receiver, LazyObject):
            function = self.attribute(receiver, name)
            if pure_builtins.is_pure(function):
                return function
            raise Refused(f"{receiver.dotted}.{name} comes from an import, and nothing imported is run")
        known = sorted(methods.allowed(receiver))
        if known and not (isinstance(receiver, ConfigDict) and name in receiver):
            raise Refused(f"{type(receiver).__name__}.{name} can't be called here{did_you_mean(name, known)}")
        return self.attribute(receiver, name)

    def _keywords(self, nodes: list[ast.keyword]) -> dict[str, Any]:
        kwargs: dict[str, Any] = {}
        for keyword in nodes:
            value = self.evaluate(keyword.value)
            kwargs.update({keyword.arg: value} if keyword.arg is not None else value)
        return kwargs

    def _call_dict(self, node: ast.Call, args: list[Any]) -> Any:
        made = pure_builtins.make_dict(args, self.budget)
        for key in made if args else ():
            made.__origins__.setdefault(key, self.origin(node))
        for keyword in node.keywords:
            value = self.evaluate(keyword.value)
            if keyword.arg is None:
                self._spread(made, value)
            else:
                dict.__setitem__(made, keyword.arg, value)
                made.__origins__[keyword.arg] = self.origin(keyword, keyword.value)
        self.budget.items(len(made))
        return made

    def _call_method(self, node: ast.Call, receiver: Any, name: str) -> Any:
        args = [item for item, _, _ in self._items(node.args)]
        kwargs = self._keywords(node.keywords)
        result = methods.call_method(receiver, name, args, kwargs, self.budget, self.origin(node, node))
        return self._taint.method(result, receiver, name, args, kwargs) if self._taint else result

    # -- strings --------------------------------------------------------------------------------------

    def _joined(self, node: ast.JoinedStr) -> Any:
        parts = [self.evaluate(part) for part in node.values]
        self.budget.grow(sum(len(part) for part in parts))
        return self._taint.joined(parts) if self._taint else "".join(parts)

    def _formatted(self, node: ast.FormattedValue) -> Any:
        value = self.evaluate(node.value)
        spec = self.evaluate(node.format_spec) if node.format_spec is not None else ""
        conversion = chr(node.conversion) if node.conversion > 0 else None
        text = format_value(value, spec, conversion, self.budget)
        return self._taint.formatted(text, value, spec, conversion) if self._taint else text


def _describe(node: ast.AST) -> str:
    names = {"NamedExpr": "the operator :=", "GeneratorExp": "a generator"}
    return names.get(type(node).__name__, f"'{type(node).__name__.lower()}'")


_HANDLERS: dict[type[ast.expr], Callable[[ExpressionEvaluator, Any], Any]] = {
    ast.Constant: ExpressionEvaluator._constant,
    ast.Name: ExpressionEvaluator._name,
    ast.List: ExpressionEvaluator._list,
    ast.Tuple: ExpressionEvaluator._tuple,
    ast.Set: ExpressionEvaluator._set,
    ast.Dict: ExpressionEvaluator._dict,
    ast.BinOp: ExpressionEvaluator._binary,
    ast.UnaryOp: ExpressionEvaluator._unary,
    ast.BoolOp: ExpressionEvaluator._boolean,
    ast.Compare: ExpressionEvaluator._compare,
    ast.IfExp: ExpressionEvaluator._conditional,
    ast.Attribute: ExpressionEvaluator._attribute,
    ast.Subscript: ExpressionEvaluator._subscript,
    ast.Slice: ExpressionEvaluator._slice,
    ast.Call: ExpressionEvaluator._call,
    ast.JoinedStr: ExpressionEvaluator._joined,
    ast.FormattedValue: ExpressionEvaluator._formatted,
    ast.ListComp: ExpressionEvaluator._list_comprehension,
    ast.GeneratorExp: ExpressionEvaluator._list_comprehension,
    ast.SetComp: ExpressionEvaluator._set_comprehension,
    ast.DictComp: ExpressionEvaluator._dict_comprehension,
}
