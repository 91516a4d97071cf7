"""Naming the samples of a batch, for the message about what went wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.utils.errors import TrainingError

_NAMES = ("img_path", "img_id", "sample_idx")
_SHOWN = 32


def sample_names(data_batch: Any) -> list[str]:
    """What the samples of a batch are called: path, id or index, whatever their meta information has."""
    samples = data_batch.get("data_samples") if isinstance(data_batch, Mapping) else None
    if samples is None and isinstance(data_batch, Sequence) and len(data_batch) > 1:
        samples = data_batch[1]
    if not isinstance(samples, Sequence):
        return []
    return [name for name in map(_name, samples) if name is not None]


def _name(sample: Any) -> str | None:
    meta = getattr(sample, "metainfo", sample)
    if not isinstance(meta, Mapping):
        return None
    known = [f"{key}={meta[key]}" for key in _NAMES if meta.get(key) is not None]
    return " ".join(known) or None


def naming_samples(error: TrainingError, data_batch: Any, epoch: int, iteration: int) -> TrainingError:
    """The error again, with where in the run it happened and the samples of the batch."""
    names = sample_names(data_batch)
    shown = "".join(f"\n  {name}" for name in names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f"\n  and {len(names) - _SHOWN} more"
    samples = f" The samples of the batch:{shown}" if names else ""
    return type(error)(f"{error} (epoch {epoch + 1}, iteration {iteration + 1}){samples}")
