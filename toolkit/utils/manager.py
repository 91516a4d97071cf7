"""Instances that are found again by their name, as MMEngine's users know them."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, TypeVar

from toolkit.utils.suggest import did_you_mean

T = TypeVar("T", bound="ManagerMixin")

_lock = threading.RLock()


# For classes that name MMEngine's metaclass; what it did, `ManagerMixin.__init_subclass__` does.
ManagerMeta = type


class ManagerMixin:
    """Gives a class named instances: `get_instance(name)` makes one, later calls find it.

    Every subclass keeps its own table, in order of creation; the newest is the current one.

    Args:
        name: The instance's name, not empty.
    """

    _instance_dict: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._instance_dict = {}

    def __init__(self, name: str = "", **kwargs: Any) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{type(self).__name__} needs a name that is a non-empty string, got {name!r}")
        self._instance_name = name

    @classmethod
    def get_instance(cls: type[T], name: str, **kwargs: Any) -> T:
        """The instance called `name`; made with `kwargs` where there is none yet."""
        if not isinstance(name, str):
            raise TypeError(f"the name of a {cls.__name__} is a str, got {type(name).__name__}")
        with _lock:
            if name not in cls._instance_dict:
                cls._instance_dict[name] = cls(name=name, **kwargs)
            found: T = cls._instance_dict[name]
            return found

    @classmethod
    def get_current_instance(cls: type[T]) -> T:
        """The instance made last.

        Raises:
            RuntimeError: None was made yet.
        """
        with _lock:
            if not cls._instance_dict:
                raise RuntimeError(
                    f"no {cls.__name__} was made yet: call {cls.__name__}.get_instance(name) first"
                )
            newest: T = cls._instance_dict[next(reversed(cls._instance_dict))]
            return newest

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether there is an instance called `name`."""
        return name in cls._instance_dict

    @classmethod
    def find_instance(cls: type[T], name: str) -> T:
        """The instance called `name`, which must exist.

        Raises:
            KeyError: There is none; the message has the nearest name.
        """
        with _lock:
            if name not in cls._instance_dict:
                known = list(cls._instance_dict)
                raise KeyError(
                    f"no {cls.__name__} is called {name!r}{did_you_mean(name, known)}; there are: {known}"
                )
            found: T = cls._instance_dict[name]
            return found

    @property
    def instance_name(self) -> str:
        """The name this instance is found by."""
        return self._instance_name
