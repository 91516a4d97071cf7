"""The file that is being evaluated, and the errors that point into it."""

from __future__ import annotations

import ast

from toolkit.config.evaluator.limits import Refused
from toolkit.config.origin import display_path
from toolkit.config.templates import TemplateTable
from toolkit.utils.errors import ConfigError

TRUST_HINT = (
    "A config is data and is not run; to run this file as plain Python, if you trust it, "
    "use --trust-config (trusted=True in code)."
)
_LONGEST_QUOTE = 80


class FileContext:
    """One file under evaluation.

    Args:
        path: its path.
        chain: the files from the one that was asked for down to this one.
        templates: its templates, with the text that is parsed.
    """

    def __init__(self, path: str, chain: tuple[str, ...], templates: TemplateTable) -> None:
        self.path = path
        self.chain = chain
        self.templates = templates

    def at(self, line: int | None, message: str) -> ConfigError:
        """An error at a line."""
        place = display_path(self.path) + ("" if line is None else f":{line}")
        return ConfigError(f"{place}: {message}")

    def quote(self, node: ast.AST) -> str:
        """The construct at `node` as it is written, shortened to a line."""
        text = ast.get_source_segment(self.templates.text, node) or ""
        lines = self.templates.restore(text).splitlines() or [""]
        first = lines[0]
        if len(first) > _LONGEST_QUOTE:
            return first[:_LONGEST_QUOTE] + " ..."
        return first + (" ..." if len(lines) > 1 else "")

    def failure(self, node: ast.AST, error: Exception) -> ConfigError:
        """The error for what went wrong at `node`, quoting it."""
        if isinstance(error, RecursionError):
            reason = "nested too deep"
        elif isinstance(error, (Refused, NameError, LookupError, ValueError, TypeError)):
            reason = str(error)
        else:
            reason = f"{type(error).__name__}: {error}"
        hint = f" {TRUST_HINT}" if isinstance(error, Refused) else ""
        return self.at(getattr(node, "lineno", None), f"{reason}, in `{self.quote(node)}`.{hint}")
