"""Reading a config file with its bases: find, evaluate, merge, check."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.config.config_dict import ConfigDict, TracedDict
from toolkit.config.evaluator.expressions import ExpressionEvaluator
from toolkit.config.evaluator.failure import FileContext
from toolkit.config.evaluator.limits import Budget
from toolkit.config.evaluator.statements import StatementEvaluator
from toolkit.config.inherit import add_scope, check_duplicates, merge_into, settle
from toolkit.config.lazy import LazyObject
from toolkit.config.origin import NOTHING_READ, Read, display_path
from toolkit.config.overrides import Overrides
from toolkit.config.own_values import BASE_KEY, OwnValues
from toolkit.config.paths import SUFFIXES, missing_file, resolve_base, resolve_module
from toolkit.config.templates import Bases, Template, TemplateTable
from toolkit.config.trusted import run_trusted
from toolkit.config.variables import Snapshot
from toolkit.utils.errors import ConfigError

_DEPRECATION_KEY = "_deprecation_"
_LARGEST_FILE = 8_000_000


@dataclass
class FileResult:
    """What one file gives, with its bases.

    Attributes:
        names: the top-level keys.
        imported: those of them that only name imports.
        text: the text of the bases and the file.
        env_used: the environment variables that were read.
    """

    names: ConfigDict
    imported: dict[str, LazyObject]
    text: str
    env_used: dict[str, str]


@dataclass
class _Open:
    """A file that is being read."""

    file: FileContext
    tree: ast.Module | None
    base: ConfigDict = field(default_factory=ConfigDict)
    snapshot: Snapshot = field(default_factory=Snapshot)
    texts: list[str] = field(default_factory=list)
    env_used: dict[str, str] = field(default_factory=dict)
    modules: dict[str, FileResult] = field(default_factory=dict)


class _NoBases:
    """Stands for the bases while only the list of bases is wanted."""

    def base_value(self, template: Template) -> Any:
        return None

    def template_reads(self, text: str) -> frozenset[Read]:
        return NOTHING_READ


class Reader:
    """Reads config files. One reader serves one file and all its bases.

    Args:
        overrides: values by dotted key, put in where files assign variables.
        trusted: whether Python files are run as plain Python.
        predefined: whether ``{{ fileDirname }}`` and the like are replaced.
        environment: whether ``{{ $NAME:default }}`` is replaced.
    """

    def __init__(
        self,
        overrides: Mapping[str, Any],
        *,
        trusted: bool = False,
        predefined: bool = True,
        environment: bool = True,
    ) -> None:
        self.overrides = Overrides(overrides)
        self._trusted = trusted
        self._predefined = predefined
        self._environment = environment
        self._budget = Budget()

    def read(self, path: str, chain: tuple[str, ...] = (), included_at: str = "") -> FileResult:
        """Read a file.

        Args:
            path: its path.
            chain: the files that led to it.
            included_at: the place that names it, for messages.

        Raises:
            ConfigError: if it can't be found, read, evaluated or merged.
        """
        path = os.path.abspath(os.path.expanduser(path))
        if path in chain:
            circle = " -> ".join(display_path(link) for link in (*chain[chain.index(path) :], path))
            raise ConfigError(f"{included_at}the bases go round in a circle: {circle}")
        return self.read_text(_load(path, included_at), path, (*chain, path))

    def read_text(self, text: str, path: str, chain: tuple[str, ...]) -> FileResult:
        """Read a config from its text; `path` says its format and where relative bases are looked for."""
        templates = TemplateTable(text, path, predefined=self._predefined, environment=self._environment)
        opened = _Open(FileContext(path, chain, templates), None)
        data: Any = None
        if path.endswith(".py"):
            opened.tree = _parse(opened.file)
            self._read_bases(opened, _python_bases(opened, self._budget))
        else:
            data = self._read_data(opened, bases_only=True)
            self._read_bases(opened, _data_bases(data, opened.file))
        opened.snapshot.add(opened.base)
        own = self._evaluate(opened) if opened.tree is not None else self._data_values(opened)
        opened.texts.append(f"{path}\n{text}")
        return self._combine(opened, own)

    # -- bases ----------------------------------------------------------------------------------------

    def _read_bases(self, opened: _Open, bases: list[tuple[str, int | None]]) -> None:
        for written, line in bases:
            place = f"{display_path(opened.file.path)}:{line}: "
            try:
                path, scope = resolve_base(written, opened.file.path)
            except ConfigError as error:
                raise ConfigError(f"{place}{error}") from error
            result = self.read(path, opened.file.chain, f"{place}the base {written!r}: ")
            check_duplicates(opened.base, result.names)
            if scope is not None:
                for value in result.names.values():
                    add_scope(value, scope)
            opened.base |= _without_imports(result)
            self._note(opened, result)

    def _note(self, opened: _Open, result: FileResult) -> None:
        opened.texts.append(result.text)
        opened.env_used.update(result.env_used)

    def _read_module(self, opened: _Open, module: str, level: int, line: int) -> FileResult:
        """Read what ``from <module> import`` inside ``with read_base():`` names, once for a file."""
        name = "." * level + module
        if name not in opened.modules:
            path = resolve_module(module, level, opened.file.path)
            place = f"{display_path(opened.file.path)}:{line}: the base {name!r}: "
            result = self.read(path, opened.file.chain, place)
            opened.modules[name] = result
            opened.snapshot.add(result.names)
            self._note(opened, result)
        return opened.modules[name]

    # -- values ---------------------------------------------------------------------------------------

    def _evaluate(self, opened: _Open) -> OwnValues:
        evaluator = StatementEvaluator(
            opened.file,
            opened.base,
            self._budget,
            self.overrides,
            lambda module, level, line: self._read_module(opened, module, level, line),
        )
        assert opened.tree is not None
        if self._trusted:
            return run_trusted(opened.tree, evaluator, self.overrides)
        evaluator.execute(opened.tree.body)
        return OwnValues(evaluator.names, evaluator.imported, evaluator.assigned)

    def _read_data(self, opened: _Open, *, bases_only: bool = False) -> Any:
        file = opened.file
        evaluator = ExpressionEvaluator(file, TracedDict(), opened.base, self._budget)
        bases: Bases = _NoBases() if bases_only else evaluator
        if file.path.endswith(".json"):
            from toolkit.config.json_reader import read_json

            data = read_json(file, bases, self._budget)
        else:
            from toolkit.config.yaml_reader import read_yaml

            data = read_yaml(file, bases, self._budget)
        if data is None:
            return TracedDict()
        if not isinstance(data, dict):
            raise file.at(1, f"a config is a mapping of keys to values, not a {type(data).__name__}")
        return data

    def _data_values(self, opened: _Open) -> OwnValues:
        data = self._read_data(opened)
        data.pop(BASE_KEY, None)
        for name in list(data):
            if self.overrides.has_root(name):
                value, origin = self.overrides.substitute(name, data[name], data.__origins__[name])
                dict.__setitem__(data, name, value)
                data.__origins__[name] = origin
        return OwnValues(data, {}, {name for name in data if isinstance(name, str)})

    def _combine(self, opened: _Open, own: OwnValues) -> FileResult:
        for name in [name for name in own.names if str(name).startswith("__")]:
            own.names.pop(name)
        _warn_of_deprecation(own.names.pop(_DEPRECATION_KEY, None), opened.file.path)
        names: ConfigDict = settle(own.names, self._budget)
        merged = opened.base
        merge_into(merged, names)
        opened.snapshot.warn_of_stale(merged, [name for name in names if name in own.assigned])
        imported = {name: lazy for name, lazy in own.imported.items() if name in names}
        opened.env_used.update(opened.file.templates.env_used)
        return FileResult(merged, imported, "\n".join(opened.texts), opened.env_used)


def _without_imports(result: FileResult) -> ConfigDict:
    names = result.names
    for name in result.imported:
        names.pop(name, None)
    return names


def _load(path: str, included_at: str) -> str:
    if os.path.splitext(path)[1].lower() not in SUFFIXES and not os.path.isdir(path):
        raise ConfigError(
            f"{included_at}{display_path(path)} is no config: its name must end in {', '.join(SUFFIXES)}"
        )
    if os.path.isdir(path):
        raise ConfigError(f"{included_at}{display_path(path)} is a folder, not a config file")
    try:
        if os.path.getsize(path) > _LARGEST_FILE:
            raise ConfigError(f"{included_at}{display_path(path)} has more than {_LARGEST_FILE:,} bytes")
        with open(path, encoding="utf-8-sig") as stream:
            return stream.read()
    except FileNotFoundError:
        raise ConfigError(f"{included_at}{missing_file(path)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{included_at}{display_path(path)} is no UTF-8 text: {error}") from error
    except OSError as error:
        raise ConfigError(f"{included_at}{display_path(path)} can't be read: {error}") from error


def _parse(file: FileContext) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of no use without running the file
            return ast.parse(file.templates.text, filename=file.path)
    except SyntaxError as error:
        written = file.templates.restore((error.text or "").strip())
        raise file.at(error.lineno, f"this is no Python: {error.msg}, in `{written}`") from error
    except (RecursionError, MemoryError, ValueError) as error:
        raise file.at(None, f"this can't be parsed as Python: {error or 'nested too deep'}") from error


def _python_bases(opened: _Open, budget: Budget) -> list[tuple[str, int | None]]:
    assert opened.tree is not None
    for node in opened.tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == BASE_KEY for target in node.targets
        ):
            value = ExpressionEvaluator(opened.file, TracedDict(), None, budget).evaluate(node.value)
            lines = [item.lineno for item in getattr(node.value, "elts", ())]
            return _base_list(value, lines, node.lineno, opened.file)
    return []


def _data_bases(data: Any, file: FileContext) -> list[tuple[str, int | None]]:
    if BASE_KEY not in data:
        return []
    value = data[BASE_KEY]
    lines = [origin.line for origin in getattr(value, "__origins__", ())]
    return _base_list(value, lines, data.__origins__[BASE_KEY].line, file)


def _base_list(
    value: Any, lines: list[Any], line: int | None, file: FileContext
) -> list[tuple[str, int | None]]:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, (list, tuple)) or not all(isinstance(entry, str) for entry in entries):
        raise file.at(line, f"{BASE_KEY} is a path or a list of paths, not {value!r}")
    if len(lines) != len(entries):
        lines = [line] * len(entries)
    return list(zip(entries, lines, strict=True))


def _warn_of_deprecation(information: Any, path: str) -> None:
    if not isinstance(information, dict):
        return
    instead = f"; use {information['expected']} instead" if "expected" in information else ""
    more = f" (see {information['reference']})" if "reference" in information else ""
    warnings.warn(f"{display_path(path)} is deprecated{instead}{more}", DeprecationWarning, stacklevel=2)
