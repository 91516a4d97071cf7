"""Loading weights into a model, and saying what fits and what doesn't."""

from __future__ import annotations

import logging
import os
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.dist import shard_like, whole
from toolkit.fileio.checkpoint import read_checkpoint, weights_of
from toolkit.logging import print_log
from toolkit.model import is_model_wrapper
from toolkit.runner.checkpoint.upgrading import upgraded, without_old_averages
from toolkit.utils.errors import CheckpointError

_SHOWN = 20
# Buffers that older versions didn't save, and that nothing is computed from.
_OPTIONAL = re.compile(r"(^|\.)num_batches_tracked$")
# A checkpoint of the same model with, say, another number of classes fits nearly everywhere, a part of the
# model fits wholly, and so does the checkpoint of a larger one. Where more than half of both sides is left
# over it is a mix-up.
_LEAST_FIT = 0.5


@dataclass
class KeyReport:
    """How the keys of a checkpoint and of a model fit.

    Attributes:
        matched: Keys in both, of the same shape.
        missing: Keys of the model that the checkpoint lacks.
        unexpected: Keys of the checkpoint that the model lacks.
        mismatched: Keys in both of different shapes: ``(key, shape in the checkpoint, shape in the model)``.
    """

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    @classmethod
    def of(cls, model: Mapping[str, Any], weights: Mapping[str, Any]) -> KeyReport:
        """Compare two state dicts."""
        report = cls(
            missing=[key for key in model if key not in weights and not _OPTIONAL.search(key)],
            unexpected=[key for key in weights if key not in model and not _OPTIONAL.search(key)],
        )
        for key, own in model.items():
            if key not in weights:
                continue
            theirs, ours = tuple(weights[key].shape), tuple(own.shape)
            if theirs == ours:
                report.matched.append(key)
            else:
                report.mismatched.append((key, theirs, ours))
        return report

    @property
    def complete(self) -> bool:
        """Whether every weight of the model is there."""
        return not (self.missing or self.mismatched)

    @property
    def exact(self) -> bool:
        """Whether the keys and shapes are the same."""
        return self.complete and not self.unexpected

    @property
    def related(self) -> bool:
        """Whether the two look like the same model, or one like a part of the other."""
        smaller = min(len(self.missing), len(self.unexpected)) + len(self.mismatched)
        return bool(self.matched) and len(self.matched) / (len(self.matched) + smaller) >= _LEAST_FIT

    def table(self) -> str:
        """What doesn't fit, as text."""
        lines = [f"{len(self.matched)} keys fit"]
        lines += _section("missing in the checkpoint", self.missing)
        lines += _section("unexpected, the model has none such", self.unexpected)
        shapes = [
            f"{key}: {theirs} in the checkpoint, {ours} in the model" for key, theirs, ours in self.mismatched
        ]
        lines += _section("of another shape", shapes)
        return "\n".join(lines)


