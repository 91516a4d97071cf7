"""Which initialiser touched which parameter last, for the log file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn

from toolkit.dist import is_main_process

logger = logging.getLogger(__name__)

_UNTOUCHED = "as the layer's own constructor made it"


class InitRecord:
    """Notes, parameter by parameter, what changed it last.

    Args:
        model: The model whose weights are going to be initialised.
    """

    def __init__(self, model: nn.Module) -> None:
        self._notes: dict[int, str] = {}
        self._marks = {id(param): _mark(param) for param in model.parameters()}

    def note(self, module: nn.Module, what: str) -> None:
        """Say of every parameter of `module` that changed since it was last looked at: it was `what`."""
        for param in module.parameters():
            mark = _mark(param)
            if self._marks.get(id(param)) != mark:
                self._notes[id(param)] = what
                self._marks[id(param)] = mark

    def text(self, model: nn.Module) -> str:
        """A line a parameter: its name, shape, and what initialised it."""
        lines = [
            f"{name} - {tuple(param.shape)}: {self._notes.get(id(param), _UNTOUCHED)}"
            for name, param in model.named_parameters()
        ]
        return "\n".join(["Initialisation of the parameters:", *lines])


_active: ContextVar[InitRecord | None] = ContextVar("init_record", default=None)


@contextmanager
def recording(model: nn.Module) -> Iterator[InitRecord]:
    """The record of the initialisation that is going on; the outermost one writes it to the log file."""
    record = _active.get()
    if record is not None:
        yield record
        return
    record = InitRecord(model)
    token = _active.set(record)
    try:
        yield record
    finally:
        _active.reset(token)
    if is_main_process():
        # To the file alone: a model has hundreds of parameters.
        logger.info(record.text(model), extra={"file_only": True})


def update_init_info(module: nn.Module, init_info: str) -> None:
    """Say what has just changed parameters of a module, in an `init_weights` that changes them itself.

    It stands in the log then, in place of the name of the module's `init_weights`. Outside of an
    initialisation there is nothing to note.

    Args:
        module: The module.
        init_info: What was done to those of its parameters that have changed.
    """
    record = _active.get()
    if record is not None:
        record.note(module, init_info)


def _mark(param: Tensor) -> tuple[int, int, float]:
    """Changes when a parameter does: in place, by another tensor, or past autograd through `.data`."""
    value = 0.0 if param.is_meta or not param.numel() else float(param.detach().double().sum())
    return param._version, param.data_ptr() if not param.is_meta else 0, value
