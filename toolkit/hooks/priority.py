"""When a hook is called among the hooks of one point: names for numbers, 0 first and 100 last."""

from __future__ import annotations

from enum import Enum

from toolkit.utils import did_you_mean


class Priority(Enum):
    """The named levels. A smaller number runs earlier; hooks of one level keep their order."""

    HIGHEST = 0
    VERY_HIGH = 10
    HIGH = 30
    ABOVE_NORMAL = 40
    NORMAL = 50
    BELOW_NORMAL = 60
    LOW = 70
    VERY_LOW = 90
    LOWEST = 100


def get_priority(priority: int | str | Priority) -> int:
    """The number of a priority given as number, name (any case) or `Priority`.

    Raises:
        ValueError: A number outside 0 to 100, or a name that is none of the levels.
        TypeError: Anything else.
    """
    if isinstance(priority, Priority):
        return priority.value
    if isinstance(priority, bool):
        raise TypeError("a priority is a number from 0 to 100 or a name such as 'NORMAL', got a bool")
    if isinstance(priority, int):
        if not 0 <= priority <= 100:
            raise ValueError(f"a priority lies from 0 (first) to 100 (last), got {priority}")
        return priority
    if isinstance(priority, str):
        names = Priority.__members__
        if priority.upper() not in names:
            raise ValueError(
                f"no priority is called {priority!r}{did_you_mean(priority, names)}; "
                f"there are: {', '.join(names)}"
            )
        return names[priority.upper()].value
    raise TypeError(
        f"a priority is a number from 0 to 100 or a name such as 'NORMAL', got {type(priority).__name__}"
    )
