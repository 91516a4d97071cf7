"""Parts of a model that don't train."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial

from torch import nn

from toolkit.utils import ConfigError, did_you_mean
from toolkit.utils.dl_utils import is_norm


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Keep parameters from training, and the normalisation layers that hold them in eval mode.

    The normalisation layers stay in eval mode whatever ``model.train()`` asks for, so that their running
    statistics stay too.

    Args:
        model: The model; changed in place.
        patterns: Names of parameters or modules, with ``*`` for any text: ``'backbone.*'``, ``'*.bias'``,
            ``'neck'``.

    Raises:
        ConfigError: A pattern fits nothing, or `patterns` is no list.
    """
    if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ConfigError(f"freeze must be a list of patterns, such as ['backbone.*']; got {patterns!r}")
    params = dict(model.named_parameters())
    for pattern in patterns:
        chosen = [name for name in params if _fits(name, pattern)]
        if not chosen:
            tops = {name.partition(".")[0] for name in params}
            known = sorted({name.rpartition(".")[0] for name in params} | set(params) | tops)
            raise ConfigError(
                f"freeze: no parameter of {type(model).__name__} fits {pattern!r}"
                f"{did_you_mean(pattern.rstrip('.*'), known)}; its parts are {', '.join(sorted(tops))}"
            )
        for name in chosen:
            params[name].requires_grad_(False)
    for name, module in model.named_modules():
        own = [f"{name}.{key}" if name else key for key, _ in module.named_parameters(recurse=False)]
        own = own or [f"{name}.weight"]
        if is_norm(module) and all(any(_fits(key, p) for p in patterns) for key in own):
            module.eval()
            # On the instance: `train` of the module above calls this in place of the class's.
            module.train = partial(_stay, module)  # type: ignore[method-assign, assignment]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    """In place of ``train(mode)``."""
    del mode
    return module


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern is a parameter's name, or that of a module around it."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def trainable_table(model: nn.Module) -> str:
    """A table of how many parameters train, a line for each of the model's parts and one for all."""
    counts: dict[str, list[int]] = {}
    for name, param in model.named_parameters():
        count = counts.setdefault(name.partition(".")[0], [0, 0])
        count[0] += param.numel() if param.requires_grad else 0
        count[1] += param.numel()
    counts["all"] = [sum(count[place] for count in counts.values()) for place in (0, 1)]
    width = max(map(len, counts))
    lines = [f"{'part':<{width}}  {'trainable':>14}  {'parameters':>14}"]
    lines += [f"{part:<{width}}  {trains:>14,}  {total:>14,}" for part, (trains, total) in counts.items()]
    return "\n".join(lines)
