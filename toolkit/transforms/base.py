"""The base of all transforms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from toolkit.utils.errors import DataError


class BaseTransform(ABC):
    """A step of a pipeline: takes the `results` dict of a sample, and gives it back changed.

    A subclass implements `transform` and says in `reads`, `changes` and `writes` which keys it needs, takes
    along and makes; its docstring has them in lines of the same names. A key that is read but missing is
    reported by name, instead of as a bare KeyError.

    Attributes:
        reads: Keys of `results` that must be there.
        changes: Keys that it changes where they are there.
        writes: Keys that it adds or replaces.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Transform a sample; see `transform`.

        Raises:
            DataError: A key of `reads` is missing.
        """
        try:
            return self.transform(results)
        except KeyError as error:
            missing = [key for key in self.reads if key not in results]
            if not missing:
                raise
            raise DataError(
                f"{type(self).__name__} needs {missing} in results, which no transform before it has "
                f"written; it holds {sorted(results)}"
            ) from error

    @abstractmethod
    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Change a sample.

        Args:
            results: What is known of the sample so far.

        Returns:
            The sample, the same dict or a new one; None drops it.
        """

    def __repr__(self) -> str:
        settings = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"
