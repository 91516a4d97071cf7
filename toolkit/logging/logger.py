"""The run's logger: a console and a file, coloured where somebody looks, quiet on all ranks but the first."""

from __future__ import annotations

import logging
import logging.handlers
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from toolkit.dist import get_local_rank, get_rank, get_world_size
from toolkit.utils import ConfigError, did_you_mean
from toolkit.utils.manager import ManagerMixin

ROOT_NAME = "toolkit"
_COLORS = {"DEBUG": "\033[32m", "WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[1;31m"}
_RESET = "\033[0m"


class MMFormatter(logging.Formatter):
    """`date - name - level - message`, with where it was said for debugging.

    Args:
        color: Whether levels other than INFO are coloured.
        datefmt: Form of the date.
    """

    def __init__(self, color: bool = True, datefmt: str = "%m/%d %H:%M:%S") -> None:
        super().__init__(datefmt=datefmt)
        self.color = color

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, of `record`."""
        level = record.levelname
        if self.color and level in _COLORS:
            level = f"{_COLORS[level]}{level}{_RESET}"
        where = ""
        if record.levelno <= logging.DEBUG:
            where = f"{record.pathname}:{record.lineno} {record.funcName} - "
        date = self.formatTime(record, self.datefmt)
        line = f"{date} - {record.name} - {level} - {where}{record.getMessage()}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    # Before Python 3.11 the class takes no parameter.
    _StreamHandler = logging.StreamHandler


class ConsoleHandler(_StreamHandler):
    """Writes to what `sys.stdout` is at the moment, so that a live bar can stay beneath the lines."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self._plain = MMFormatter(color=False)
        self._colored = MMFormatter(color=True)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The current standard output."""
        return sys.stdout

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`, coloured on a terminal unless `NO_COLOR` is set."""
        colored = self.stream.isatty() and not os.environ.get("NO_COLOR")
        return (self._colored if colored else self._plain).format(record)


class FilterDuplicateWarning(logging.Filter):
    """Lets a warning pass only once, word for word."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is new, or no warning."""
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        if message in self.seen:
            return False
        self.seen.add(message)
        return True


FILE_ONLY = {"file_only": True}
"""As `extra` of a log call: long reports go to the log file alone, so that the console stays readable."""


def _for_console(record: logging.LogRecord) -> bool:
    return not getattr(record, "file_only", False)


class MMLogger(ManagerMixin, logging.Logger):
    """A named logger with a console and, if asked for, a file.

    Rank 0 writes from `log_level` on; the other ranks only errors. Only rank 0 writes a file, unless
    `distributed`, when every rank has its own. What is logged to the standard library's logger 'toolkit', or
    to one below it such as `logging.getLogger('toolkit.dataset')`, goes to the newest instance.

    Args:
        name: The instance's name.
        logger_name: What lines are headed with.
        log_file: File to write to. Its folder is made.
        log_level: Lowest level that is written.
        file_mode: 'w' or 'a'.
        distributed: Whether ranks other than 0 write a file too, with host, device and rank in its name.
        file_handler_cfg: `type` is the name of a file handler of `logging` or `logging.handlers`,
            such as 'TimedRotatingFileHandler'; the rest are its arguments.
    """

    def __init__(
        self,
        name: str,
        logger_name: str = ROOT_NAME,
        log_file: str | os.PathLike[str] | None = None,
        log_level: int | str = "INFO",
        file_mode: str = "w",
        distributed: bool = False,
        file_handler_cfg: dict[str, Any] | None = None,
    ) -> None:
        logging.Logger.__init__(self, logger_name)
        ManagerMixin.__init__(self, name)
        level = _level(log_level)
        rank = get_rank()
        console = ConsoleHandler()
        console.setLevel(level if rank == 0 else logging.ERROR)
        console.addFilter(_for_console)
        console.addFilter(FilterDuplicateWarning())
        self.addHandler(console)
        self._log_file: str | None = None
        if log_file is not None and (rank == 0 or distributed):
            self._log_file = _rank_file(Path(log_file), rank)
            handler = _file_handler(self._log_file, file_mode, file_handler_cfg)
            handler.setLevel(level)
            handler.setFormatter(MMFormatter(color=False, datefmt="%Y/%m/%d %H:%M:%S"))
            handler.addFilter(FilterDuplicateWarning())
            self.addHandler(handler)
        self.setLevel(level)
        _forward_standard_library(level)

    @property
    def log_file(self) -> str | None:
        """Path of the log file, or None."""
        return self._log_file

    @classmethod
    def get_current_instance(cls) -> MMLogger:
        """The logger made last; one called 'toolkit', without a file, where there is none."""
        if not cls._instance_dict:
            return cls.get_instance(ROOT_NAME)
        return super().get_current_instance()

    def setLevel(self, level: int | str) -> None:
        """Sets the lowest level that is written."""
        super().setLevel(level)
        # The standard library only empties this cache for loggers that it made itself.
        self._cache.clear()  # type: ignore[attr-defined]


