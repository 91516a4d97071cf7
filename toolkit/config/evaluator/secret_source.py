"""What a config computes from the environment, kept as source (see `toolkit.config.secrets`)."""

from __future__ import annotations

import ast
from typing import Any

from toolkit.config.literals import inline
from toolkit.config.secrets import EnvStr, is_marked, mark, propagate, template_of
from toolkit.config.templates import Template, TemplateTable

_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitOr: "|",
    ast.BitAnd: "&",
    ast.BitXor: "^",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Invert: "~",
}


def _concatenated(result: str, parts: list[Any]) -> str | None:
    """`result`, the parts side by side, as an `EnvStr` with a template; None where one has none."""
    templates = [template_of(part) for part in parts]
    if any(template is None for template in templates):
        return None
    return EnvStr(result, None, "".join(template or "" for template in templates))


class Tainting:
    """Marks the results of operations on values from the environment."""

    @staticmethod
    def read(value: Any, template: Template) -> Any:
        """`value`, which stands in the place of an environment template."""
        return mark(value, TemplateTable.reference(template), TemplateTable.reference(template))

    @staticmethod
    def binary(result: Any, node: ast.BinOp, left: Any, right: Any) -> Any:
        """The result of an operator."""
        if not is_marked(left) and not is_marked(right):
            return result
        if isinstance(result, str) and isinstance(node.op, ast.Add):
            joined = _concatenated(result, [left, right])
            if joined is not None:
                return joined
        symbol = _SYMBOLS[type(node.op)]
        return propagate(result, (left, right), lambda: f"({inline(left)} {symbol} {inline(right)})")

    @staticmethod
    def unary(result: Any, node: ast.UnaryOp, value: Any) -> Any:
        """The result of a sign."""
        return propagate(result, (value,), lambda: f"({_SYMBOLS[type(node.op)]}{inline(value)})")

    @staticmethod
    def subscript(result: Any, value: Any, index: Any) -> Any:
        """An item of a value; items of containers carry their own marks."""
        if not isinstance(value, str):
            return result
        if isinstance(index, slice):
            bounds = [index.start, index.stop] + ([index.step] if index.step is not None else [])
            shown = ":".join("" if bound is None else inline(bound) for bound in bounds)
        else:
            shown = inline(index)
        return propagate(result, (value,), lambda: f"{inline(value)}[{shown}]")

    @staticmethod
    def call(result: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The result of a builtin. What it picks out of its arguments is marked already."""
        if name in {"str", "int", "float", "round", "abs", "sum"} and args:
            if name == "str" and len(args) == 1 and is_marked(args[0]):
                joined = _concatenated(result, args)
                if joined is not None:
                    return joined
            operands = (*args, *kwargs.values())
            return propagate(result, operands, lambda: f"{name}({_arguments(args, kwargs)})")
        return result

    @staticmethod
    def method(result: Any, receiver: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The result of a method; only those of strings make new values."""
        if not isinstance(receiver, str):
            return result
        operands = (receiver, *args, *kwargs.values())
        if name == "join" and len(args) == 1 and any(is_marked(operand) for operand in operands):
            parts = [part for item in args[0] for part in (receiver, item)][1:]
            joined = _concatenated(result, parts)
            if joined is not None:
                return joined
        return propagate(result, operands, lambda: f"{inline(receiver)}.{name}({_arguments(args, kwargs)})")

    @staticmethod
    def formatted(text: str, value: Any, spec: str, conversion: str | None) -> str:
        """One field of an f-string."""
        if not is_marked(value):
            return text
        if not spec and conversion in (None, "s") and template_of(value) is not None:
            return EnvStr(text, None, template_of(value))
        field = (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        return EnvStr(text, f"{'{' + field + '}'!r}.format({inline(value)})")

    @staticmethod
    def joined(parts: list[str]) -> str:
        """An f-string of its parts."""
        text = "".join(parts)
        if not any(isinstance(part, EnvStr) for part in parts):
            return text
        return _concatenated(text, parts) or EnvStr(text, f"({' + '.join(inline(part) for part in parts)})")


def _arguments(args: list[Any], kwargs: dict[str, Any]) -> str:
    shown = [inline(arg) for arg in args] + [f"{name}={inline(value)}" for name, value in kwargs.items()]
    return ", ".join(shown)
