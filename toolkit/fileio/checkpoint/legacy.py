"""Stand-ins for the classes that OpenMMLab's checkpoints hold beside their weights.

MMEngine pickled its message hub, with `HistoryBuffer` objects and NumPy arrays, and now and then configs.
torch's restricted unpickler refuses them. It is given harmless stand-ins under their names: the data come
through, no code of the file's choosing runs. `plain` then turns the stand-ins into what a message hub of ours
reads.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any

_STAND_IN_CLASSES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "mmengine.utils.version_utils.Version",
    "packaging.version.Version",
    "packaging._structures.InfinityType",
    "packaging._structures.NegativeInfinityType",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
)
_DICTS = (
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "addict.addict.Dict",
    "mmengine.config.config.Config",
)


class StandIn:
    """Takes the place of an object: keeps what it was made of, and does nothing."""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None

    def __new__(cls, *args: Any) -> StandIn:
        """An instance, whatever the arguments."""
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _attribute(_owner: Any, _name: str, *_default: Any) -> None:
    """Stands for `getattr`: a file shall not reach into objects."""


def _defaultdict(*_factory: Any) -> dict[Any, Any]:
    return {}


@cache
def stand_ins() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What the restricted unpickler may find, by name: the stand-ins, and NumPy's arrays and numbers."""
    import _codecs

    import numpy as np

    core: Any = importlib.import_module(
        "numpy._core.multiarray" if np.__version__ >= "2" else "numpy.core.multiarray"
    )

    arrays: list[Any] = [np.ndarray, np.dtype, (_codecs.encode, "_codecs.encode")]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        arrays += [(core._reconstruct, f"{module}._reconstruct"), (core.scalar, f"{module}.scalar")]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefdgFDSUOMm"}
    classes: list[Any] = [(type(name, (StandIn,), {}), name) for name in _STAND_IN_CLASSES]
    dicts: list[Any] = [(dict, name) for name in _DICTS]
    plain_calls: list[Any] = [
        (_attribute, "builtins.getattr"),
        (_defaultdict, "collections.defaultdict"),
    ]
    kept: list[Any] = [int, float, bool, str, bytes, list, dict, tuple, set, frozenset]
    return [*arrays, *kinds, *classes, *dicts, *plain_calls, *kept]


def plain(value: Any) -> Any:
    """The same with stand-ins and NumPy's objects turned into dicts, lists and Python's numbers."""
    import numpy as np

    if type(value) in (dict, OrderedDict):
        made = type(value)((key, plain(item)) for key, item in value.items())
        if isinstance(value, OrderedDict):
            vars(made).update(vars(value))  # the `_metadata` of a state dict
        return made
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, StandIn):
        return _plain_stand_in(value)
    return value


def _plain_stand_in(value: StandIn) -> Any:
    state = plain(value.state)
    if isinstance(state, dict) and "_log_history" in state:
        return {
            "log_history": state["_log_history"],
            "count_history": state.get("_count_history", []),
            "max_length": state.get("_max_length", state.get("max_length", 1_000_000)),
        }
    return state if state is not None else list(plain(value.args))
