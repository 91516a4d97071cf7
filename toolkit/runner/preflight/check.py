"""`check`: everything about a config that can be known before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch.utils.data import DataLoader

from toolkit.config import import_custom_modules
from toolkit.registry import allow_package
from toolkit.registry.arguments import accepted_by
from toolkit.registry.scope import DefaultScope
from toolkit.runner.preflight import slots
from toolkit.runner.preflight.overrides import override_problems
from toolkit.runner.preflight.paths import PathCheck
from toolkit.runner.preflight.problems import PreflightError, Problem
from toolkit.runner.preflight.rules import group_problems, scope_problems
from toolkit.runner.preflight.walk import Walker
from toolkit.runner.sets import is_named_evaluators, is_named_loaders
from toolkit.utils import did_you_mean

MODES = ("train", "test", "infer")

# What each mode builds. Training may be followed by a test with the same config: its parts are checked too.
_PARTS = {
    "train": (*slots.TOP, *slots.DATALOADERS),
    "test": (
        "model",
        "data_preprocessor",
        "test_cfg",
        "val_cfg",
        "test_evaluator",
        "val_evaluator",
        "default_hooks",
        "custom_hooks",
        "visualizer",
        "log_processor",
        "test_dataloader",
        "val_dataloader",
    ),
    "infer": ("model", "data_preprocessor", "visualizer", "test_dataloader"),
}


def check(cfg: Any, mode: str = "train", files: bool = True) -> None:
    """Check a whole config before anything is built.

    The modules of `custom_imports` are imported first. Every `type` is resolved, all arguments are bound to
    signatures, what belongs together is demanded together, and the data's files are looked for.

    Args:
        cfg: A `Config` or a dict.
        mode: ``train``, ``test`` or ``infer``: what of the config is going to be used.
        files: Whether the data's files must be there.

    Raises:
        PreflightError: Something is wrong; it lists all that is.
        ConfigError: A module of `custom_imports` can't be imported.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    content = getattr(cfg, "_cfg_dict", cfg)
    for module in import_custom_modules(content):
        allow_package(module.__name__)
    with DefaultScope.overwrite_default_scope(content.get("default_scope")):
        paths = PathCheck(content, mode)
        walker = Walker(on_class=paths.visit)
        for part in _PARTS[mode]:
            if content.get(part) is not None:
                _check_part(walker, content, part)
        problems = [
            *scope_problems(content),
            *group_problems(content, mode),
            *walker.problems,
            *override_problems(content, getattr(cfg, "new_override_keys", ()), walker.closed_paths),
            *(paths.problems() if files else ()),
        ]
    if problems:
        raise PreflightError(problems, _title(cfg))


def _title(cfg: Any) -> str:
    filename = getattr(cfg, "filename", None)
    return str(filename) if filename else "the config"


def _check_part(walker: Walker, cfg: Mapping[str, Any], part: str) -> None:
    value = cfg[part]
    if part in slots.DATALOADERS:
        if part != "train_dataloader" and is_named_loaders(value):
            for name, loader in value.items():
                _check_dataloader(walker, loader, f"{part}.{name}")
        else:
            _check_dataloader(walker, value, part)
    elif part in slots.EVALUATORS and is_named_evaluators(value):
        for name, evaluator in value.items():
            walker.visit(evaluator, slots.TOP[part], f"{part}.{name}", value, name)
    elif part == "optim_wrapper":
        _check_optim_wrapper(walker, value, part, cfg)
    elif part == "default_hooks":
        if isinstance(value, Mapping):
            for name, hook in value.items():
                walker.visit(hook, slots.HOOK, f"{part}.{name}", value, name)
    elif part == "train_cfg":
        by_epoch = value.get("by_epoch", True) if isinstance(value, Mapping) else True
        loop = "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop"
        walker.visit(value, dataclasses.replace(slots.TRAIN_LOOP, default_type=loop), part, cfg, part)
    elif part == "param_scheduler" and isinstance(value, Mapping) and "type" not in value:
        for name, schedulers in value.items():  # one list an optimizer
            walker.visit(schedulers, slots.SCHEDULER, f"{part}.{name}", value, name)
    else:
        walker.visit(value, slots.TOP[part], part, cfg, part)


def _check_dataloader(walker: Walker, loader: Any, path: str) -> None:
    if not isinstance(loader, Mapping):
        return
    _check_dataloader_keys(walker, loader, path)
    for key, slot in (
        ("dataset", slots.DATASET),
        ("sampler", slots.SAMPLER),
        ("batch_sampler", slots.BATCH_SAMPLER),
        ("collate_fn", slots.FUNCTION),
        ("worker_init_fn", slots.FUNCTION),
    ):
        walker.visit(loader.get(key), slot, f"{path}.{key}", loader, key)


def _check_dataloader_keys(walker: Walker, loader: Mapping[str, Any], path: str) -> None:
    names = [*accepted_by(DataLoader).names, "num_batch_per_epoch"]
    walker.closed_paths.add(path)
    for key in loader:
        if key not in names:
            rest = [name for name in names if name not in loader]
            message = f"a dataloader got {key!r}{did_you_mean(str(key), rest)} It takes: {', '.join(names)}"
            walker.problems.append(Problem.at(loader, key, path, message))
    if "dataset" not in loader:
        walker.problems.append(
            Problem.at(loader, next(iter(loader), None), path, "a dataloader needs 'dataset'")
        )


def _check_optim_wrapper(walker: Walker, value: Any, path: str, cfg: Mapping[str, Any]) -> None:
    if not isinstance(value, Mapping):
        return
    if "optimizer" in value:
        walker.visit(value, slots.OPTIM_WRAPPER, path, cfg, path)
        return
    # Several optimizers, by name: dicts for a constructor of the user's, which knows the keys, or objects.
    named = {name: one for name, one in value.items() if isinstance(one, Mapping) and "optimizer" in one}
    for name, one in named.items():
        _check_optim_wrapper(walker, one, f"{path}.{name}", value)
    dicts = any(isinstance(one, Mapping) for one in value.values())
    if "constructor" not in value and not named and (dicts or "type" in value or not value):
        message = "needs 'optimizer', such as dict(type='SGD', lr=0.01)"
        walker.problems.append(Problem.at(cfg, path, path, message))
