"""`convert_checkpoint`: a file of another library to a file of ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from toolkit.detection.checkpoints.torchvision import COCO_LABELS, Converted, from_torchvision
from toolkit.detection.datasets import CocoDataset
from toolkit.fileio.checkpoint import read_checkpoint, weights_of
from toolkit.runner.checkpoint import save_checkpoint
from toolkit.utils import CheckpointError


def convert_checkpoint(
    source: str,
    target: str | os.PathLike[str],
    *,
    labels: Sequence[int] | str = "auto",
    classes: Sequence[str] = (),
    bn_eps: float | None = None,
    trusted: bool = False,
) -> Converted:
    """Convert a checkpoint of torchvision's detectors and write it.

    Args:
        source: A path, a URL, or a name such as ``torchvision://fasterrcnn_resnet50_fpn``.
        target: The file to write.
        labels: See `from_torchvision`.
        classes: Names of the classes; COCO's are known.
        bn_eps: See `from_torchvision`.
        trusted: Unpickle whatever the source holds.

    Returns:
        What was written.

    Raises:
        CheckpointError: The source can't be read or is no such detector, the names are too few or too many,
            or the target can't be written.
    """
    done = from_torchvision(weights_of(read_checkpoint(source, trusted=trusted)), labels, bn_eps)
    names = tuple(classes) or (CocoDataset.METAINFO["classes"] if done.labels == COCO_LABELS else ())
    if names and len(names) != len(done.labels):
        raise CheckpointError(f"{len(names)} names for {len(done.labels)} classes: {', '.join(names)}")
    meta: dict[str, Any] = {"converted_from": source, "torchvision_labels": list(done.labels)}
    if names:
        meta["dataset_meta"] = {"classes": names}
    save_checkpoint({"meta": meta, "state_dict": done.state_dict}, target)
    return done
