"""Reading files: formats, bases, templates, imports between configs, and the errors of each."""

from pathlib import Path
from typing import Any

import pytest

from toolkit.config import Config, ConfigDict, config_root
from toolkit.utils import ConfigError


class Files:
    """Writes config files into a folder, and reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, **texts: str) -> None:
        for name, text in texts.items():
            stem, _, extension = name.rpartition("_")
            path = self.folder / f"{stem}.{extension}"
            path.write_text(text, encoding="utf-8")

    def read(self, name: str, **options: Any) -> Config:
        return Config.fromfile(self.folder / name, **options)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path)


# -- formats --------------------------------------------------------------------------------------------


def test_the_three_formats_say_the_same(files: Files) -> None:
    files(
        a_py="lr = 1e-3\nmodel = dict(type='A', n=[1, 2.5, None, True])\n",
        a_yaml="lr: 1e-3\nmodel:\n  type: A\n  n: [1, 2.5, null, true]\n",
        a_json='{"lr": 1e-3,\n "model": {"type": "A", "n": [1, 2.5, null, true]}}\n',
    )
    expected = {"lr": 0.001, "model": {"type": "A", "n": [1, 2.5, None, True]}}
    for name, place in (("a.py", 2), ("a.yaml", 3), ("a.json", 2)):
        cfg = files.read(name)
        assert cfg.to_dict() == expected
        assert isinstance(cfg.lr, float)
        assert str(cfg.origin("model.type")) == f"{name}:{place}"
        assert isinstance(cfg.model, ConfigDict)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1e3", 1e3),
        ("-2E+4", -2e4),
        ("1.5e3", 1.5e3),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", float("inf")),
        ("e3", "e3"),
        ("1e", "1e"),
        ("1-3", "1-3"),
        ("'1e-3'", "1e-3"),
        ("0x10", 16),
        ("1e-3x", "1e-3x"),
    ],
)
def test_yaml_numbers(text: str, value: Any) -> None:
    found = Config.fromstring(f"x: {text}", ".yaml").x
    assert found == value
    assert type(found) is type(value)


def test_yaml_anchors_merge_keys_and_tuples() -> None:
    cfg = Config.fromstring("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: !!python/tuple [1, 2]\nd: *a", ".yaml")
    assert cfg.b == {"x": 1, "y": 3}
    assert cfg.c == (1, 2)
    cfg.d.x = 9
    assert cfg.a.x == 1


def test_json_strings_keep_their_escapes() -> None:
    cfg = Config.fromstring(r'{"a": "\u00e9\n\"\/\ud83d\ude00", "b": [], "c": {}}', ".json")
    assert cfg.a == 'é\n"/\U0001f600'
    assert cfg.b == []
    assert cfg.c == {}


# -- inheritance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["py", "yaml", "json"])
def test_a_child_is_merged_into_its_bases(files: Files, extension: str) -> None:
    base = {
        "py": "model = dict(a=1, b=dict(c=2))\nrest = [1, 2]",
        "yaml": "model: {a: 1, b: {c: 2}}\nrest: [1, 2]",
        "json": '{"model": {"a": 1, "b": {"c": 2}}, "rest": [1, 2]}',
    }
    child = {
        "py": "_base_ = ['base.EXT', './two.py']\nmodel = dict(b=dict(_delete_=True, d=3))\nrest = {1: 5}",
        "yaml": "_base_: [base.EXT, ./two.py]\nmodel: {b: {_delete_: true, d: 3}}\nrest: {1: 5}",
        "json": """{"_base_": ["base.EXT", "./two.py"],
            "model": {"b": {"_delete_": true, "d": 3}}, "rest": {"1": 5}}""",
    }
    files(two_py="two = 2")
    files(
        **{
            f"base_{extension}": base[extension],
            f"child_{extension}": child[extension].replace("EXT", extension),
        }
    )
    cfg = files.read(f"child.{extension}")
    assert cfg.to_dict() == {"model": {"a": 1, "b": {"d": 3}}, "rest": [1, 5], "two": 2}
    assert cfg.origin("model.a").file.endswith(f"base.{extension}")
    assert cfg.origin("model.b.d").file.endswith(f"child.{extension}")
    assert [Path(link).name for link in cfg.origin("two").chain] == [f"child.{extension}", "two.py"]
    assert cfg.text.index("two = 2") < cfg.text.index("_delete_"), "the text has the bases first"


def test_base_values_can_be_used_and_changed(files: Files) -> None:
    files(
        base_py="n = 3\nmodel = dict(a=dict(b=1), c=[1, 2])\nold = 1",
        child_py=(
            "_base_ = 'base.py'\nm = _base_.n + 1\nx = _base_.model.a\n_base_.model.a.b = 7\n"
            "_base_.model.c.insert(0, _base_['n'])\ndel _base_.old\ny = {{ _base_.model.c }}\n"
            "z = '{{ _base_.n }} items'\n_base_.model.update(dict(a=dict(d=8)))\n"
        ),
        child_yaml=(
            "_base_: base.py\nm: {{ _base_.n }}\nx: '{{ _base_.model.a }}'\nz: '{{ _base_.n }} items'\n"
        ),
        child_json='{"_base_": "base.py", "m": {{ _base_.model.c.1 }}, "x": "{{ _base_.model.a }}"}',
    )
    cfg = files.read("child.py")
    assert cfg.m == 4
    assert cfg.x == {"b": 7, "d": 8}
    assert cfg.model == {"a": {"b": 7, "d": 8}, "c": [3, 1, 2]}
    assert cfg.y == [3, 1, 2]
    assert cfg.z == "3 items"
    assert "old" not in cfg
    assert files.read("child.yaml").to_dict() == {
        "n": 3, "model": {"a": {"b": 1}, "c": [1, 2]}, "old": 1, "m": 3, "x": {"b": 1}, "z": "3 items"
    }  # fmt: skip
    assert files.read("child.json").m == 2
    assert files.read("child.json").x == {"b": 1}


def test_read_base_imports_names(files: Files) -> None:
    files(
        base_py=(
            "from torch.optim import SGD\nopt = dict(type=SGD, lr=1)\n"
            "model = dict(a=dict(b=1, c=2))\nother = 1"
        ),
        second_py="data = [1]\nunused = 2",
        child_py=(
            "from mmengine.config import read_base\n\nwith read_base():\n    from .base import *\n"
            "    from .second import data as more\n\nmodel.update(dict(a=dict(b=5)))\nopt['lr'] = 2\n"
            "again = dict(type=SGD)\nother = dict(x=1)\n"
        ),
    )
    cfg = files.read("child.py")
    assert cfg.model == {"a": {"b": 5, "c": 2}}
    assert cfg.opt.lr == 2
    assert cfg.opt.type.dotted == cfg.again.type.dotted == "torch.optim.SGD"
    assert cfg.other == {"x": 1}, "an assignment replaces, since the base is not merged but imported"
    assert cfg.more == [1]
    assert "unused" not in cfg
    assert "SGD" not in cfg
    assert str(cfg.origin("model.a.c")) == "base.py:3"


def test_shipped_configs_are_found_by_scope(files: Files) -> None:
    name = next(
        (str(path.relative_to(config_root())) for path in sorted(config_root().rglob("*default_runtime.py"))),
        None,
    )
    if name is None:
        pytest.skip("no default_runtime.py is shipped")
    files(child_py=f"_base_ = 'mmdet::{name}'\nx = 1")
    cfg = files.read("child.py")
    assert cfg.x == 1
    assert len(cfg) > 1
    assert Config.fromfile(f"mmdet::{name}").to_dict().keys() == cfg.to_dict().keys() - {"x"}


def test_a_scope_is_noted_in_what_comes_from_it(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    package = files.folder / "somepkg"
    (package / ".mim" / "configs").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / ".mim" / "configs" / "m.py").write_text(
        "model = dict(type='A', b=dict(type='B'))\nl = [dict(type='C')]\n"
    )
    monkeypatch.syspath_prepend(str(files.folder))
    files(child_py="_base_ = 'somepkg::m.py'\n")
    cfg = files.read("child.py")
    assert cfg.model == {"type": "A", "b": {"type": "B"}, "_scope_": "somepkg"}
    assert cfg.l == [{"type": "C", "_scope_": "somepkg"}]


# -- templates ------------------------------------------------------------------------------------------


def test_predefined_names(files: Files) -> None:
    text = "'{{ fileBasenameNoExtension }}|{{fileBasename}}|{{ fileExtname }}|{{ fileDirname }}'"
    files(a_py=f"x = {text}", a_yaml=f"x: {text}", a_json='{"x": ' + text.replace("'", '"') + "}")
    for extension in ("py", "yaml", "json"):
        assert files.read(f"a.{extension}").x == f"a|a.{extension}|.{extension}|{files.folder}"
    assert files.read("a.yaml", use_predefined_variables=False).x == text.strip("'")


def test_lines_are_true_behind_templates(files: Files) -> None:
    files(a_py="x = '{{ fileBasename }}'\ny = dict(\n    z=1)")
    assert files.read("a.py").origin("y.z").line == 3


# -- errors ---------------------------------------------------------------------------------------------


def message_of(files: Files, name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        files.read(name)
    return str(caught.value)


def test_missing_file_names_the_nearest(files: Files) -> None:
    files(model_py="x = 1", child_py="a = 1\n_base_ = [\n    'modle.py']")
    assert "did you mean 'model.py'" in message_of(files, "modl.py")
    message = message_of(files, "child.py")
    assert message.startswith("child.py:3: the base 'modle.py'")
    assert "did you mean 'model.py'" in message
    (files.folder / "folder").mkdir()
    assert "did you mean 'folder'" in message_of(files, "foldr/x.py")


def test_a_circle_is_shown(files: Files) -> None:
    files(a_py="_base_ = 'b.py'", b_py="_base_ = './c.yaml'", c_yaml="_base_: a.py")
    assert "a.py -> b.py -> c.yaml -> a.py" in message_of(files, "a.py")
    files(self_py="from toolkit.config import read_base\nwith read_base():\n    from .self import *")
    assert "self.py -> self.py" in message_of(files, "self.py")


def test_two_bases_with_one_key_name_both_places(files: Files) -> None:
    files(a_py="x = 1\ny = 2", b_py="z = 1\n\ny = 3", c_py="_base_ = ['a.py', 'b.py']")
    message = message_of(files, "c.py")
    assert "'y'" in message
    assert "a.py:2" in message
    assert "b.py:3" in message


def test_a_dict_over_a_scalar_names_both_places_and_the_way_out(files: Files) -> None:
    files(a_py="x = dict(\n    y=[1])", b_py="_base_ = 'a.py'\nx = dict(\n  y=dict(z=1))")
    message = message_of(files, "b.py")
    assert "b.py:3" in message
    assert "a.py:2" in message
    assert "_delete_=True" in message


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("a_py", "x = 1\ny = (", ["a.py:2", "no Python"]),
        ("a_py", "x = 1\ny = nope", ["a.py:2", "'nope' is not defined", "`nope`"]),
        ("a_py", "value = 1\ny = valeu", ["did you mean 'value'"]),
        ("a_py", "x = dict(\n  a=1/0)", ["a.py:2", "division by zero", "`1/0`"]),
        ("a_py", "x = dict(key=1)\ny = x['kye']", ["a.py:2", "did you mean 'key'"]),
        ("a_py", "_base_ = 3", ["a.py:1", "_base_"]),
        ("a_py", "with read_base():\n    from .x import y", ["a.py", "toolkit.config import read_base"]),
        (
            "a_py",
            "while 1:\n    pass",
            ["a.py:1", "'while'", "`while 1: ...`", "--trust-config", "trusted=True"],
        ),
        ("a_yaml", "x: 1\ny: [", ["a.yaml", "no YAML"]),
        ("a_yaml", "- 1", ["a.yaml:1", "mapping"]),
        ("a_json", '{"x": 1,\n "y" 2}', ["a.json:2", "':' is expected"]),
        ("a_json", '{"x": 1,\n "y": tru}', ["a.json:2", "'tru'"]),
        ("a_json", '{"x": 1}\n}', ["a.json:2"]),
        ("a_txt", "x", ["a.txt", ".yaml"]),
    ],
)
def test_errors_have_place_and_quote(files: Files, name: str, text: str, parts: list[str]) -> None:
    files(**{name: text})
    message = message_of(files, name.replace("_", "."))
    for part in parts:
        assert part in message


def test_a_missing_base_value_names_the_nearest(files: Files) -> None:
    files(
        base_py="number = 1",
        a_py="_base_ = 'base.py'\nx = _base_.numbr",
        b_yaml="_base_: base.py\n\nx: {{ _base_.numbr }}",
    )
    assert "did you mean 'number'" in message_of(files, "a.py")
    assert message_of(files, "b.yaml").startswith("b.yaml:3")


def test_reserved_keys_are_refused(files: Files) -> None:
    files(a_py="x = 1\ntext = 'y'")
    assert "a.py:2: 'text' is reserved" in message_of(files, "a.py")


def test_deprecation_note_warns_and_is_dropped(files: Files) -> None:
    files(a_py="_deprecation_ = dict(expected='b.py', reference='url')\nx = 1")
    with pytest.warns(DeprecationWarning, match="b.py"):
        assert list(files.read("a.py")) == ["x"]


def test_custom_imports_are_data_until_asked_for(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.config import import_custom_modules

    (files.folder / "my_module_of_test.py").write_text("flag = 1")
    files(a_py="custom_imports = dict(imports=['my_module_of_test'], allow_failed_imports=False)")
    cfg = files.read("a.py")
    with pytest.raises(ConfigError, match=r"a.py:1.*my_module_of_test.*PYTHONPATH"):
        import_custom_modules(cfg)
    monkeypatch.syspath_prepend(str(files.folder))
    assert [module.flag for module in import_custom_modules(cfg)] == [1]
    cfg.custom_imports = dict(imports=["nope_of_test"], allow_failed_imports=True)
    with pytest.warns(UserWarning, match="nope_of_test"):
        assert import_custom_modules(cfg) == []
    cfg.custom_imports = 3
    with pytest.raises(ConfigError, match="imports="):
        import_custom_modules(cfg)


def test_custom_imports_of_projects_that_are_stood_in_for(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    from toolkit.config import import_custom_modules

    files(a_py="custom_imports = dict(imports=['mmcls.models'], allow_failed_imports=False)")
    with caplog.at_level("INFO", logger="toolkit.config.custom_imports"):
        assert import_custom_modules(files.read("a.py")) == []
    assert "mmcls.models" in caplog.text
