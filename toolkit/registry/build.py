"""Building objects from config dicts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from toolkit.registry.allowed import load_string
from toolkit.registry.arguments import accepted_by
from toolkit.registry.lookup import Found, elsewhere, known_names
from toolkit.registry.origins import lazy_path, place_of, resolve_lazy
from toolkit.utils import BuildError, nearest

if TYPE_CHECKING:
    from toolkit.registry.registry import Registry


def build_from_cfg(
    cfg: Mapping[str, Any], registry: Registry, default_args: Mapping[str, Any] | None = None
) -> Any:
    """Build the object that a config dict describes.

    Args:
        cfg: ``type`` (a registered or scoped name, a class, a function, or a dotted path inside an allowed
            package) and the arguments of its constructor. ``_scope_`` sets the default scope while building.
            It is not changed.
        registry: Where the name is looked up.
        default_args: Arguments for what `cfg` leaves out.

    Returns:
        What the constructor (or function) returns.

    Raises:
        TypeError: `cfg` is not a dict.
        BuildError: There is no such name, or the arguments do not fit.
    """
    args, target, place = _prepare(cfg, registry, default_args)
    with registry.switch_scope_and_registry(args.pop("_scope_", None)):
        return _call(target, target, args, cfg, place)


def _prepare(
    cfg: Mapping[str, Any], registry: Registry, default_args: Mapping[str, Any] | None
) -> tuple[dict[str, Any], Callable[..., Any], str]:
    _check_input(cfg, registry, default_args)
    args = {**(default_args or {}), **cfg}
    kind = args.pop("type")
    place = place_of(cfg, "type")
    with registry.switch_scope_and_registry(args.get("_scope_")) as current:
        target = resolve_type(kind, current, place)
    return args, target, place


def _check_input(cfg: Any, registry: Any, default_args: Any) -> None:
    if not isinstance(cfg, Mapping):
        raise TypeError(f"cfg must be a dict with a 'type', got {type(cfg).__name__}: {cfg!r}")
    if not (default_args is None or isinstance(default_args, Mapping)):
        raise TypeError(f"default_args must be a dict or None, got {default_args!r}")
    if "type" not in cfg and "type" not in (default_args or {}):
        key = next(iter(cfg), None)
        place = place_of(cfg, key) if key is not None else ""
        raise BuildError(
            f"{place}a {registry.name} needs a 'type'; got {', '.join(map(str, cfg)) or 'an empty dict'}"
        )


def resolve_type(kind: Any, registry: Registry, place: str = "") -> Callable[..., Any]:
    """The class or function that a ``type`` stands for.

    Args:
        kind: A name, a class, a function or a lazy reference of a config.
        registry: Where names are looked up, and what kind dotted paths must be of.
        place: Where the value came from, for messages, such as ``configs/x.py:12: ``.

    Raises:
        BuildError: There is none, or it is of another kind.
    """
    path = lazy_path(kind)
    if path is not None:
        kind = path
    if isinstance(kind, str):
        try:
            found = registry.find(kind)
        except BuildError as error:
            raise BuildError(f"{place}{error}") from error.__cause__
        if found.value is None:
            raise BuildError(place + unknown_name(kind, registry, found))
        return found.value  # type: ignore[no-any-return]
    if callable(kind):
        return kind  # type: ignore[no-any-return]
    raise BuildError(
        f"{place}type must be a name, a class or a function, got {type(kind).__name__}: {kind!r}"
    )


def unknown_name(name: str, registry: Registry, found: Found) -> str:
    """The message for a name that no registry holds."""
    searched = ", ".join(found.scopes) or "none"
    message = f"no {registry.name} is called {name!r} (searched scopes: {searched})"
    scope, _, last = name.rpartition(".")
    guess = nearest(last, known_names(found.searched))
    others = elsewhere(registry, last, found)
    if others:
        message += f"; did you mean {' or '.join(map(repr, others))}?"
    elif guess is not None:
        message += f"; did you mean {f'{scope}.{guess}' if scope else guess!r}?"
    else:
        message += "."
    return f"{message} One of your own is found if custom_imports=dict(imports=[...]) names its module"


def _call(
    target: Callable[..., Any],
    maker: Callable[..., Any],
    args: dict[str, Any],
    cfg: Mapping[str, Any],
    place: str,
) -> Any:
    args = {key: resolve_lazy(value) for key, value in args.items()}
    check_arguments(target, args, cfg, maker)
    try:
        return maker(**args)
    except Exception as error:
        _note(error, f"{place}while building {_name(target)}")
        raise


def check_arguments(
    target: Callable[..., Any], args: Mapping[str, Any], cfg: Mapping[str, Any], maker: Any = None
) -> None:
    """Raise `BuildError` where a call with these arguments would not fit the signature.

    Args:
        target: The class or function, for the message.
        args: The arguments by name.
        cfg: The config they come from, for its origins.
        maker: What is called, where it is not `target` itself.
    """
    accepted = accepted_by(target if maker is None else maker)
    problems = accepted.problems(args)
    if not problems:
        return
    place = place_of(cfg, problems[0][0]) or place_of(cfg, "type")
    said = ", ".join(sentence for _, sentence in problems)
    end = "" if said.endswith("?") else "."
    raise BuildError(f"{place}{_name(target)} {said}{end} It takes: {accepted.describe()}")


def _name(target: Any) -> str:
    return str(getattr(target, "__name__", target))


def _note(error: BaseException, text: str) -> None:
    if sys.version_info >= (3, 11):
        error.add_note(text)
    elif error.__cause__ is None:
        error.__cause__ = BuildError(text)


def build_model_from_cfg(
    cfg: Mapping[str, Any] | list[Any], registry: Registry, default_args: Mapping[str, Any] | None = None
) -> Any:
    """Build a model; a list of configs makes a `Sequential` of them."""
    if isinstance(cfg, list):
        return load_string("toolkit.model:Sequential")(
            *(build_from_cfg(one, registry, default_args) for one in cfg)
        )
    return build_from_cfg(cfg, registry, default_args)


def build_runner_from_cfg(
    cfg: Mapping[str, Any], registry: Registry, default_args: Mapping[str, Any] | None = None
) -> Any:
    """Build a Runner from a whole config.

    Args:
        cfg: ``runner_type`` names the class, `Runner` by default, whose ``from_cfg`` is called. Or
            ``constructor`` names a class under RUNNER_CONSTRUCTORS, which is made of ``runner_cfg`` (without
            that key) and ``default_args`` and then called, and makes the runner.
        registry: Where the class is looked up.
        default_args: Further arguments of ``from_cfg``.
    """
    with registry.switch_scope_and_registry(cfg.get("_scope_")) as current:
        if cfg.get("constructor") is None:
            runner: Any = resolve_type(
                cfg.get("runner_type", "Runner"), current, place_of(cfg, "runner_type")
            )
            return runner.from_cfg(cfg, **(default_args or {}))
        constructors: Registry = load_string("toolkit.registry.root:RUNNER_CONSTRUCTORS")
        kind: Any = resolve_type(cfg["constructor"], constructors, place_of(cfg, "constructor"))
        rest: Any = copy(cfg)
        del rest["constructor"]
        return kind(rest, default_args)()


def build_scheduler_from_cfg(
    cfg: Mapping[str, Any], registry: Registry, default_args: Mapping[str, Any] | None = None
) -> Any:
    """Build a parameter scheduler.

    With ``convert_to_iter_based=True``, intervals given in epochs are turned into iterations;
    ``epoch_length`` must be in `cfg` or `default_args` then.
    """
    args, target, place = _prepare(cfg, registry, default_args)
    convert = args.pop("convert_to_iter_based", False)
    with registry.switch_scope_and_registry(args.pop("_scope_", None)):
        if not convert:
            args.pop("epoch_length", None)
            return _call(target, target, args, cfg, place)
        if "epoch_length" not in args:
            raise BuildError(f"{place}convert_to_iter_based=True needs epoch_length, iterations in an epoch")
        maker = target.build_iter_from_epoch  # type: ignore[attr-defined]
        return _call(target, maker, args, cfg, place)
