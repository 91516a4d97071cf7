"""The errors that a user can cause, and that the command line prints without a traceback.

Every one states the offending value, where it came from, the nearest valid choice and the fix.
An error that is not a `ToolkitError` is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

_WORKER_PREFIX = "Caught "
_WORKER_MARK = "Original Traceback"


class ToolkitError(Exception):
    """Base of all errors that come from a user's input, not from a fault of the program."""

    def __init__(self, message: str = "") -> None:
        super().__init__(self._without_worker_traceback(message))

    @classmethod
    def _without_worker_traceback(cls, message: str) -> str:
        # torch rebuilds an exception of a DataLoader worker from its formatted traceback;
        # what the user needs of it is the message that the worker raised.
        if message.startswith(_WORKER_PREFIX) and _WORKER_MARK in message:
            return message.rsplit(f"{cls.__name__}: ", 1)[-1].rstrip()
        return message


class ConfigError(ToolkitError, ValueError):
    """A config file or an override that can't be read, merged or understood."""


class BuildError(ToolkitError, ValueError):
    """A `type` that can't be resolved, or arguments that don't fit it."""


class DataError(ToolkitError, ValueError):
    """A dataset, an annotation file or an image that can't be used."""


class CheckpointError(ToolkitError, ValueError):
    """A checkpoint that is missing, damaged, unsafe or of another model."""


class TrainingError(ToolkitError, RuntimeError):
    """Training that can't go on, such as a loss that is not finite."""
