"""Command-line options made of a config."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from typing import Any

from toolkit.config.config import Config

logger = logging.getLogger(__name__)


def auto_argparser(description: str | None = None) -> tuple[argparse.ArgumentParser, Config]:
    """A parser with an option for every value of the config that the command line names first.

    The option of ``model.backbone.depth`` is ``--model.backbone.depth``; it has the type of the value, takes
    several values where that is a list or tuple, and is None unless it is given. `DictAction` takes values of
    any kind, and bare ``KEY=VALUE`` arguments need no options at all.

    Args:
        description: what the program does, for its help.

    Returns:
        The parser, whose first argument is the config, and the config.

    Raises:
        SystemExit: if no config is named.
        ConfigError: if it can't be read.
    """
    finder = argparse.ArgumentParser(description=description, add_help=False)
    finder.add_argument("config", help="config file")
    path: str = finder.parse_known_args()[0].config
    cfg = Config.fromfile(path)
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="config file")
    _add_options(parser, cfg._cfg_dict, "")
    return parser, cfg


def _add_options(parser: argparse.ArgumentParser, values: Mapping[Any, Any], prefix: str) -> None:
    for key, value in values.items():
        name = f"--{prefix}{key}"
        if isinstance(value, Mapping):
            _add_options(parser, value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction)
        elif isinstance(value, (str, int, float)):
            parser.add_argument(name, type=_kind(value))
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], (str, int, float)):
            parser.add_argument(name, type=_kind(value[0]), nargs="+")
        else:
            logger.info("%s gets no option, it is a %s", name[2:], type(value).__name__)


def _kind(value: Any) -> type:
    """The builtin type of a value."""
    return next(kind for kind in (str, int, float) if isinstance(value, kind))
