"""Templates in config text: ``{{ fileDirname }}``, ``{{ $NAME:default }}``, ``{{ _base_.a.b }}``.

They may stand inside a string or in the place of a value, in every format. Before a file is parsed each is
replaced by a word of its own, on the same line, so that line numbers stay true; the parsers ask for what the
word stands for when they meet it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from toolkit.config.origin import Read, display_path
from toolkit.config.secrets import EnvStr, template_of
from toolkit.utils.errors import ConfigError

_TEMPLATE = re.compile(
    r"""\{\{ \s* (?:
        (?P<predefined> fileDirname | fileBasenameNoExtension | fileBasename | fileExtname ) \s*
      | _base_ \. (?P<base> [\w.\-]+ ) \s*
      | (?P<quote> ['"]? ) \s* \$ (?P<env> \w+ ) \s* (?: : \s* (?P<default> [^{}\n]*? ) )? \s* (?P=quote) \s*
    ) \}\}""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Template:
    """One template of a file.

    Attributes:
        text: as it is written.
        kind: ``predefined``, ``base`` or ``env``.
        name: the name of the file part, the dotted key, or the environment variable.
        default: what to use where the environment has no such variable.
        line: its line.
    """

    text: str
    kind: str
    name: str
    default: str | None
    line: int


class Bases(Protocol):
    """The merged bases of a file, as its templates see them."""

    def base_value(self, template: Template) -> Any:
        """What a ``{{ _base_.a.b }}`` template stands for."""

    def template_reads(self, text: str) -> frozenset[Read]:
        """What the templates in `text` read of the bases."""


class TemplateTable:
    """The templates of one file, and the words that stand for them in its text.

    Args:
        source: the text of the file.
        filename: its path, for the predefined names and for messages.
        predefined: whether ``{{ fileDirname }}`` and the like are templates.
        environment: whether ``{{ $NAME }}`` is a template.
    """

    def __init__(
        self, source: str, filename: str, *, predefined: bool = True, environment: bool = True
    ) -> None:
        self.filename = filename
        self.env_used: dict[str, str] = {}
        self._templates: dict[str, Template] = {}
        self._kinds = (
            {"base"} | ({"predefined"} if predefined else set()) | ({"env"} if environment else set())
        )
        self._prefix = "__template"
        while self._prefix in source:
            self._prefix += "_"
        self._word = re.compile(re.escape(self._prefix) + r"\d+__")
        self._source = source
        self.text = _TEMPLATE.sub(self._replace, source) if "{{" in source else source

    def __bool__(self) -> bool:
        return bool(self._templates)

    @property
    def has_env(self) -> bool:
        """Whether any template reads the environment."""
        return any(template.kind == "env" for template in self._templates.values())

    def _replace(self, match: re.Match[str]) -> str:
        kind = next(kind for kind in ("predefined", "base", "env") if match[kind] is not None)
        if kind not in self._kinds:
            return match[0]
        word = f"{self._prefix}{len(self._templates)}__"
        line = self._source.count("\n", 0, match.start()) + 1
        self._templates[word] = Template(match[0], kind, match[kind], match["default"], line)
        return word

    def restore(self, text: str) -> str:
        """`text` with the templates as they were written, for messages."""
        return self._word.sub(lambda match: self._templates[match[0]].text, text) if self._templates else text

    def alone(self, text: str) -> Template | None:
        """The template that `text` consists of, or None."""
        return self._templates.get(text)

    def inside(self, text: str) -> bool:
        """Whether `text` holds a template."""
        return bool(self._templates) and self._prefix in text and self._word.search(text) is not None

    def text_of(self, template: Template) -> str:
        """What a predefined or environment template stands for, as text.

        Raises:
            ConfigError: if the environment lacks the variable and there is no default.
        """
        if template.kind == "predefined":
            return self._predefined(template.name)
        if template.name in os.environ:
            value = self.env_used[template.name] = os.environ[template.name]
            return value
        if not template.default:
            place = f"{display_path(self.filename)}:{template.line}"
            raise ConfigError(
                f"{place}: {template.text} needs the environment variable {template.name}, which is not set. "
                f"Set it, or write a default: {{{{ ${template.name}:default }}}}"
            )
        return template.default

    def _predefined(self, name: str) -> str:
        base = os.path.basename(self.filename)
        stem, extension = os.path.splitext(base)
        parts = {
            "fileDirname": os.path.dirname(self.filename),
            "fileBasename": base,
            "fileBasenameNoExtension": stem,
            "fileExtname": extension,
        }
        return parts[name].replace("\\", "/")

    def fill(self, text: str, base_value: Callable[[Template], Any]) -> str:
        """`text`, a string of the config, with each word in it replaced by what it stands for.

        Args:
            text: the string.
            base_value: gives the value of a ``{{ _base_.a.b }}`` template.

        Returns:
            The string: an `EnvStr` where a part of it came from the environment.
        """
        plain: list[str] = []
        shown: list[str] = []
        secret = False
        for piece in self.pieces(text):
            if isinstance(piece, str):
                value, shown_as = piece, piece
            elif piece.kind == "base":
                found = base_value(piece)
                value, shown_as = str(found), template_of(found) or str(found)
                secret = secret or isinstance(found, EnvStr)
            else:
                value = self.text_of(piece)
                shown_as = self.reference(piece) if piece.kind == "env" else value
                secret = secret or piece.kind == "env"
            plain.append(value)
            shown.append(shown_as)
        return EnvStr("".join(plain), None, "".join(shown)) if secret else "".join(plain)

    def pieces(self, text: str) -> Iterator[str | Template]:
        """The parts of `text`: plain strings and templates in turn."""
        start = 0
        for match in self._word.finditer(text):
            yield text[start : match.start()]
            yield self._templates[match[0]]
            start = match.end()
        yield text[start:]

    def base_keys(self, text: str) -> frozenset[str]:
        """The dotted keys of the bases that the templates in `text` read."""
        if not self.inside(text):
            return frozenset()
        found = (piece for piece in self.pieces(text) if isinstance(piece, Template))
        return frozenset(piece.name for piece in found if piece.kind == "base")

    @staticmethod
    def reference(template: Template) -> str:
        """How an environment template is written into a dump."""
        default = "" if template.default is None else f":{template.default}"
        return f"{{{{ ${template.name}{default} }}}}"
