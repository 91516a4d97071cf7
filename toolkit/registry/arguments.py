"""Which keyword arguments a class takes, found out without calling it.

`**kwargs` is followed: where a constructor hands it on to `super().__init__(**kwargs)` and does nothing else
with it, the parent's arguments are accepted and no others, so that a typo on a subclass is still caught.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.utils import nearest

_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Accepted:
    """Keyword arguments of a callable.

    Attributes:
        names: All that it names, in order.
        required: Those of them without a default.
        is_open: Whether it accepts names that it does not list.
    """

    names: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    is_open: bool = False

    def problems(self, given: Iterable[str], supplied: Iterable[str] = ()) -> list[tuple[str, str]]:
        """What is wrong with a set of argument names.

        Args:
            given: Names in the config.
            supplied: Names that the caller gives at build time; they are not demanded.

        Returns:
            Pairs of the argument and a sentence without its subject: ``got 'dpeth'; did you mean 'depth'?``
        """
        given = list(given)
        found = []
        here = {*given, *supplied}
        for name in given if not self.is_open else ():
            if name not in self.names:
                guess = nearest(name, self.names)
                found.append((name, f"got {name!r}" + (f"; did you mean {guess!r}?" if guess else "")))
                here.update((guess,) if guess else ())  # one mistake, not two
        found += [(name, f"needs {name!r}") for name in self.required if name not in here]
        return found

    def describe(self) -> str:
        """The arguments as a list, for a message."""
        shown = ", ".join(f"{name} (required)" if name in self.required else name for name in self.names)
        return (shown + ", …" if shown else "anything") if self.is_open else (shown or "no arguments")


@functools.lru_cache(maxsize=4096)
def accepted_by(target: Callable[..., Any]) -> Accepted:
    """The keyword arguments of a class or function.

    A callable whose signature can't be read (some are written in C) accepts everything.
    """
    if inspect.isclass(target):
        return _of_class(target)
    return _of_function(target, skip_self=False)


def _of_class(cls: type[Any]) -> Accepted:
    parents = cls.__mro__[:-1]
    if not any("__init__" in vars(one) for one in parents):
        maker = next((vars(one)["__new__"] for one in parents if "__new__" in vars(one)), None)
        if maker is not None:
            return _of_function(cls.__new__, skip_self=True)
    return _of_init(cls.__mro__)


def _of_init(mro: tuple[type[Any], ...]) -> Accepted:
    """Arguments of the first `__init__` along `mro`, with those of the ones it hands `**kwargs` to."""
    for index, owner in enumerate(mro):
        if owner is object or _is_torch_module(owner):
            return Accepted()
        init = vars(owner).get("__init__")
        if init is None:
            continue
        own = _of_function(init, skip_self=True)
        if not own.is_open:
            return own
        flow = _kwargs_flow(init)
        if flow is None:
            return own
        return _merge(own, flow, _of_init(mro[index + 1 :]) if flow.to_parent else Accepted())
    return Accepted()


def _is_torch_module(owner: type[Any]) -> bool:
    # nn.Module's own constructor takes *args and **kwargs only to refuse them.
    return owner.__name__ == "Module" and owner.__module__ == "torch.nn.modules.module"


def _merge(own: Accepted, flow: _Flow, parent: Accepted) -> Accepted:
    taken = {*flow.fixed, *parent.names[: flow.positional]}
    theirs = [name for name in parent.names if name not in taken and name not in own.names]
    popped = [name for name in flow.popped if name not in own.names]
    required = [name for name in parent.required if name in theirs and name not in popped]
    names = (*own.names, *popped, *(name for name in theirs if name not in popped))
    return Accepted(names, (*own.required, *required), parent.is_open)


def _of_function(function: Callable[..., Any], skip_self: bool) -> Accepted:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Accepted(is_open=True)
    if skip_self:
        parameters = parameters[1:]
    named = [one for one in parameters if one.kind in _KEYWORD]
    return Accepted(
        names=tuple(one.name for one in named),
        required=tuple(one.name for one in named if one.default is one.empty),
        is_open=any(one.kind is one.VAR_KEYWORD for one in parameters),
    )


@dataclass(frozen=True)
class _Flow:
    """What a constructor does with its `**kwargs`: names it pops, and what it hands to its parent."""

    popped: tuple[str, ...] = ()
    to_parent: bool = False
    fixed: tuple[str, ...] = ()  # keywords that the call to the parent sets itself
    positional: int = 0  # how many arguments it passes by place


def _kwargs_flow(init: Callable[..., Any]) -> _Flow | None:
    """How `**kwargs` is used; None where it is used in a way that tells nothing about its names."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(tree, ast.FunctionDef) or tree.args.kwarg is None:
        return None
    name = tree.args.kwarg.arg
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    popped, calls, understood = [], [], 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (key := _popped_key(node, name)) is not None:
            popped.append(key)
            understood += 1
        elif isinstance(node, ast.Call) and _is_super_init(node) and _unpacks(node, name):
            calls.append(node)
            understood += 1
    if understood != len(uses) or len(calls) > 1:
        return None
    if not calls:
        return _Flow(tuple(popped))
    call = calls[0]
    by_place = [one for one in call.args if not _is_star_of(one, tree.args.vararg)]
    if any(isinstance(argument, ast.Starred) for argument in by_place):
        return None
    fixed = tuple(keyword.arg for keyword in call.keywords if keyword.arg is not None)
    return _Flow(tuple(popped), True, fixed, len(by_place))


def _is_star_of(argument: ast.expr, vararg: ast.arg | None) -> bool:
    """Whether an argument is the constructor's own ``*args``, which a config leaves empty."""
    return (
        isinstance(argument, ast.Starred)
        and isinstance(argument.value, ast.Name)
        and vararg is not None
        and argument.value.id == vararg.arg
    )


def _popped_key(call: ast.Call, kwargs: str) -> str | None:
    """The key of ``kwargs.pop("key", …)``, ``kwargs.get("key")`` or ``kwargs.setdefault("key", …)``."""
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr in ("pop", "get", "setdefault")):
        return None
    if not (isinstance(function.value, ast.Name) and function.value.id == kwargs and call.args):
        return None
    key = call.args[0]
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _is_super_init(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "__init__"
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "super"
    )


def _unpacks(call: ast.Call, kwargs: str) -> bool:
    return any(
        keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == kwargs
        for keyword in call.keywords
    )


def argument_problems(
    target: Callable[..., Any], given: Mapping[str, Any] | Iterable[str], supplied: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Pairs of an argument and what is wrong with it; empty where `target` can be called with them."""
    return accepted_by(target).problems(list(given), supplied)
