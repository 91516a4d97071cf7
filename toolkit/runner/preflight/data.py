"""`check_data`: the dataset, once it stands, against the model and the disk."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import cv2

from toolkit.runner.preflight.classes import num_classes_problems
from toolkit.runner.preflight.problems import PreflightError, Problem

logger = logging.getLogger("toolkit")

TIME_BUDGET = 10.0  # seconds
DECODE_UP_TO = (
    2000  # images; a larger set is only looked into: opening is some 100 times faster than decoding
)
_SHOWN = 10
_CHUNK = 256


def check_data(model: Any, dataset: Any, role: str, *, time_budget: float = TIME_BUDGET) -> None:
    """Check a dataset before its first batch.

    Numbers of classes must agree. Image files must be there and readable: all are opened, and decoded where
    they are few. It stops when its time is up, and says how far it got.

    Args:
        model: The model's config, or the model.
        dataset: The dataset; wrappers are looked through.
        role: ``train``, ``val`` or ``test``, for messages.
        time_budget: Seconds for the images.

    Raises:
        PreflightError: Something does not fit; it lists all that doesn't.
    """
    problems = [*num_classes_problems(model, dataset, role), *_image_problems(dataset, role, time_budget)]
    if problems:
        raise PreflightError(problems, f"the {role} data")


def _image_problems(dataset: Any, role: str, time_budget: float) -> list[Problem]:
    total = sum(_size(part) for part in parts_of(dataset))
    look = _decode if total <= DECODE_UP_TO else _open
    deadline = time.monotonic() + time_budget
    bad, checked = _look_at(_image_paths(dataset), look, deadline)
    if checked and checked < total:
        logger.info(
            "checked %d of %d images of the %s data in %.0f s; the others will be seen when they are read",
            checked,
            total,
            role,
            time_budget,
        )
    if not bad:
        return []
    shown = "; ".join(f"{path} ({reason})" for path, reason in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    noun = "image" if len(bad) == 1 else "images"
    return [
        Problem(
            f"{len(bad)} {noun} of the {role} data can't be read: {shown}{more}. "
            "Replace the files, or take them out of the annotations",
        )
    ]


def parts_of(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers that know the paths of their images."""
    if hasattr(type(dataset), "get_data_info") and not hasattr(dataset, "datasets") and not _wraps(dataset):
        yield dataset
    elif isinstance(getattr(dataset, "datasets", None), (list, tuple)):
        for one in dataset.datasets:
            yield from parts_of(one)
    elif getattr(dataset, "dataset", None) is not None:
        yield from parts_of(dataset.dataset)


def _wraps(dataset: Any) -> bool:
    return getattr(dataset, "dataset", None) is not None


def _size(dataset: Any) -> int:
    return len(dataset)


def _image_paths(dataset: Any) -> Iterator[str]:
    seen: set[str] = set()
    for part in parts_of(dataset):
        for index in range(_size(part)):
            path = part.get_data_info(index).get("img_path")
            if isinstance(path, str) and "://" not in path and path not in seen:
                seen.add(path)
                yield path


def _look_at(
    paths: Iterable[str], look: Callable[[str], str | None], deadline: float
) -> tuple[list[tuple[str, str]], int]:
    """Images that can't be read, with the reason, and how many were looked at."""
    bad: list[tuple[str, str]] = []
    checked = 0
    paths = iter(paths)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while chunk := list(islice(paths, _CHUNK)):
            for path, reason in zip(chunk, pool.map(look, chunk), strict=True):
                if reason is not None:
                    bad.append((path, reason))
            checked += len(chunk)
            if time.monotonic() > deadline:
                break
    return bad, checked


def _open(path: str) -> str | None:
    """Why a file is not an image, judged by its first bytes; None where it is."""
    if not os.path.isfile(path):
        return "no such file"
    if os.path.getsize(path) == 0:
        return "empty file"
    return None if cv2.haveImageReader(path) else "not an image that OpenCV can read"


def _decode(path: str) -> str | None:
    reason = _open(path)
    if reason is not None:
        return reason
    # A reduced size is several times faster, and the whole file is still read.
    return None if cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_8) is not None else "damaged"
