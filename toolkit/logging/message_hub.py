"""Where the parts of a run leave numbers and facts for each other."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.logging.history_buffer import HistoryBuffer
from toolkit.logging.logger import print_log
from toolkit.logging.readback import NUMBERS, check_scalar, read_back
from toolkit.utils import did_you_mean
from toolkit.utils.manager import ManagerMixin

# So many updates may wait unread; then they are read whether anybody asks or not, to bound the memory.
_MOST_PENDING = 2000


class MessageHub(ManagerMixin):
    """Holds the histories of logged scalars and the run's facts ("runtime info").

    Scalars may be tensors on a device. They are only put aside when they arrive; when a history is first
    asked for, all that wait are stacked and read in one transfer, so that training never stops for its log.

    Args:
        name: The instance's name.
        log_scalars: Histories to begin with.
        runtime_info: Facts to begin with.
        resumed_keys: Which keys a checkpoint carries; those not named are carried.
    """

    def __init__(
        self,
        name: str,
        log_scalars: Mapping[str, HistoryBuffer] | None = None,
        runtime_info: Mapping[str, Any] | None = None,
        resumed_keys: Mapping[str, bool] | None = None,
    ) -> None:
        super().__init__(name)
        self._log_scalars: OrderedDict[str, HistoryBuffer] = OrderedDict(log_scalars or {})
        self._runtime_info: OrderedDict[str, Any] = OrderedDict(runtime_info or {})
        self._resumed_keys: dict[str, bool] = dict(resumed_keys or {})
        # What was not read yet: by prefix and `resumed`, the numbers of each key. Lists stay and are emptied.
        self._pending: defaultdict[tuple[str, bool], defaultdict[str, list[Any]]]
        self._pending = defaultdict(lambda: defaultdict(list))
        self._updates = 0
        self._sources: dict[str, Callable[[], Mapping[str, Any]]] = {}
        for key, value in self._log_scalars.items():
            if not isinstance(value, HistoryBuffer):
                raise TypeError(f"log_scalars[{key!r}] is a HistoryBuffer, got {type(value).__name__}")

    @classmethod
    def get_current_instance(cls) -> MessageHub:
        """The hub made last; one called 'toolkit' where there is none."""
        if not cls._instance_dict:
            return cls.get_instance("toolkit")
        return super().get_current_instance()

    # Scalars.

    def update_scalar(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Appends one number to the history `key`.

        Args:
            key: Name of the history, such as 'train/loss'.
            value: A number, or an array or tensor of one element.
            count: How many samples `value` is the sum of.
            resumed: Whether a checkpoint carries the history.

        Raises:
            TypeError: `value` is no number.
            ValueError: `value` has more or fewer than one element.
        """
        check_scalar(key, value)
        if isinstance(value, Tensor):
            value = value.detach()
        self.update_scalars({key: value if count == 1 else {"value": value, "count": count}}, resumed=resumed)

    def update_scalars(self, log_dict: Mapping[str, Any], prefix: str = "", resumed: bool = True) -> None:
        """Puts numbers aside for the histories `prefix/key`. Cheap: nothing is read from a device.

        Args:
            log_dict: Numbers, arrays or tensors of one element by key; or dicts of 'value' and 'count'.
            prefix: Goes before each key with a slash, where given.
            resumed: Whether a checkpoint carries the histories.
        """
        columns = self._pending[prefix, resumed]
        for key, value in log_dict.items():
            if isinstance(value, Tensor):
                if value.is_cpu and not value.dim():
                    value = value.item()
                elif value.requires_grad:
                    # One that waits would keep its whole graph alive otherwise.
                    value = value.detach()
            columns[key].append(value)
        self._updates += 1
        if self._updates >= _MOST_PENDING:
            self._read_pending()

    def channel(self, prefix: str, key: str, resumed: bool = True) -> Callable[[float], None]:
        """Appends a number to the history `prefix/key`, for what comes in every iteration: the least cost.

        Args:
            prefix: Goes before the key with a slash.
            key: Rest of the history's name.
            resumed: Whether a checkpoint carries the history.

        Returns:
            A function of a plain number, good as long as this hub is.
        """
        return self._pending[prefix, resumed][key].append

    def set_source(self, prefix: str, read: Callable[[], Mapping[str, Any]] | None) -> None:
        """Has `read` asked for numbers under `prefix`, each time that others under it are read.

        For what is always at hand and not worth noting at every step, such as the learning rate.

        Args:
            prefix: Goes before each key with a slash.
            read: Gives numbers by key; None ends it.
        """
        self._read_pending()
        if read is None:
            self._sources.pop(prefix, None)
        else:
            self._sources[prefix] = read

    def _read_pending(self) -> None:
        noted = {prefix for (prefix, _), group in self._pending.items() if any(group.values())}
        if not noted:
            return
        self._updates = 0
        for prefix in noted.intersection(self._sources):
            self.update_scalars(self._sources[prefix](), prefix)
        columns: dict[str, list[Any]] = {}
        for (prefix, resumed), group in self._pending.items():
            for key, column in group.items():
                if column:
                    full = f"{prefix}/{key}" if prefix else key
                    columns.setdefault(full, []).extend(column)
                    self._resumed_keys[full] = resumed
                    column.clear()
        counts = {key: _take_counts(key, column) for key, column in columns.items()}
        for key, numbers in read_back(columns).items():
            history = self._log_scalars.get(key)
            if history is None:
                history = self._log_scalars[key] = HistoryBuffer()
            history.extend(numbers, counts[key])

    @property
    def log_scalars(self) -> OrderedDict[str, HistoryBuffer]:
        """All histories by key, with everything in that was logged so far."""
        self._read_pending()
        return self._log_scalars

    def get_scalar(self, key: str) -> HistoryBuffer:
        """The history `key`.

        Raises:
            KeyError: There is none; the message has the nearest name.
        """
        scalars = self.log_scalars
        if key not in scalars:
            raise KeyError(f"nothing was logged as {key!r}{did_you_mean(key, scalars)}")
        return scalars[key]

    # Facts.

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Sets the fact `key`, such as 'epoch'. A checkpoint carries it if `resumed` and it is plain data."""
        self._runtime_info[key] = value
        self._resumed_keys[key] = resumed

    def update_info_dict(self, info_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Sets several facts."""
        for key, value in info_dict.items():
            self.update_info(key, value, resumed)

    def pop_info(self, key: str, default: Any = None) -> Any:
        """Takes the fact `key` out."""
        return self._runtime_info.pop(key, default)

    def get_info(self, key: str, default: Any = None) -> Any:
        """The fact `key`, or `default`."""
        return self._runtime_info.get(key, default)

    @property
    def runtime_info(self) -> OrderedDict[str, Any]:
        """All facts by key."""
        return self._runtime_info

    # State.

    def state_dict(self) -> dict[str, Any]:
        """The histories and facts that are resumed, in plain containers and tensors."""
        resumed = self._resumed_keys
        scalars = {}
        for key, history in self.log_scalars.items():
            if resumed.get(key, True):
                values, counts = history.data
                scalars[key] = {
                    "log_history": torch.tensor(values),
                    "count_history": torch.tensor(counts),
                    "max_length": history.max_length,
                }
        info = {}
        for key, value in self._runtime_info.items():
            if not resumed.get(key, True):
                continue
            try:
                info[key] = _plain(value)
            except TypeError as error:
                print_log(f"a checkpoint can't carry the fact {key!r}: {error}", "current", "WARNING")
        return {"log_scalars": scalars, "runtime_info": info, "resumed_keys": dict(resumed)}

    def load_state_dict(self, state_dict: MessageHub | Mapping[str, Any]) -> None:
        """Takes histories and facts of another hub or of `state_dict`; keys that it lacks stay."""
        if isinstance(state_dict, MessageHub):
            state_dict = state_dict.state_dict()
        missing = [key for key in ("log_scalars", "runtime_info", "resumed_keys") if key not in state_dict]
        if missing:
            raise ValueError(f"this is no state of a MessageHub: it has no {', '.join(missing)}")
        self._read_pending()
        for key, state in state_dict["log_scalars"].items():
            self._log_scalars[key] = HistoryBuffer(
                np.asarray(state["log_history"]).tolist(),
                np.asarray(state["count_history"]).tolist(),
                int(state["max_length"]),
            )
        self._runtime_info.update(state_dict["runtime_info"])
        self._resumed_keys.update(state_dict["resumed_keys"])


def _take_counts(key: str, column: list[Any]) -> list[int] | None:
    """Replaces dicts of 'value' and 'count' in `column` by the value; the counts, or None for 1 each."""
    if NUMBERS.issuperset(map(type, column)):
        return None
    counts = [1] * len(column)
    for place, value in enumerate(column):
        if isinstance(value, Mapping):
            if "value" not in value or set(value) - {"value", "count"}:
                raise ValueError(
                    f"{key}: a dict of 'value' and 'count' is wanted, got the keys {sorted(value)}"
                )
            column[place], counts[place] = value["value"], int(value.get("count", 1))
    return counts


def _plain(value: Any) -> Any:
    """`value` in containers, numbers, strings and tensors only, which a checkpoint may hold."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        # Subclasses (an enum, numpy's float64) would need their class on loading.
        kinds: tuple[Any, ...] = (bool, int, float, str, bytes)
        return next((kind(value) for kind in kinds if isinstance(value, kind)), None)
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.tensor(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} is no plain data")
