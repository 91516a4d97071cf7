"""Loading what fits of a checkpoint into a module that is to start from it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from toolkit.fileio.checkpoint import read_checkpoint, weights_of
from toolkit.utils import CheckpointError, did_you_mean

logger = logging.getLogger(__name__)

_SHOWN_KEYS = 5
_WRAPPER_PREFIX = "module."


def load_pretrained(
    module: nn.Module,
    source: str | Path,
    prefix: str | None = None,
    map_location: Any = "cpu",
    revise: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
) -> None:
    """Load what fits of a checkpoint into `module`, and log what doesn't.

    Args:
        module: Changed in place.
        source: A local file, a URL, ``torchvision://NAME`` or another name that `read_checkpoint` knows.
        prefix: Load only the weights below it: ``backbone`` takes the backbone out of a detector's
            checkpoint.
        map_location: As for `torch.load`.
        revise: Turns the weights of the checkpoint, by key, into those to load.

    Raises:
        CheckpointError: The checkpoint can't be had or read, or nothing in it fits.
    """
    weights = weights_of(read_checkpoint(source, map_location))
    weights = {key.removeprefix(_WRAPPER_PREFIX): value for key, value in weights.items()}
    if prefix:
        weights = _below(weights, prefix.rstrip("."), source)
    if revise is not None:
        weights = revise(weights)
    own = module.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    name = type(module).__name__
    if weights and not fitting:
        raise CheckpointError(
            f"nothing in {str(source)!r} fits {name}: the checkpoint has {_sample(weights)}; "
            f"the module has {_sample(own)}. A `prefix` may be missing or wrong"
        )
    module.load_state_dict(fitting, strict=False)
    logger.info("%s: loaded %d of %d weights from %s", name, len(fitting), len(own), source)
    for what, keys in (
        ("not in the checkpoint", [key for key in own if key not in weights]),
        ("in the checkpoint only", [key for key in weights if key not in own]),
        ("of another shape", [key for key in weights if key in own and key not in fitting]),
    ):
        if keys:
            logger.warning("%s: weights %s: %s", name, what, _sample(keys))


def _below(weights: Mapping[str, Tensor], prefix: str, source: str | Path) -> dict[str, Tensor]:
    found = {
        key.removeprefix(f"{prefix}."): value
        for key, value in weights.items()
        if key.startswith(f"{prefix}.")
    }
    if not found:
        heads = sorted({key.split(".")[0] for key in weights})
        raise CheckpointError(
            f"{str(source)!r} has no weights below the prefix {prefix!r}{did_you_mean(prefix, heads)}; "
            f"it has {', '.join(heads)}"
        )
    return found


def _sample(keys: Iterable[str]) -> str:
    names = list(keys)
    more = f" and {len(names) - _SHOWN_KEYS} more" if len(names) > _SHOWN_KEYS else ""
    return ", ".join(names[:_SHOWN_KEYS]) + more
