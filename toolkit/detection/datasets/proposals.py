"""Files of proposals, which Fast R-CNN trains on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.detection.datasets.files import read_bytes
from toolkit.detection.datasets.plain_pickle import ERRORS, Instances, load_plain
from toolkit.utils import DataError


def proposal_key(img_path: str) -> str:
    """The name of an image in a file of proposals: its folder's name and its own."""
    folder, name = os.path.split(img_path)
    return os.path.join(os.path.basename(folder), name)


def read_proposals(
    path: str, backend_args: Mapping[str, Any] | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Read a file that `DumpProposals` wrote, here or in MMDetection, without running code of it.

    Args:
        path: A local path or a URL that fsspec understands.
        backend_args: Options of the fsspec file system.

    Returns:
        For each image, by `proposal_key`, `bboxes` (N, 4) xyxy and `scores` (N,), the best first.

    Raises:
        DataError: The file is missing, or holds anything else.
    """
    content = read_bytes(path, "proposal file", backend_args)
    try:
        return {str(name): _fields(one) for name, one in load_plain(content).items()}
    except ERRORS as error:
        raise DataError(
            f"The proposal file {path!r} holds no proposals: {error}. It is a pickle of a dict "
            "from 'FOLDER/IMAGE' to dict(bboxes=(N, 4) array, scores=(N,) array), as DumpProposals writes it."
        ) from error


def _fields(one: Any) -> dict[str, np.ndarray]:
    fields = one.fields() if isinstance(one, Instances) else one
    return {key: np.asarray(fields[key], np.float32) for key in ("bboxes", "scores") if key in fields}
