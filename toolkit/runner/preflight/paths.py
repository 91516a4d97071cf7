"""Whether the data's folders and files are there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.config import origin_of
from toolkit.registry.arguments import accepted_by
from toolkit.runner.preflight.problems import Problem
from toolkit.utils import nearest

_KEYS = frozenset({"data_root", "ann_file", "data_prefix"})
_ROLES = {"train": ("train", "val"), "test": ("test",), "infer": ()}


class PathCheck:
    """Collects the datasets of a config and looks for their files.

    Args:
        cfg: The whole config.
        mode: ``train``, ``test`` or ``infer``; says which datasets are going to be read.
    """

    def __init__(self, cfg: Mapping[str, Any], mode: str) -> None:
        roles = _ROLES[mode]
        if mode == "test" and cfg.get("test_dataloader") is None:
            roles = ("val",)
        self._roots = tuple(f"{role}_{part}" for role in roles for part in ("dataloader", "evaluator"))
        self._cfg = cfg
        self._datasets: list[tuple[Mapping[str, Any], str]] = []

    def visit(self, cfg: Mapping[str, Any], path: str, target: Any) -> None:
        """Take note of a dict, if it describes a dataset (or a metric with an annotation file)."""
        if path.partition(".")[0] not in self._roots or not _KEYS & set(cfg):
            return
        if "download" in accepted_by(target).names and cfg.get("download", True):
            return  # it fetches its files itself
        self._datasets.append((cfg, path))

    def problems(self) -> Iterator[Problem]:
        """Folders and files that are not there."""
        told: set[str] = set()
        for cfg, path in self._datasets:
            root = cfg.get("data_root")
            root = root if isinstance(root, str) else ""
            if root not in told:  # one missing folder is one problem, however many datasets lie in it
                yield from self._missing(cfg, path, root)
                told.update([root] if root and not _is_there(root) else ())

    def _missing(self, cfg: Mapping[str, Any], path: str, root: str) -> Iterator[Problem]:
        if root and not _is_there(root):
            fix = f"Give its place with {self._override(cfg, path)}=FOLDER"
            yield Problem.at(cfg, "data_root", f"{path}.data_root", f"{_describe(root)} {fix}")
            return
        for container, key, place, value in _files(cfg, path):
            joined = value if os.path.isabs(value) or _is_remote(value) else os.path.join(root, value)
            if not _is_there(joined):
                fix = f"Give the right one with {place}=PATH"
                if root:
                    fix += f", or another {self._override(cfg, path)}"
                fix = self._slash(joined) or fix
                yield Problem.at(container, key, place, f"{_describe(joined)} {fix}")

    def _slash(self, path: str) -> str:
        """What to do about ``data_root + 'annotations/...'`` with a root that doesn't end in a slash."""
        root = self._cfg.get("data_root")
        if not isinstance(root, str) or not root or root.endswith("/") or not path.startswith(root):
            return ""
        if not _is_there(os.path.join(root, path.removeprefix(root).lstrip("/"))):
            return ""
        return f"The config joins it from data_root, which lacks a slash at its end: give data_root={root}/"

    def _override(self, dataset: Mapping[str, Any], path: str) -> str:
        """What to set on the command line: the variable that the root comes from, or else the key itself."""
        origin = origin_of(dataset, "data_root")
        read = [one.key for one in origin.reads] if origin is not None else []
        root = dataset.get("data_root")
        same = [key for key in (*read, "data_root") if self._cfg.get(key) == root]
        return same[0] if same else f"{path}.data_root"


def _files(cfg: Mapping[str, Any], path: str) -> Iterator[tuple[Any, str, str, str]]:
    """Container, key, dotted path and value of what must exist beside the root."""
    ann_file = cfg.get("ann_file")
    if isinstance(ann_file, str) and ann_file:
        yield cfg, "ann_file", f"{path}.ann_file", ann_file
    prefix = cfg.get("data_prefix")
    if isinstance(prefix, str) and prefix:
        yield cfg, "data_prefix", f"{path}.data_prefix", prefix
    elif isinstance(prefix, Mapping):
        for key, value in prefix.items():
            if isinstance(value, str) and value:
                yield prefix, key, f"{path}.data_prefix.{key}", value


def _is_remote(path: str) -> bool:
    return "://" in path


def _is_there(path: str) -> bool:
    return _is_remote(path) or os.path.exists(os.path.expanduser(path))


def _describe(path: str) -> str:
    """That a path is missing, how much of it exists, and what is there instead."""
    whole = os.path.abspath(os.path.expanduser(path))
    parent, missing = whole, ""
    while not os.path.exists(parent):
        parent, missing = os.path.split(parent)
    said = f"there is no {path!r}"
    if not os.path.isdir(parent):
        return f"{said}: {parent} is a file."
    try:
        names = sorted(name for name in os.listdir(parent) if not name.startswith("."))
    except OSError:
        return f"{said}: {parent} can't be read."
    near = nearest(missing, names)
    if near is not None:
        return f"{said}: {parent} has no {missing!r}, did you mean {near!r}?"
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    return f"{said}: {parent} has no {missing!r}, it holds {shown or 'nothing'}."
