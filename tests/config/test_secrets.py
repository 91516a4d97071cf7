"""Values from the environment: used as values, written as references."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from toolkit.config import Config
from toolkit.utils import ConfigError

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("COUNT", "8")
    monkeypatch.delenv("UNSET", raising=False)


EXPRESSIONS: dict[str, Any] = {
    "'{{ $TOKEN }}'": SECRET,
    "'{{$TOKEN:x}}'": SECRET,
    "'{{ $UNSET:fallback }}'": "fallback",
    "'a/{{ $TOKEN:x }}/b'": f"a/{SECRET}/b",
    "'a' + '{{ $TOKEN:x }}' + 'b'": f"a{SECRET}b",
    "f'{\"{{ $TOKEN:x }}\"}-{3}'": f"{SECRET}-3",
    "f'{\"{{ $TOKEN:x }}\":>9}!'": f"  {SECRET}!",
    "'/'.join(['a', '{{ $TOKEN:x }}', 'b'])": f"a/{SECRET}/b",
    "'{}:{}'.format('u', '{{ $TOKEN:x }}')": f"u:{SECRET}",
    "'%s:%s' % ('u', '{{ $TOKEN:x }}')": f"u:{SECRET}",
    "'{{ $TOKEN:x }}'.upper()": SECRET.upper(),
    "'{{ $TOKEN:x }}' * 2": SECRET * 2,
    "'{{ $TOKEN:x }}'[1:]": SECRET[1:],
    "'{{ $TOKEN:x }}'.split('t')": SECRET.split("t"),
    "str('{{ $TOKEN:x }}')": SECRET,
    "str(dict(a='{{ $TOKEN:x }}'))": str({"a": SECRET}),
    "dict(a=['{{ $TOKEN:x }}'])": {"a": [SECRET]},
    "{{ $COUNT:2 }}": 8,
    "{{'$COUNT:2'}}": 8,
    "{{ $COUNT:2 }} * 2 - 1": 15,
    "-{{ $COUNT:2 }} / 16": -0.5,
    "int('{{ $COUNT:2 }}')": 8,
    "{{ $UNSET:[1,2] }}": [1, 2],
    "{{ $UNSET:True }}": True,
    "[{{ $COUNT:2 }}] * 2": [8, 8],
    "max({{ $COUNT:2 }}, 3)": 8,
    "sum([{{ $COUNT:2 }}, 1])": 9,
    "round({{ $COUNT:2 }} / 3, 2)": 2.67,
}


@pytest.mark.parametrize(("source", "value"), EXPRESSIONS.items())
def test_dumps_show_references_and_read_back(
    source: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Config.fromstring(f"x = {source}\ny = dict(z=x)\n", ".py")
    assert cfg.x == value
    text = cfg.pretty_text
    for secret in (SECRET, SECRET.upper(), SECRET[1:]):
        assert secret not in text
    assert Config.fromstring(text, ".py").to_dict() == cfg.to_dict()
    if isinstance(value, (str, int, float)) and "$UNSET" not in source:
        monkeypatch.setenv("TOKEN", "other")
        monkeypatch.setenv("COUNT", "100")
        expected = Config.fromstring(f"x = {source}", ".py").x
        assert Config.fromstring(text, ".py").y.z == expected, "the dump follows the environment"


@pytest.mark.parametrize("extension", [".yaml", ".json"])
def test_references_pass_through_data_formats(extension: str) -> None:
    cfg = Config.fromstring(
        "a = '{{ $TOKEN:x }}'\nb = 'p/{{ $TOKEN:x }}'\nc = {{ $COUNT:1 }}\nd = [c, 1]", ".py"
    )
    from toolkit.config.dump_data import to_json, to_yaml

    text = to_yaml(cfg._cfg_dict) if extension == ".yaml" else to_json(cfg._cfg_dict)
    assert SECRET not in text
    assert "{{ $COUNT:1 }}" in text
    again = Config.fromstring(text, extension)
    assert again.to_dict() == {"a": SECRET, "b": f"p/{SECRET}", "c": 8, "d": [8, 1]}
    assert SECRET not in again.pretty_text
    assert Config.fromstring(again.pretty_text, ".py").to_dict() == again.to_dict()


def test_data_formats_refuse_what_they_can_not_express() -> None:
    from toolkit.config.dump_data import to_yaml

    with pytest.raises(ConfigError, match=r"\.py"):
        to_yaml(Config.fromstring("a = '{{ $TOKEN:x }}'.upper()", ".py")._cfg_dict)


def test_a_missing_variable_is_named_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"<string>\.py:2: .*UNSET"):
        Config.fromstring("a = 1\nb = '{{ $UNSET }}'", ".py")
    assert Config.fromstring("# {{ $UNSET }}\na = 1", ".py").a == 1


def test_copies_and_moves_keep_the_secret() -> None:
    cfg = Config.fromstring("a = '{{ $TOKEN:x }}'\nb = {{ $COUNT:1 }}\nc = dict()", ".py")
    for other in (copy.deepcopy(cfg), pickle.loads(pickle.dumps(cfg))):
        other.c.moved = other.a
        assert other.c.moved == SECRET
        assert SECRET not in other.pretty_text
        assert other.pretty_text.startswith("a = '{{ $TOKEN:x }}'\nb = {{ $COUNT:1 }}\n")


def test_trusted_files_hide_secrets_too() -> None:
    cfg = Config.fromstring(
        "a = f\"<{'{{ $TOKEN:x }}'}>\"\nb = ['{{ $TOKEN:x }}'.upper()[::-1]]", ".py", trusted=True
    )
    assert cfg.a == f"<{SECRET}>"
    assert SECRET not in cfg.pretty_text


def test_values_used_are_listed_and_templates_can_be_turned_off(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("a = '{{ $TOKEN:x }}{{ $UNSET:y }}'")
    assert Config.fromfile(path).env_variables == {"TOKEN": SECRET}
    assert Config.fromfile(path, use_environment_variables=False).a == "{{ $TOKEN:x }}{{ $UNSET:y }}"