class _ToCurrentLogger(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logger = MMLogger.get_current_instance()
        if record.levelno >= logger.level:
            logger.handle(record)


def _forward_standard_library(level: int) -> None:
    """Sends what lower layers log (they can't import this package) to the newest `MMLogger`."""
    root = logging.getLogger(ROOT_NAME)
    root.setLevel(level)
    if not any(isinstance(handler, _ToCurrentLogger) for handler in root.handlers):
        root.addHandler(_ToCurrentLogger())


def _level(level: int | str) -> int:
    if isinstance(level, int):
        return level
    names = logging.getLevelNamesMapping() if sys.version_info >= (3, 11) else logging._nameToLevel
    if level.upper() not in names:
        raise ConfigError(f"log_level {level!r} is no level{did_you_mean(level, names)}")
    return names[level.upper()]


def _rank_file(path: Path, rank: int) -> str:
    if get_world_size() > 1:
        tag = f"{socket.gethostname()}_device{get_local_rank()}_rank{rank}"
        path = path.with_name(f"{path.stem}_{tag}{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(path)


def _file_handler(path: str, mode: str, cfg: dict[str, Any] | None) -> logging.Handler:
    cfg = dict(cfg or {})
    kind = cfg.pop("type", "FileHandler")
    handlers = {
        name: value
        for module in (logging, logging.handlers)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, logging.FileHandler)
    }
    if kind not in handlers:
        raise ConfigError(
            f"file_handler_cfg: no file handler {kind!r}{did_you_mean(kind, handlers)}; "
            f"there are: {', '.join(sorted(handlers))}"
        )
    if kind == "FileHandler":
        cfg.setdefault("mode", mode)
    cfg.setdefault("filename", path)
    handler: logging.Handler = handlers[kind](**cfg)
    return handler


def print_log(msg: Any, logger: logging.Logger | str | None = None, level: int | str = logging.INFO) -> None:
    """Logs `msg`.

    Args:
        msg: What to say.
        logger: A logger; the name of an `MMLogger`; 'current' for the newest one; 'silent' for nowhere;
            None prints.
        level: Level, as number or name.

    Raises:
        ValueError: No logger has that name.
    """
    if logger is None:
        print(msg)
        return
    if logger == "silent":
        return
    if isinstance(logger, str):
        if logger == "current":
            logger = MMLogger.get_current_instance()
        elif MMLogger.check_instance_created(logger):
            logger = MMLogger.get_instance(logger)
        else:
            known = ["current", "silent", *MMLogger._instance_dict]
            raise ValueError(
                f"no logger is called {logger!r}{did_you_mean(logger, known)}; there are: {known}"
            )
    if not isinstance(logger, logging.Logger):
        raise TypeError(f"logger is a logging.Logger, a name or None, got {type(logger).__name__}")
    logger.log(_level(level), msg, stacklevel=2)
