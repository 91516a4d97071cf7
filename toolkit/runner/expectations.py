"""Metrics against what they are expected to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.utils.errors import ConfigError, ToolkitError
from toolkit.utils.suggest import did_you_mean


class ResultsError(ToolkitError):
    """A metric is not what it is expected to be."""


def checked_expectations(expected: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Expectations as pairs of a value and how far the metric may be from it.

    Raises:
        ConfigError: One isn't such a pair.
    """
    pairs: dict[str, tuple[float, float]] = {}
    for name, pair in expected.items():
        numbers = isinstance(pair, (list, tuple)) and all(isinstance(n, (int, float)) for n in pair)
        if not numbers or len(pair) != 2 or pair[1] < 0:
            raise ConfigError(
                f"test_cfg.expected_results[{name!r}] must be a value and a tolerance, such as "
                f"(0.374, 0.002); got {pair!r}"
            )
        pairs[name] = (float(pair[0]), float(pair[1]))
    return pairs


def check_results(
    metrics: Mapping[str, Any], expected: Mapping[str, tuple[float, float]], logger: Any
) -> None:
    """Compare metrics with expectations, and log how they compare.

    Raises:
        ResultsError: One is missing or too far off; the message lists all.
    """
    problems = []
    for name, (value, tolerance) in expected.items():
        if name not in metrics:
            known = ", ".join(map(str, metrics)) or "none"
            problems.append(
                f"{name} is not among the metrics{did_you_mean(name, list(metrics))}; they are: {known}"
            )
            continue
        found = float(metrics[name])
        line = f"{name} is {found:.6g}, expected {value:g} ± {tolerance:g}"
        # Written so that NaN fails.
        if abs(found - value) <= tolerance:
            logger.info(line)
        else:
            problems.append(line)
    if problems:
        raise ResultsError("the results are not the expected ones:\n" + "\n".join(problems))