def _section(title: str, rows: Sequence[str]) -> list[str]:
    if not rows:
        return []
    more = [f"  … and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
    return [f"{len(rows)} {title}:", *(f"  {row}" for row in rows[:_SHOWN]), *more]


def load_state_dict(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    strict: bool | str = False,
    logger: logging.Logger | str | None = "current",
    source: str = "the checkpoint",
) -> KeyReport:
    """Load the weights that fit, and log a table of those that don't.

    Args:
        module: The model; a wrapper such as DDP is looked into.
        state_dict: Weights by key.
        strict: True (or ``exact``): keys and shapes must be the same. ``complete``: the checkpoint may hold
            more, but nothing of the model may be missing. False: what fits is loaded, unless hardly anything
            does.
        logger: Where the table goes.
        source: What the weights are called in messages.

    Raises:
        CheckpointError: They don't fit as `strict` demands, or are of another model; with the table. Nothing
            is loaded.
    """
    module = unwrapped(module)
    state_dict = upgraded(module, state_dict)
    own, places = plain_state(module)
    report = KeyReport.of(own, state_dict)
    name = type(module).__name__
    refused = {
        "exact": not report.exact,
        "complete": not report.complete,
        "partial": bool(own) and not report.related,
    }["exact" if strict is True else strict or "partial"]
    if refused or (own and not report.related):
        hint = (
            ""
            if report.related
            else f"; it looks like the checkpoint of another model{_prefix_hint(own, state_dict)}"
        )
        raise CheckpointError(f"{source} doesn't fit {name}{hint}.\n{report.table()}")
    fitting = OrderedDict((places[key], shard_like(state_dict[key], own[key])) for key in report.matched)
    if hasattr(state_dict, "_metadata"):
        versions = {places.get(path, path): value for path, value in state_dict._metadata.items()}
        fitting._metadata = versions  # type: ignore[attr-defined]
    module.load_state_dict(fitting, strict=False)
    if not report.exact:
        print_log(f"{source} fits {name} in part only:\n{report.table()}", logger, logging.WARNING)
    return report


def _prefix_hint(own: Mapping[str, Any], weights: Mapping[str, Any]) -> str:
    """What to do where the checkpoint is that of a part of the model."""
    for prefix in dict.fromkeys(key.partition(".")[0] for key in own):
        part = {key.partition(".")[2]: value for key, value in own.items() if key.startswith(f"{prefix}.")}
        if (
            sum(key in weights and weights[key].shape == value.shape for key, value in part.items())
            > len(part) / 2
        ):
            return (
                f" — or of its `{prefix}` alone: then give it there, with "
                f"{prefix}=dict(init_cfg=dict(type='Pretrained', checkpoint=...))"
            )
    return ""


def load_checkpoint(
    model: nn.Module,
    filename: str | os.PathLike[str],
    map_location: Any = "cpu",
    strict: bool | str = False,
    logger: logging.Logger | str | None = "current",
    revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    trusted: bool = False,
) -> dict[str, Any]:
    """Read a checkpoint and load its weights into a model.

    Args:
        model: The model.
        filename: A path, URL or name; see `toolkit.fileio.checkpoint.read_checkpoint`.
        map_location: As for `torch.load`.
        strict: See `load_state_dict`.
        logger: Where a table of what doesn't fit goes.
        revise_keys: ``(pattern, replacement)`` of regular expressions, applied to the keys in turn.
        trusted: Unpickle whatever the file holds, which may run code of whoever wrote it.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: It can't be read, or doesn't fit.
    """
    checkpoint = read_checkpoint(filename, map_location, trusted=trusted)
    load_weights(model, checkpoint, strict, logger, revise_keys, source=os.fspath(filename))
    return checkpoint


def load_weights(
    model: nn.Module,
    checkpoint: Mapping[str, Any],
    strict: bool | str = False,
    logger: logging.Logger | str | None = "current",
    revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    source: str = "the checkpoint",
) -> KeyReport:
    """Load the weights of a checkpoint that has been read; see `load_checkpoint`."""
    weights = weights_of(checkpoint)
    revised = OrderedDict((_revised(key, revise_keys), value) for key, value in weights.items())
    metadata = getattr(checkpoint.get("state_dict"), "_metadata", None)
    if metadata is not None:
        revised._metadata = metadata  # type: ignore[attr-defined]
    current = without_old_averages(revised)
    upgrade: Any = getattr(unwrapped(model), "upgrade_weights", None)
    if upgrade is not None:  # a detector knows what else changed between its versions
        current = upgrade(current, checkpoint.get("meta") or {})
    return load_state_dict(model, current, strict, logger, source)


def _revised(key: str, patterns: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in patterns:
        key = re.sub(pattern, replacement, key)
    return key


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, where a wrapper such as DDP is around it."""
    inner = model.module if is_model_wrapper(model) else model
    assert isinstance(inner, nn.Module)
    return inner


def plain_state(module: nn.Module, keep_vars: bool = False) -> tuple[dict[str, Any], dict[str, str]]:
    """The state dict of a model with the keys that it has without wrappers, around it or inside of it.

    Returns:
        The state dict, in which the tensors of a sharded model are sharded; and where each of its keys, and
        each module of its metadata, is in the model.
    """
    module = unwrapped(module)
    state: dict[str, Any] = module.state_dict(keep_vars=keep_vars)
    inner = [f"{name}.module." for name, part in module.named_modules() if name and is_model_wrapper(part)]
    versions = getattr(state, "_metadata", {})
    modules = {_unprefixed(f"{path}.", inner)[:-1]: path for path in versions}
    keys = {_unprefixed(key, inner): key for key in state}
    if inner:
        state = OrderedDict((key, state[place]) for key, place in keys.items())
        state._metadata = {path: versions[place] for path, place in modules.items()}  # type: ignore[attr-defined]
    return state, {**modules, **keys}


def _unprefixed(key: str, inner: Sequence[str]) -> str:
    """The key without the ``module.`` of wrappers that it lies in, the innermost first."""
    for prefix in reversed(inner):
        if key.startswith(prefix):
            key = prefix.removesuffix("module.") + key.removeprefix(prefix)
    return key


def get_state_dict(
    module: nn.Module,
    destination: OrderedDict[str, Any] | None = None,
    prefix: str = "",
    keep_vars: bool = False,
) -> dict[str, Any]:
    """The state dict of a model, without the prefixes that wrappers add.

    Where the model is sharded its tensors are put together, for which every process must call this.

    Args:
        module: The model.
        destination: Where to put it, instead of a new dict.
        prefix: Stands before each key.
        keep_vars: Keep parameters as they are, with their gradients; otherwise plain tensors.
    """
    state, _ = plain_state(module, keep_vars)
    found: OrderedDict[str, Any] = OrderedDict() if destination is None else destination
    found.update((f"{prefix}{key}", whole(value)) for key, value in state.items())
    found._metadata = getattr(state, "_metadata", OrderedDict())  # type: ignore[attr-defined]
    return found


def weights_to_cpu(state_dict: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """A copy of a state dict with its tensors on the CPU."""
    moved = OrderedDict(
        (key, value.cpu() if isinstance(value, torch.Tensor) else value) for key, value in state_dict.items()
    )
    moved._metadata = getattr(state_dict, "_metadata", OrderedDict())  # type: ignore[attr-defined]
    return moved
