"""What belongs together in a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.registry.scope import ROOT_SCOPE, SCOPE_ALIASES, SCOPE_MODULES
from toolkit.runner.preflight.problems import Problem
from toolkit.runner.preflight.slots import DATALOADERS, OTHER_TOP_KEYS, TOP
from toolkit.runner.sets import is_named_evaluators, naming_problem
from toolkit.utils import did_you_mean, nearest

GROUPS = {
    "train": ("train_dataloader", "train_cfg", "optim_wrapper"),
    "val": ("val_dataloader", "val_cfg", "val_evaluator"),
    "test": ("test_dataloader", "test_cfg", "test_evaluator"),
}

KNOWN_TOP_KEYS = frozenset({*TOP, *DATALOADERS, *OTHER_TOP_KEYS})


def group_problems(cfg: Mapping[str, Any], mode: str) -> Iterator[Problem]:
    """Parts that a mode needs and the config lacks, and groups that are given in part.

    Args:
        cfg: The config.
        mode: ``train``, ``test`` or ``infer``.
    """
    if cfg.get("model") is None:
        yield _lacking(cfg, "model", "the config has no 'model'")
    if mode == "infer":
        return
    checked = ("train", "val") if mode == "train" else ("val", "test")
    for role in checked:
        group = GROUPS[role]
        given = [part for part in group if cfg.get(part) is not None]
        # A test run uses the test group, or the validation group where there is no other.
        needed = role == mode and not (mode == "test" and _is_whole(cfg, "val"))
        if (given or needed) and len(given) < len(group):
            together = f"{', '.join(group)} go together"
            for part in group:
                if part not in given:
                    has = f"{together}, and the config has {', '.join(given) or 'none of them'}"
                    yield _lacking(cfg, part, f"{part!r} is missing: {has}")
        if role != "train":
            loaders, evaluators = f"{role}_dataloader", f"{role}_evaluator"
            problem = naming_problem(role, cfg.get(loaders), cfg.get(evaluators))
            if problem is not None:
                yield Problem.at(cfg, evaluators, "", problem)
            yield from _twin_metrics(cfg, evaluators, evaluators, cfg.get(evaluators))
    if cfg.get("param_scheduler") is not None and cfg.get("optim_wrapper") is None and mode == "train":
        yield Problem.at(
            cfg, "param_scheduler", "param_scheduler", "a param_scheduler needs an 'optim_wrapper' to act on"
        )


def _twin_metrics(container: Any, key: Any, path: str, evaluator: Any) -> Iterator[Problem]:
    """Metrics of one evaluator that are equal, and so would give numbers of the same names."""
    if is_named_evaluators(evaluator):
        for name, one in evaluator.items():
            yield from _twin_metrics(evaluator, name, f"{path}.{name}", one)
        return
    metrics = evaluator.get("metrics") if isinstance(evaluator, Mapping) else evaluator
    if not isinstance(metrics, list | tuple):
        return
    given = [one for one in metrics if isinstance(one, Mapping)]
    for place, one in enumerate(given):
        if one in given[:place]:
            kind = one.get("type")
            message = (
                f"has two equal metrics {kind}, whose numbers have the same names: give one a prefix='...'"
            )
            yield Problem.at(container, key, path, message)


def _is_whole(cfg: Mapping[str, Any], role: str) -> bool:
    return all(cfg.get(part) is not None for part in GROUPS[role])


def _lacking(cfg: Mapping[str, Any], part: str, message: str) -> Problem:
    """A part that is not there, with the key that looks like a misspelling of it."""
    others = [str(key) for key in cfg if key not in KNOWN_TOP_KEYS]
    near = nearest(part, others)
    if near is None:
        return Problem(message)
    return Problem.at(cfg, near, "", f"{message}; there is {near!r}: did you mean {part!r}?")


def scope_problems(cfg: Mapping[str, Any]) -> Iterator[Problem]:
    """A default scope that looks like a misspelling of one of ours.

    One that looks like nothing known may be the user's own, made by the modules of `custom_imports`.
    """
    scope = cfg.get("default_scope")
    known = [ROOT_SCOPE, *SCOPE_ALIASES, *SCOPE_MODULES]
    if isinstance(scope, str) and scope not in known:
        near = did_you_mean(scope, known)
        if near:
            yield Problem.at(cfg, "default_scope", "default_scope", f"there is no scope {scope!r}{near}")
