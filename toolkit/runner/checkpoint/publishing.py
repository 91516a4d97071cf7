"""A checkpoint for others: weights without the state of a run, under a name with a hash, and a model card."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from toolkit.fileio.checkpoint import read_checkpoint, weights_of
from toolkit.fileio.checkpoint.reading import META_KEY
from toolkit.runner.checkpoint.carried import config_of
from toolkit.runner.checkpoint.latest import find_latest_checkpoint
from toolkit.runner.checkpoint.writing import write_text, write_whole
from toolkit.utils.errors import CheckpointError

_HASH_LENGTH = 8
_CARD = "README.md"
# Of a checkpoint's meta, what says what the model is; where and when it was trained is the owner's business.
_PUBLIC = ("cfg", "dataset_meta", "epoch", "iter", "seed", "toolkit_version")
_NAME = re.compile(r"[^\w.+-]+")


def publish_checkpoint(
    source: str,
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    license: str | None = None,
    metrics: Mapping[str, float] | None = None,
    trusted: bool = False,
) -> Path:
    """Write a checkpoint's weights as safetensors, and a model card beside it.

    The file carries config and classes in its header, so that testing and inference need nothing else.

    Args:
        source: A checkpoint, or a work directory, which stands for its newest one.
        folder: Where the two files go; made if needed. A model card that is there already is kept.
        name: Beginning of the file's name; by default that of the config's file or of the source.
        license: Of the weights, such as ``apache-2.0``; the card says if none was given.
        metrics: For the card; by default those of the validation that the checkpoint was saved after.
        trusted: Unpickle whatever the source holds.

    Returns:
        The path of the weights, ``NAME-HASH.safetensors``; the hash is the beginning of the file's SHA-256.

    Raises:
        CheckpointError: The source can't be read or holds no weights, or the files can't be written.
    """
    path = find_latest_checkpoint(source) or source
    checkpoint = read_checkpoint(path, trusted=trusted)
    weights = weights_of(checkpoint)
    meta = _public(checkpoint.get("meta") or {})
    content = _serialized(weights, meta)
    digest = hashlib.sha256(content).hexdigest()
    stem = _NAME.sub("_", name or _default_name(path, checkpoint))
    target = Path(folder) / f"{stem}-{digest[:_HASH_LENGTH]}.safetensors"
    numbers = _own_metrics(path, checkpoint) if metrics is None else metrics
    try:
        write_whole(target, lambda file: file.write(content))
        card = target.with_name(_CARD)
        if not card.exists():
            write_text(card, model_card(target.name, digest, weights, meta, license, numbers))
    except OSError as error:
        raise CheckpointError(f"{str(folder)!r} can't be written: {error.strerror or error}") from error
    return target


def _public(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What of a checkpoint's meta is for others, the config without what belongs to that run."""
    kept = {key: meta[key] for key in _PUBLIC if key in meta}
    if "cfg" in kept or "config" in meta:
        cfg = config_of({"meta": meta})
        kept |= {"cfg": cfg.pretty_text, "model": str((cfg.get("model") or {}).get("type", ""))}
    return kept


def _serialized(weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    # Tensors that share memory must not in a safetensors file.
    whole = {key: value.detach().cpu().contiguous().clone() for key, value in weights.items()}
    return save(whole, metadata={"format": "pt", META_KEY: json.dumps(meta)})


def _default_name(path: str, checkpoint: Mapping[str, Any]) -> str:
    experiment = (checkpoint.get("meta") or {}).get("experiment_name")
    if isinstance(experiment, str) and experiment:
        return re.sub(r"_\d{8}_\d{6}(_\d+)?$", "", experiment)  # without the time of its start
    return Path(path).stem


def _own_metrics(path: str, checkpoint: Mapping[str, Any]) -> dict[str, float]:
    """The newest validation in the checkpoint's log, if the weights have not been trained on since."""
    loop = checkpoint.get("loop") or {}
    if not (Path(path).name.startswith("best_") or loop.get("val_due") is False):
        return {}
    found = {}
    for key, buffer in ((checkpoint.get("message_hub") or {}).get("log_scalars") or {}).items():
        history = buffer.get("log_history") if isinstance(buffer, Mapping) else None
        name = key.removeprefix("val/")
        if name != key and name not in ("time", "data_time") and history is not None and len(history):
            found[name] = float(history[-1])
    return found


def model_card(
    file: str,
    digest: str,
    weights: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    license: str | None,
    metrics: Mapping[str, float],
) -> str:
    """The text of a model card in Markdown, with a head that model hubs read."""
    classes = [str(one) for one in (meta.get("dataset_meta") or {}).get("classes") or ()]
    config = str(meta.get("cfg", "")).strip()
    count = sum(value.numel() for value in weights.values())
    title = file.rpartition("-")[0]
    kind = f"A `{meta['model']}`" if meta.get("model") else "A model"
    lines = [
        "---",
        f"license: {license or 'unknown'}",
        "library_name: toolkit",
        "---",
        "",
        f"# {title}",
        "",
        f"{kind} of {count:,} numbers.",
        "" if license else "\nThe owner has not stated a license.\n",
        "## Use",
        "",
        "```",
        f"toolkit infer {file} IMAGES --out-dir outputs" if config else f"toolkit infer CONFIG {file} IMAGES",
        f"toolkit test {file}" if config else f"toolkit test CONFIG {file}",
        f"toolkit train CONFIG --load-from {file}",
        "```",
        "",
        f"SHA-256: `{digest}`",
        "",
        "## Metrics",
        "",
        *_metric_lines(metrics),
        "",
        f"## Classes ({len(classes)})",
        "",
        ", ".join(classes) or "Not stated in the checkpoint.",
        "",
    ]
    if "epoch" in meta:
        lines += ["## Training", "", f"Epoch {meta['epoch']}, iteration {meta.get('iter', 'unknown')}.", ""]
    if config:
        lines += ["## Config", "", "```python", config, "```", ""]
    return "\n".join(lines)


def _metric_lines(metrics: Mapping[str, float]) -> list[str]:
    if not metrics:
        return ["None were given, and the checkpoint was not saved after a validation."]
    return [
        "| metric | value |",
        "|---|---:|",
        *(f"| {key} | {value:.4g} |" for key, value in metrics.items()),
    ]
