"""Strengths of the operations that AutoAugment and RandAugment choose from."""

from __future__ import annotations

import numpy as np

from toolkit.utils.errors import ConfigError

MAX_LEVEL = 10


def level_to_mag(level: int | None, min_mag: float, max_mag: float) -> float:
    """Strength at a level, rounded to one decimal; a random one without a level.

    Args:
        level: From 0 (`min_mag`) to `MAX_LEVEL` (`max_mag`).
        min_mag: Least strength.
        max_mag: Greatest strength.
    """
    part = np.random.rand() if level is None else level / MAX_LEVEL
    return round(part * (max_mag - min_mag) + min_mag, 1)


def check_strength(
    name: str, prob: float, level: int | None, mags: tuple[float, float], limits: tuple[float, float] | None
) -> None:
    """Check what all these operations are given.

    Args:
        name: The transform, for the message.
        prob: Probability of doing it.
        level: See `level_to_mag`.
        mags: Least and greatest strength.
        limits: What strengths must lie between; None for no limit.

    Raises:
        ConfigError: One of them is outside its range.
    """
    if not 0 <= prob <= 1:
        raise ConfigError(f"{name} got prob={prob}; a probability is from 0 to 1.")
    if level is not None and not (isinstance(level, int) and 0 <= level <= MAX_LEVEL):
        raise ConfigError(
            f"{name} got level={level!r}; it takes a whole number from 0 to {MAX_LEVEL}, or None."
        )
    low, high = mags
    if low > high:
        raise ConfigError(f"{name} got min_mag={low} above max_mag={high}.")
    if limits is not None and not (limits[0] <= low and high <= limits[1]):
        raise ConfigError(
            f"{name} got min_mag={low}, max_mag={high}; they must lie from {limits[0]} to {limits[1]}."
        )
