"""Joining samples into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import default_collate as torch_default_collate

from toolkit.registry import FUNCTIONS
from toolkit.structures import BaseDataElement


@FUNCTIONS.register_module()
def pseudo_collate(data_batch: Sequence) -> Any:
    """Join samples without stacking: every leaf becomes a list with an entry a sample.

    Args:
        data_batch: Samples of one structure: mappings, tuples or lists of leaves.

    Returns:
        The same structure, whose leaves are lists of length `len(data_batch)`.

    Raises:
        ValueError: If sequences of the samples differ in length.
    """
    return _collate(data_batch, list)


@FUNCTIONS.register_module()
def default_collate(data_batch: Sequence) -> Any:
    """Join samples, stacking tensors, arrays and numbers; strings and data elements become lists.

    Args:
        data_batch: Samples of one structure; tensors of one place have one shape.

    Returns:
        The same structure, whose tensors have a leading batch dimension.

    Raises:
        ValueError: If sequences of the samples differ in length.
        RuntimeError: If tensors of one place differ in shape.
    """
    return _collate(data_batch, torch_default_collate)


def _collate(batch: Sequence, join_leaves: Any) -> Any:
    first = batch[0]
    if isinstance(first, (BaseDataElement, str, bytes)):
        return list(batch)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(_collate(column, join_leaves) for column in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        return _collate_sequences(batch, join_leaves)
    if isinstance(first, Mapping):
        # A plain dict: a mapping type of the user's may not be constructible from pairs.
        return {key: _collate([sample[key] for sample in batch], join_leaves) for key in first}
    return join_leaves(batch)


def _collate_sequences(batch: Sequence[Sequence], join_leaves: Any) -> Any:
    lengths = {len(sample) for sample in batch}
    if len(lengths) > 1:
        raise ValueError(
            f"sequences of one batch differ in length: {sorted(lengths)}; pad them in the pipeline, "
            "or keep them out of the batch's structure (in a data element or a tensor)"
        )
    return [_collate(column, join_leaves) for column in zip(*batch, strict=True)]
