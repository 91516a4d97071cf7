"""The argparse action of MMEngine's command lines: ``--cfg-options KEY=VALUE ...``."""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

from toolkit.config.option_values import parse_overrides
from toolkit.utils.errors import ConfigError


class DictAction(Action):
    """Collects ``KEY=VALUE`` arguments into a dict; a repeated option adds to it.

    Values are read as `toolkit.config.parse_overrides` says.

    Example:
        >>> parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    """

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        options = [values] if isinstance(values, str) else list(values or ())
        collected = dict(getattr(namespace, self.dest, None) or {})
        try:
            collected.update(parse_overrides(options))
        except ConfigError as error:
            raise ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, collected)
