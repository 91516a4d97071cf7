"""Parts of a model, chosen by name or pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from toolkit.utils import ConfigError, did_you_mean


def chosen_modules(
    model: nn.Module, patterns: Sequence[str] | str, option: str
) -> list[tuple[str, nn.Module]]:
    """The modules of a model whose names fit one of the patterns, each once, outer ones first.

    Args:
        model: The model.
        patterns: A name or pattern (``*`` stands for any text), or several.
        option: What the patterns are for, for messages.

    Raises:
        ConfigError: One fits nothing, or they are no names.
    """
    several = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(several, list | tuple) or not all(isinstance(one, str) for one in several):
        raise ConfigError(
            f"{option} must be a list of names of modules, such as ['backbone']; got {patterns!r}"
        )
    named = {name: module for name, module in model.named_modules() if name}
    for pattern in several:
        if not any(fnmatchcase(name, pattern) for name in named):
            tops = sorted({name.partition(".")[0] for name in named})
            raise ConfigError(
                f"{option}: no module of {type(model).__name__} is called {pattern!r}"
                f"{did_you_mean(pattern.rstrip('.*'), named)} Its parts are: {', '.join(tops)}"
            )
    return [
        (name, module)
        for name, module in named.items()
        if any(fnmatchcase(name, pattern) for pattern in several)
    ]
