"""Predictions written to a folder: pictures and one JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import track

from toolkit.infer.base import BaseInferencer
from toolkit.infer.images import write_picture
from toolkit.infer.inputs import short_names
from toolkit.transforms import read_image
from toolkit.utils.errors import DataError, ToolkitError


def infer_to_folder(
    inferencer: BaseInferencer,
    paths: Sequence[str],
    out_dir: str,
    *,
    score_thr: float = 0.3,
    batch_size: int = 4,
    draw: bool = True,
) -> int:
    """Predict on image files; write `out_dir/predictions.json` and drawn pictures to `out_dir/vis/`.

    An image that can't be read is named on the console and in the JSON file; the others are done.

    Returns:
        How many images could not be read.

    Raises:
        ToolkitError: The folder can't be written.
    """
    console = Console(stderr=True)
    _make_folder(out_dir)
    records: list[dict[str, Any]] = []
    failed = 0
    results = inferencer.stream(paths, batch_size)
    for name, (path, result) in zip(
        short_names(paths), track(results, "Predicting", len(paths), console=console), strict=True
    ):
        if isinstance(result, DataError):
            failed += 1
            console.print(f"[red]Error:[/red] {result}", highlight=False)
            records.append(dict(file=path, error=str(result)))
            continue
        records.append(dict(file=path, **inferencer.as_record(result, score_thr)))
        picture = inferencer.draw(_rgb(path), result, score_thr) if draw else None
        if picture is not None:
            write_picture(os.path.join(out_dir, "vis", name), picture)
    target = os.path.join(out_dir, "predictions.json")
    _write_json(target, dict(classes=inferencer.classes, score_thr=score_thr), records)
    done = f"{len(paths) - failed} of {len(paths)} images predicted"
    where = f"; pictures: {os.path.join(out_dir, 'vis')}" if draw else ""
    print(f"{done}; predictions: {target}{where}")
    return failed


def _rgb(path: str) -> Any:
    return read_image(path)[..., ::-1].copy()


def _write_json(path: str, head: dict[str, Any], records: list[dict[str, Any]]) -> None:
    """One JSON object with a line for each image, which people can read and diff."""
    lines = ",\n".join(f"  {json.dumps(record)}" for record in records)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f'{json.dumps(head)[:-1]}, "images": [\n{lines}\n]}}\n')


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, "predictions.json")
        with open(probe, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ToolkitError(
            f"The output folder {path!r} can't be written: {error.strerror}. Choose another with --out-dir."
        ) from error
