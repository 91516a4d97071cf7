"""The survey of all configs, with a memory of what was tried before."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo import trial
from zoo.jobs import run_all

_ROOT = Path(__file__).resolve().parents[2]
BASE_FAMILY = "_base_"
STEPS = ("load", "build", "train", "predict")


@dataclass
class Row:
    """What was found out about a config.

    Attributes:
        config: Its path below the folder of configs.
        steps: Which of `STEPS` it did. Training and prediction count if everything that they need of the
            config is there: datasets, pipelines, metrics, hooks and schedules too.
        lacking: Types that there are none of, the first one first.
        reason: Why it doesn't do all, in a line; empty otherwise.
        seconds: How long the trial of its model took.
    """

    config: str
    steps: dict[str, bool]
    lacking: list[str] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0

    @property
    def family(self) -> str:
        """The folder that the config lies in."""
        return self.config.partition("/")[0]

    @property
    def complete(self) -> bool:
        """Whether it does everything."""
        return all(self.steps.values())


class Memory:
    """Outcomes of earlier trials, in a JSON file: by digest of what was tried, with the code's digest.

    Args:
        path: The file.
        code: The digest of the code as it is now; outcomes of other code are used only where `keep_passed`.
        keep_passed: Whether trials that succeeded with other code are taken as they were.
    """

    def __init__(self, path: Path, code: str, keep_passed: bool = False) -> None:
        self._path, self._code, self._keep_passed = path, code, keep_passed
        self._entries: dict[str, dict[str, Any]] = {}
        if path.is_file():
            self._entries = json.loads(path.read_text())

    def get(self, key: str) -> dict[str, Any] | None:
        """The outcome of a trial, or None where it must be run."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        passed = all(entry["outcome"].get(step) for step in ("build", "train", "predict"))
        return entry["outcome"] if entry["code"] == self._code or (passed and self._keep_passed) else None

    def put(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Remember an outcome."""
        self._entries[key] = {"code": self._code, "outcome": dict(outcome)}

    def save(self) -> None:
        """Write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._path.parent)
        with os.fdopen(handle, "w") as file:
            json.dump(self._entries, file, indent=0)
        os.replace(temporary, self._path)


def code_digest() -> str:
    """A text that changes with any line of the package or of this tool."""
    digest = hashlib.sha256()
    for folder in ("toolkit", "tools/zoo"):
        for file in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


@dataclass
class Limits:
    """How the trials run: `jobs` at a time, each with limits of `seconds` and `gigabytes`."""

    jobs: int = 1
    seconds: float = 120.0
    gigabytes: float = 16.0


def survey(
    root: Path,
    names: Iterable[str],
    memory: Memory,
    limits: Limits,
    tell: Callable[[int, int, Row], None],
) -> list[Row]:
    """Try configs; those whose models and optimizers are equal share one trial.

    Args:
        root: The folder of configs.
        names: Paths below it.
        memory: Earlier outcomes; new ones are added, and written now and then.
        limits: How the trials run.
        tell: Called after each config with its number, the number of all, and its row.

    Returns:
        A row a config, in the order of `names`.
    """
    names = list(names)
    read: dict[str, dict[str, Any]] = {}
    for name, found, reason in run_all(
        trial.read, ((name, (root / name,)) for name in names), limits.jobs, limits.seconds, limits.gigabytes
    ):
        read[name] = found or {"load": False, "reason": reason}
    outcomes = _trials(read, memory, limits, names, tell)
    return [row_of(name, read[name], outcomes.get(read[name].get("trial", ""))) for name in names]


def _trials(
    read: Mapping[str, dict[str, Any]],
    memory: Memory,
    limits: Limits,
    names: list[str],
    tell: Callable[[int, int, Row], None],
) -> dict[str, dict[str, Any]]:
    users: dict[str, list[str]] = {}
    for name in names:
        if "trial" in read[name] and not name.startswith(BASE_FAMILY):
            users.setdefault(read[name]["trial"], []).append(name)
    outcomes = {key: known for key in users if (known := memory.get(key)) is not None}
    parts = ("model", "optim_wrapper", "scope")
    calls = [
        (key, tuple(read[users[key][0]][part] for part in parts)) for key in users if key not in outcomes
    ]
    done = sum(len(users[key]) for key in outcomes)
    total = sum(len(one) for one in users.values())
    for key, found, reason in run_all(trial.run, calls, limits.jobs, limits.seconds, limits.gigabytes):
        outcomes[key] = found or {"build": False, "train": False, "predict": False, "reason": reason}
        memory.put(key, outcomes[key])
        memory.save()
        for name in users[key]:
            done += 1
            tell(done, total, row_of(name, read[name], outcomes[key]))
    return outcomes


def row_of(name: str, read: Mapping[str, Any], outcome: Mapping[str, Any] | None) -> Row:
    """What reading a config and trying its model gave, as one row."""
    if not read["load"] or outcome is None:
        steps = {step: bool(read["load"]) and step == "load" for step in STEPS}
        return Row(name, steps, reason=read.get("reason", "") or "a part, without a model")
    train, test = read["train"], read["test"]
    steps = {
        "load": True,
        "build": bool(outcome["build"]),
        "train": bool(outcome["train"]) and not any(train.values()),
        "predict": bool(outcome["predict"]) and not any(test.values()),
    }
    lacking = list(dict.fromkeys([*outcome.get("lacking", ()), *train["lacking"], *test["lacking"]]))
    reason = ""
    if not all(steps.values()):
        problems = [*train["problems"], *test["problems"]]
        firsts = [f"no {lacking[0]}"] if lacking else [outcome.get("reason"), *problems]
        reason = next((text for text in firsts if text), "")
    return Row(name, steps, lacking, reason, float(outcome.get("seconds", 0.0)))
