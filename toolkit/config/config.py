"""The config of a run."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config.config_dict import ConfigDict
from toolkit.config.lazy import LazyObject
from toolkit.config.origin import Origin, origin_of
from toolkit.config.overrides import merge_options, step
from toolkit.config.reader import FileResult, Reader
from toolkit.config.variables import Snapshot
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

if TYPE_CHECKING:
    import argparse

_RESERVED = ("filename", "text", "pretty_text", "env_variables")
_FORMATS = (".py", ".yaml", ".yml", ".json")


class Config:
    """A config: a tree of dicts and lists, read from files, whose values know where they were set.

    Keys are attributes and items: ``cfg.model.backbone.depth`` and ``cfg['model']['backbone']['depth']``.

    Args:
        cfg_dict: the values; none makes an empty config.
        cfg_text: the text the values were read from.
        filename: the file they were read from.
        env_variables: the environment variables that were read, with their values.
        format_python_code: has no effect, `pretty_text` is always laid out.

    Raises:
        ConfigError: if `cfg_dict` has a key that is an attribute of `Config`.
    """

    _cfg_dict: ConfigDict
    _filename: str | None
    _text: str
    _env_variables: dict[str, str]
    _new_override_keys: list[str]
    _migration: list[str]
    _imported: dict[str, LazyObject]

    def __init__(
        self,
        cfg_dict: Mapping[str, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | os.PathLike[str] | None = None,
        env_variables: dict[str, str] | None = None,
        format_python_code: bool = True,
    ) -> None:
        if cfg_dict is not None and not isinstance(cfg_dict, Mapping):
            raise TypeError(f"cfg_dict must be a dict, not {type(cfg_dict).__name__}")
        values = cfg_dict if isinstance(cfg_dict, ConfigDict) else ConfigDict(dict(cfg_dict or {}))
        for key in _RESERVED:
            if key in values:
                raise ConfigError(
                    f"{origin_of(values, key)}: {key!r} is reserved and can't be a key of a config"
                )
        state: dict[str, Any] = {
            "_cfg_dict": values,
            "_filename": None if filename is None else os.fspath(filename),
            "_text": cfg_text or "",
            "_env_variables": dict(env_variables or {}),
            "_new_override_keys": [],
            "_migration": [],
            "_imported": {},
        }
        self.__dict__.update(state)

    # -- reading --------------------------------------------------------------------------------------

    @staticmethod
    def fromfile(
        filename: str | os.PathLike[str],
        use_predefined_variables: bool = True,
        import_custom_modules: bool = False,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
        format_python_code: bool = True,
        *,
        overrides: Mapping[str, Any] | None = None,
        trusted: bool = False,
    ) -> Config:
        """Read a config file with its bases. Nothing in it is run or imported unless asked for.

        Args:
            filename: a ``.py``, ``.yaml``, ``.yml`` or ``.json`` file, or ``scope::path`` of a shipped one.
            use_predefined_variables: replace ``{{ fileDirname }}``, ``{{ fileBasename }}``,
                ``{{ fileBasenameNoExtension }}`` and ``{{ fileExtname }}``.
            import_custom_modules: make the imports of ``custom_imports`` after reading.
            use_environment_variables: replace ``{{ $NAME:default }}``.
            lazy_import: has no effect: whether a file inherits by `_base_` or by imports is seen in it.
            format_python_code: has no effect, see `Config`.
            overrides: values by dotted key. One of a variable reaches everything computed from it.
            trusted: run Python files as plain Python instead of evaluating them as data.

        Raises:
            ConfigError: if the file can't be read; the message has the file and the line.
        """
        reader = Reader(
            overrides or {},
            trusted=trusted,
            predefined=use_predefined_variables,
            environment=use_environment_variables,
        )
        path = os.fspath(filename)
        if "::" in path:
            from toolkit.config.paths import shipped

            scope, _, inner = path.partition("::")
            path = shipped(scope, inner)
        cfg = Config._from_result(reader, reader.read(path), path)
        if import_custom_modules:
            from toolkit.config.custom_imports import import_custom_modules as make_imports

            make_imports(cfg)
        return cfg

    @staticmethod
    def fromstring(
        cfg_str: str, file_format: str, *, overrides: Mapping[str, Any] | None = None, trusted: bool = False
    ) -> Config:
        """Read a config from its text. Relative bases are looked for from the current directory.

        Args:
            cfg_str: the text.
            file_format: ``.py``, ``.yaml``, ``.yml`` or ``.json``.
            overrides: values by dotted key.
            trusted: run Python text as plain Python.

        Raises:
            ConfigError: if the text can't be read.
        """
        if file_format not in _FORMATS:
            raise ConfigError(
                f"{file_format!r} is no config format{did_you_mean(file_format, _FORMATS)}; "
                f"the formats are {', '.join(_FORMATS)}"
            )
        reader = Reader(overrides or {}, trusted=trusted)
        path = os.path.join(os.getcwd(), f"<string>{file_format}")
        return Config._from_result(reader, reader.read_text(cfg_str, path, (path,)), None)

    @staticmethod
    def _from_result(reader: Reader, result: FileResult, path: str | None) -> Config:
        from toolkit.config.migrate import is_old, migrate

        for name in result.imported:
            result.names.pop(name, None)
        steps: list[str] = []
        if is_old(result.names):
            reader.overrides.finish_known(result.names)
            steps = migrate(result.names)
        new_keys = reader.overrides.finish(result.names)
        cfg = Config(result.names, result.text, path, result.env_used)
        cfg._new_override_keys.extend(new_keys)
        cfg._migration.extend(steps)
        cfg._imported.update(result.imported)
        return cfg

    # -- what it is -----------------------------------------------------------------------------------

    @property
    def filename(self) -> str | None:
        """The file that the config was read from."""
        return self._filename

    @property
    def text(self) -> str:
        """The text of the files that the config was read from, each after its name, bases first."""
        return self._text

    @property
    def env_variables(self) -> dict[str, str]:
        """The environment variables that were read, with their values."""
        return self._env_variables

    @property
    def new_override_keys(self) -> list[str]:
        """The dotted keys of the overrides under which no file had set anything."""
        return self._new_override_keys

    @property
    def migration(self) -> list[str]:
        """What was done to bring a config of an older schema to the present one, a line each."""
        return self._migration

    @property
    def pretty_text(self) -> str:
        """The config as Python text, bases merged, that reads back as the same config.

        Raises:
            ConfigError: if a top-level key can't be a Python name.
        """
        from toolkit.config.dump_python import to_python

        return to_python(self._cfg_dict)

    def origin(self, key: str) -> Origin | None:
        """Where the value under a dotted key, such as ``model.backbone.depth`` or ``pipeline.0``, was set.

        An item of a tuple has the origin of the tuple.

        Returns:
            The origin, or None where none is known.

        Raises:
            ConfigError: if there is no such key.
        """
        return self.find(key)[1]

    def find(self, key: str) -> tuple[Any, Origin | None]:
        """The value under a dotted key, and its origin.

        Raises:
            ConfigError: if there is no such key.
        """
        value: Any = self._cfg_dict
        origin: Origin | None = None
        parts = key.split(".")
        for depth, part in enumerate(parts):
            found, place, inner = step(value, part)
            if not found:
                where = ".".join(parts[:depth]) or "the config"
                keys = [str(known) for known in value] if isinstance(value, dict) else []
                raise ConfigError(f"{key}: {where} has no {part!r}{did_you_mean(part, keys)}")
            origin = origin_of(value, place) or origin
            value = inner
        return value, origin

    # -- writing --------------------------------------------------------------------------------------

    def dump(self, file: str | os.PathLike[str] | None = None) -> str | None:
        """Write the config to a file, in the format of its name; or return its text.

        What came from the environment is written as the reference it was, never as the value.

        Args:
            file: where to write; None returns the text, in the format of the file it was read from.

        Raises:
            ConfigError: if the format can't hold the config.
        """
        name = os.fspath(file) if file is not None else (self._filename or ".py")
        extension = os.path.splitext(name)[1] or name
        if extension not in _FORMATS:
            raise ConfigError(f"{name}: a config is written as {', '.join(_FORMATS)}, not {extension!r}")
        if extension == ".py":
            text = self.pretty_text
        else:
            from toolkit.config.dump_data import to_json, to_yaml

            text = to_json(self._cfg_dict) if extension == ".json" else to_yaml(self._cfg_dict)
        if file is None:
            return text
        Path(name).write_text(text, encoding="utf-8")
        return None

    def to_dict(self, keep_imported: bool = False) -> dict[str, Any]:
        """The values as builtin dicts, lists and tuples; references as their dotted names.

        Args:
            keep_imported: have what the file itself imports too, by name.
        """
        imported = {name: lazy.dotted for name, lazy in self._imported.items()} if keep_imported else {}
        return {**imported, **self._cfg_dict.to_dict()}

    @staticmethod
    def diff(cfg1: str | os.PathLike[str] | Config, cfg2: str | os.PathLike[str] | Config) -> str:
        """How two configs, or config files, differ: see `toolkit.config.diff`."""
        from toolkit.config.describe import diff

        first, second = (one if isinstance(one, Config) else Config.fromfile(one) for one in (cfg1, cfg2))
        return diff(first, second)

    @staticmethod
    def auto_argparser(description: str | None = None) -> tuple[argparse.ArgumentParser, Config]:
        """A parser with an option a value of the config that the command line names first, and the config.

        See `toolkit.config.auto_argparser.auto_argparser`.
        """
        from toolkit.config.auto_argparser import auto_argparser

        return auto_argparser(description)

    # -- changing -------------------------------------------------------------------------------------

    def merge_from_dict(self, options: Mapping[str, Any], allow_list_keys: bool = True) -> None:
        """Put values under dotted keys, creating what is missing. A number in a key is a position in a list.

        What was computed from a changed variable does not follow; a warning says so. Give the values to
        `fromfile` as `overrides` where it should.

        Args:
            options: values by dotted key; a dict value is merged into the dict that is there.
            allow_list_keys: whether a number in a key can be a position in a list.

        Raises:
            ConfigError: if a key leads nowhere.
        """
        snapshot = Snapshot()
        snapshot.add(self._cfg_dict)
        merge_options(self._cfg_dict, options, allow_list_keys=allow_list_keys)
        snapshot.warn_of_stale(self._cfg_dict, {key.partition(".")[0] for key in options})

    def copy(self) -> Config:
        """A shallow copy."""
        other = copy.copy(self.__dict__)
        other["_cfg_dict"] = self._cfg_dict.copy()
        made = type(self).__new__(type(self))
        made.__dict__.update(other)
        return made

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        return made

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_cfg_dict" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._cfg_dict, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(f"{name!r} is an attribute of Config and can't be set")
        setattr(self._cfg_dict, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._cfg_dict, name)

    def __getitem__(self, key: str) -> Any:
        return self._cfg_dict[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._cfg_dict[key] = value

    def __delitem__(self, key: str) -> None:
        del self._cfg_dict[key]

    def __contains__(self, key: object) -> bool:
        return key in self._cfg_dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._cfg_dict)

    def __len__(self) -> int:
        return len(self._cfg_dict)

    def __repr__(self) -> str:
        return f"Config (path: {self._filename}): {self._cfg_dict!r}"
