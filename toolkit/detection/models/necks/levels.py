"""Which of a backbone's maps a pyramid uses."""

from __future__ import annotations

from typing import Any

from toolkit.utils import BuildError


def used_levels(name: str, num_ins: int, num_outs: int, start_level: int, end_level: int) -> int:
    """The number of the input behind the last that is used.

    Args:
        name: The neck, for messages.
        num_ins: How many inputs there are.
        num_outs: How many outputs there are.
        start_level: First input that is used.
        end_level: Last input that is used, itself included; -1 for the last one.

    Raises:
        BuildError: There are too few outputs for the inputs, or coarser outputs where inputs are left out.
    """
    if end_level in (-1, num_ins - 1):
        if num_outs < num_ins - start_level:
            raise BuildError(
                f"{name}: num_outs {num_outs} is less than the {num_ins - start_level} levels "
                f"from start_level {start_level} to the last of {num_ins} inputs; "
                "set end_level or num_outs"
            )
        return num_ins
    if not start_level <= end_level < num_ins or num_outs != end_level - start_level + 1:
        raise BuildError(
            f"{name}: end_level {end_level} must be an input from start_level {start_level} on, and "
            f"num_outs {num_outs} equal to end_level - start_level + 1; there are {num_ins} inputs"
        )
    return end_level + 1


def no_init_cfg(name: str, init_cfg: Any) -> None:
    """Refuse an `init_cfg` of a neck that initialises itself in its own way.

    Raises:
        BuildError: There is one.
    """
    if init_cfg is not None:
        raise BuildError(f"{name} initialises itself and takes no init_cfg; got {init_cfg!r}")


def check_inputs(name: str, expected: int, found: int) -> None:
    """Refuse another number of maps than a neck is set up for.

    Raises:
        BuildError: The numbers differ.
    """
    if expected != found:
        raise BuildError(f"{name} is set up for {expected} inputs, the backbone gives {found}")
