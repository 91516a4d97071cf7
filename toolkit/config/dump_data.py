"""Configs as YAML and JSON text."""

from __future__ import annotations

import json
import re
from typing import Any

from toolkit.config.dump_python import dotted_name
from toolkit.config.secrets import ENV_TYPES, EnvStr
from toolkit.utils.errors import ConfigError

_LONE_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_OPEN = "\ue000"  # private characters hold the places of what must not be quoted or escaped
_BARE = "\ue001"


class _Converter:
    """Turns config values into what a dumper of data knows.

    Args:
        tuples: whether the format has tuples.
    """

    def __init__(self, *, tuples: bool) -> None:
        self._tuples = tuples
        self.bare: list[str] = []

    def convert(self, value: Any) -> Any:
        if isinstance(value, ENV_TYPES):
            return self._reference(value)
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (int, float)):
            return int(value) if isinstance(value, int) else float(value)
        if isinstance(value, dict):
            return {self.convert(key): self.convert(item) for key, item in dict.items(value)}
        if isinstance(value, tuple) and self._tuples:
            return tuple([self.convert(item) for item in value])
        if isinstance(value, (list, tuple, range)):
            return [self.convert(item) for item in value]
        if isinstance(value, (set, frozenset)):
            items = {self.convert(item) for item in value}
            return items if self._tuples else sorted(items, key=repr)
        if isinstance(value, bytes) and self._tuples:
            return value
        return dotted_name(value)

    def _reference(self, value: Any) -> str:
        if isinstance(value, EnvStr) and value.template is not None:
            return value.template.replace("{{", f"{_OPEN}{_OPEN}")
        if _LONE_TEMPLATE.fullmatch(value.source):
            self.bare.append(value.source)
            return f"{_BARE}{len(self.bare) - 1}{_BARE}"
        raise ConfigError(
            f"a value is computed from the environment ({value.source}), which only a .py config can "
            f"express; write the config as .py"
        )

    def put_back(self, text: str) -> str:
        """`text` with the references in their places."""
        text = text.replace(_OPEN, "{")
        return re.sub(f"[\"']?{_BARE}(\\d+){_BARE}[\"']?", lambda match: self.bare[int(match[1])], text)


def to_json(names: dict[Any, Any]) -> str:
    """JSON text for a config. Tuples and sets become lists; dotted references become strings.

    Raises:
        ConfigError: if a value was computed from the environment.
    """
    converter = _Converter(tuples=False)
    text = json.dumps(converter.convert(names), indent=2, ensure_ascii=False) + "\n"
    # Two braces in a string would read as a template.
    return converter.put_back(text.replace("{{", "{\\u007b"))


def to_yaml(names: dict[Any, Any]) -> str:
    """YAML text for a config. Dotted references become strings.

    Raises:
        ConfigError: if a value was computed from the environment.
    """
    import yaml

    from toolkit.config.yaml_reader import ConfigDumper

    class Dumper(ConfigDumper):
        """Writes tuples, and strings with two braces so that they can be escaped."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def represent_text(self, data: str) -> Any:
            special = "{{" in data or _OPEN in data or _BARE in data
            # PyYAML writes line breaks of other alphabets as they are, but doesn't read them so.
            odd = "{{" in data or not data.replace("\n", "").isprintable()
            style = '"' if (odd and not special) or "{{" in data else "'" if special else None
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

        def represent_tuple(self, data: tuple[Any, ...]) -> Any:
            return self.represent_sequence("tag:yaml.org,2002:python/tuple", list(data))

    Dumper.add_representer(str, Dumper.represent_text)
    Dumper.add_representer(tuple, Dumper.represent_tuple)
    converter = _Converter(tuples=True)
    text = yaml.dump(
        converter.convert(names), Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return converter.put_back(text.replace("{{", "{\\x7b"))
