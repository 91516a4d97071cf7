"""Whether the model predicts as many classes as the data have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.config import origin_of
from toolkit.runner.preflight.problems import Problem

# Heads that number something else than the dataset's classes: objectness, stuff, things.
_EXEMPT = ("rpn", "semantic", "panoptic", "mask_iou", "teacher")


def num_classes_problems(model: Any, dataset: Any, role: str) -> list[Problem]:
    """Numbers of classes in a model's heads that differ from the dataset's.

    Args:
        model: The config of a model, or a built one.
        dataset: Something with ``metainfo['classes']``; without, nothing is compared.
        role: ``train``, ``val`` or ``test``, for messages.
    """
    meta = getattr(dataset, "metainfo", None)
    classes = meta.get("classes") if isinstance(meta, Mapping) else None
    if not isinstance(classes, (list, tuple)):
        return []
    heads = _in_config(model, "model") if isinstance(model, Mapping) else _in_module(model)
    return [
        _problem(source, path, number, classes, dataset, role)
        for source, path, number in heads
        if number != len(classes)
    ]


def _problem(source: str, path: str, number: int, classes: Any, dataset: Any, role: str) -> Problem:
    names = ", ".join(map(str, classes[:4])) + (", …" if len(classes) > 4 else "")
    kind = type(_innermost(dataset)).__name__
    fix = f"write {path}.num_classes={len(classes)}"
    return Problem(
        f"num_classes={number}, but the {role} dataset ({kind}, metainfo['classes']) has {len(classes)} "
        f"classes ({names}): {fix}, or give the dataset the classes that the model is for",
        path,
        source,
    )


def _innermost(dataset: Any) -> Any:
    while not hasattr(type(dataset), "METAINFO") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    return dataset


def _in_config(cfg: Any, path: str) -> Iterator[tuple[str, str, int]]:
    """Origin, dotted path and `num_classes` of all heads of a model's config."""
    if isinstance(cfg, Mapping):
        number = cfg.get("num_classes")
        if isinstance(number, int) and _counts(path, str(cfg.get("type", ""))):
            yield str(origin_of(cfg, "num_classes") or ""), path, number
        for key, value in cfg.items():
            if isinstance(value, (Mapping, list, tuple)):
                yield from _in_config(value, f"{path}.{key}")
    elif isinstance(cfg, (list, tuple)):
        for index, value in enumerate(cfg):
            yield from _in_config(value, f"{path}.{index}")


def _in_module(model: Any) -> Iterator[tuple[str, str, int]]:
    for name, module in model.named_modules():
        number = getattr(module, "num_classes", None)
        path = f"model.{name}" if name else "model"
        if isinstance(number, int) and _counts(path, type(module).__name__):
            yield "", path, number


def _counts(path: str, kind: str) -> bool:
    """Whether `num_classes` at a place is the dataset's: in a head or preprocessor, but not an exempt one."""
    parts = path.split(".")
    if any(part.startswith(_EXEMPT) for part in parts) or kind.rpartition(".")[2].startswith(
        ("RPN", "FusedSemantic")
    ):
        return False
    # A loss that counts classes is told by its head.
    if any(part.startswith("loss") for part in parts):
        return False
    return any("head" in part or part == "data_preprocessor" for part in parts)
