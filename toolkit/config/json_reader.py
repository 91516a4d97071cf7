"""JSON configs, with the line of every value."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from toolkit.config.config_dict import TracedDict
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator.failure import FileContext
from toolkit.config.evaluator.limits import MAX_DEPTH, Budget, Refused
from toolkit.config.origin import Origin, Read
from toolkit.config.secrets import mark
from toolkit.config.templates import Bases, Template, TemplateTable

_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|[-+.\w]*')
_WORD = re.compile(r"[-+.\w]+")


class _Problem(Exception):
    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.place = place


class _Parser:
    """A JSON parser that keeps places, and knows the words that stand for templates."""

    def __init__(self, file: FileContext, bases: Bases, budget: Budget) -> None:
        self._file = file
        self._text = file.templates.text
        self._bases = bases
        self._budget = budget
        self._place = 0
        self._line = 1
        self._counted = 0

    def parse(self) -> Any:
        value = self._value(0)
        if self._next() != "":
            raise _Problem("there is more text after the value", self._place)
        return value

    def line_at(self, place: int) -> int:
        """The line of a place; places only grow."""
        self._line += self._text.count("\n", self._counted, place)
        self._counted = max(place, self._counted)
        return self._line

    def _next(self) -> str:
        match = _SPACE.match(self._text, self._place)
        self._place = match.end() if match else self._place
        return self._text[self._place : self._place + 1]

    def _expect(self, char: str) -> None:
        if self._next() != char:
            found = self._text[self._place : self._place + 1] or "the end"
            raise _Problem(f"{char!r} is expected here, not {found!r}", self._place)
        self._place += 1

    def _value(self, depth: int) -> Any:
        self._budget.step()
        if depth > MAX_DEPTH:
            raise Refused(f"the file is nested deeper than {MAX_DEPTH} levels")
        char = self._next()
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._array(depth)
        return self._string() if char == '"' else self._word()

    def _object(self, depth: int) -> Any:
        made = TracedDict()
        self._place += 1
        while self._next() != "}":
            if made:
                self._expect(",")
            if self._next() != '"':
                raise _Problem("a key in double quotes is expected here", self._place)
            line = self.line_at(self._place)
            key = str(self._string())
            self._expect(":")
            self._next()
            reads = self._reads()
            dict.__setitem__(made, key, self._value(depth + 1))
            made.__origins__[key] = Origin(self._file.path, line, chain=self._file.chain, reads=reads)
        self._place += 1
        return made

    def _array(self, depth: int) -> Any:
        items: list[Any] = []
        origins: list[Origin] = []
        self._place += 1
        while self._next() != "]":
            if items:
                self._expect(",")
                self._next()
            origins.append(
                Origin(
                    self._file.path, self.line_at(self._place), chain=self._file.chain, reads=self._reads()
                )
            )
            items.append(self._value(depth + 1))
        self._place += 1
        return ConfigList(items, origins)

    def _reads(self) -> frozenset[Read]:
        """The base variables in the scalar that starts here."""
        match = _SCALAR.match(self._text, self._place) if self._file.templates else None
        return self._bases.template_reads(match[0] if match else "")

    def _string(self) -> Any:
        text, self._place = scanstring(self._text, self._place + 1, True)
        alone = self._file.templates.alone(text)
        if alone is not None and alone.kind == "base":
            return self._bases.base_value(alone)
        return (
            self._file.templates.fill(text, self._bases.base_value)
            if self._file.templates.inside(text)
            else text
        )

    def _word(self) -> Any:
        match = _WORD.match(self._text, self._place)
        if match is None:
            raise _Problem("a value is expected here", self._place)
        template = self._file.templates.alone(match[0])
        if template is None:
            try:
                value = json.loads(match[0])
            except json.JSONDecodeError:
                raise _Problem(f"{match[0]!r} is no JSON value", self._place) from None
        elif template.kind == "base":
            value = self._bases.base_value(template)
        else:
            value = self._environment(template)
        self._place = match.end()
        return value

    def _environment(self, template: Template) -> Any:
        text = self._file.templates.text_of(template)
        if template.kind == "predefined":
            return text
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            raise _Problem(
                f"the value for {template.text} is no JSON; put it in quotes", self._place
            ) from None
        reference = TemplateTable.reference(template)
        return mark(value, reference, reference)


def read_json(file: FileContext, bases: Bases, budget: Budget) -> Any:
    """The value of a JSON file: dicts and lists that know their lines, and scalars.

    Raises:
        ConfigError: if it is no JSON, or takes too much work or memory.
    """
    parser = _Parser(file, bases, budget)
    try:
        return parser.parse()
    except _Problem as problem:
        line = file.templates.text.count("\n", 0, problem.place) + 1
        raise file.at(line, f"this is no JSON: {problem}") from problem
    except json.JSONDecodeError as error:
        raise file.at(error.lineno, f"this is no JSON: {error.msg}") from error
    except (Refused, RecursionError) as error:
        raise file.at(None, str(error) if isinstance(error, Refused) else "nested too deep") from error
