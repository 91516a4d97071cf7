"""What is wrong with the samples of a dataset: counted by reason, told by file, skipped or refused."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from toolkit.logging import FILE_ONLY
from toolkit.utils import BuildError, DataError, did_you_mean

logger = logging.getLogger("toolkit")

POLICIES = ("skip", "error")
_SHOWN = 5


def shown(items: Iterable[object], total: int) -> str:
    """The first of `total` items, as text."""
    first = [str(item) for _, item in zip(range(_SHOWN), items, strict=False)]
    return ", ".join(first) + (", …" if total > len(first) else "")


class Faults:
    """The faults of a dataset's files.

    Args:
        policy: 'skip' leaves out what can't be used and reports it; 'error' refuses the dataset.

    Raises:
        BuildError: Another policy.

    Attributes:
        counts: How many faults there are, by reason.
    """

    def __init__(self, policy: str = "skip") -> None:
        if policy not in POLICIES:
            raise BuildError(
                f"on_bad_sample={policy!r} is unknown{did_you_mean(policy, POLICIES) or '.'} "
                "It is 'skip' or 'error'."
            )
        self.policy = policy
        self.counts: Counter[str] = Counter()
        self._where: dict[str, list[str]] = {}

    def note(self, reason: str, where: str) -> None:
        """Count a fault.

        Args:
            reason: What is wrong, in the plural: "objects without area".
            where: The file, and the object in it.
        """
        self.counts[reason] += 1
        self._where.setdefault(reason, []).append(where)

    def clear(self) -> None:
        """Forget all faults."""
        self.counts.clear()
        self._where.clear()

    def settle(self, owner: str, source: str) -> None:
        """Warn of the faults, with the whole list in the log file, or refuse them.

        Args:
            owner: The dataset's type.
            source: Where its annotations come from.

        Raises:
            DataError: There are faults, and the policy is 'error'.
        """
        if not self.counts:
            return
        total = self.counts.total()
        reasons = "; ".join(
            f"{count} {reason}: {shown(self._where[reason], count)}"
            for reason, count in self.counts.most_common()
        )
        head = f"{owner} finds {total} {'fault' if total == 1 else 'faults'} in {source!r}"
        if self.policy == "error":
            raise DataError(
                f"{head} (on_bad_sample='error'): {reasons}. Correct the files, or set on_bad_sample='skip' "
                "to leave out what can't be used."
            )
        logger.warning(f"{head}, and leaves out what can't be used (on_bad_sample='skip'). {reasons}")
        if any(count > _SHOWN for count in self.counts.values()):
            lines = [f"{reason}: {where}" for reason, places in self._where.items() for where in places]
            logger.info(f"All faults of {source!r}:\n" + "\n".join(lines), extra=FILE_ONLY)
