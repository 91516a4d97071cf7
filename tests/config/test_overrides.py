"""Overrides: of variables, of parts, of lists; what follows them, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.config import Config
from toolkit.utils import ConfigError

BASE = """data_root = 'data/coco/'
epochs = 12
pipeline = [
    dict(type='Load'),
    dict(type='Resize', scale=(1333, 800))]
train = dict(data=dict(root=data_root, ann=data_root + 'ann.json', pipeline=pipeline), n=4)
val = train
steps = [epochs - 4, epochs - 1]
"""
CHILD = """_base_ = 'base.py'
extra = dict(root=_base_.data_root, total=_base_.epochs * 2, n={{ _base_.train.n }})
train = dict(workers=2)
"""
DATA = "_base_: base.py\nroot2: {{ _base_.data_root }}\nown: {a: 1}\n"


# The child of these tests leaves `val` behind on purpose, to see that overrides do not.
pytestmark = pytest.mark.filterwarnings("ignore::toolkit.config.variables.ConfigWarning")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "child.yaml").write_text(DATA)
    return tmp_path


def read(name: str = "child.py", trusted: bool = False, **overrides: Any) -> Config:
    return Config.fromfile(name, overrides=overrides, trusted=trusted)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_variable_reaches_all_that_is_computed_from_it(folder: Path, trusted: bool) -> None:
    cfg = read(data_root="/d/", epochs=3, trusted=trusted)
    assert cfg.train.data.root == cfg.val.data.root == cfg.extra.root == "/d/"
    assert cfg.train.data.ann == "/d/ann.json"
    assert cfg.steps == [-1, 2]
    assert cfg.extra.total == 6
    assert cfg.new_override_keys == []
    origin = cfg.origin("data_root")
    assert str(origin) == "--cfg-options"
    assert origin is not None
    assert origin.option == "data_root"
    assert origin.over is not None
    assert str(origin.over) == "base.py:1"
    assert str(cfg.origin("train.data.ann")) == "base.py:6"


@pytest.mark.parametrize("trusted", [False, True])
def test_a_part_of_a_variable_reaches_too(folder: Path, trusted: bool) -> None:
    cfg = Config.fromfile(
        "child.py", overrides={"train.n": 8, "pipeline.1.scale": (640, 480)}, trusted=trusted
    )
    assert cfg.train.n == cfg.val.n == cfg.extra.n == 8
    assert cfg.train.data.pipeline[1].scale == cfg.val.data.pipeline[1].scale == (640, 480)
    assert cfg.train.workers == 2


def test_data_files_take_part(folder: Path) -> None:
    cfg = Config.fromfile("child.yaml", overrides={"data_root": "/d/", "own.a": 5})
    assert cfg.root2 == cfg.train.data.root == "/d/"
    assert cfg.own.a == 5


def test_a_part_set_after_the_assignment_is_still_overridden() -> None:
    text = "m = dict(a=1)\nm['b'] = 2\nm.update(c=3)\nl = [1]\nl.append(2)\nx = m['b'] + m['c'] + l[1]"
    cfg = Config.fromstring(text, ".py", overrides={"m.b": 20, "m.c": 30, "l.1": 40})
    assert cfg.x == 90
    assert cfg.new_override_keys == []


def test_the_final_place_wins_over_what_a_child_sets(folder: Path) -> None:
    (folder / "grand.py").write_text("_base_ = 'child.py'\ntrain = dict(n=16)\nepochs = 24\n")
    cfg = Config.fromfile("grand.py", overrides={"train.n": 2, "epochs": 5})
    assert cfg.train.n == 2
    assert cfg.epochs == 5
    assert cfg.steps == [1, 4]


def test_a_new_key_is_reported(folder: Path) -> None:
    cfg = Config.fromfile("child.py", overrides={"train.bach": 1, "nothing": 2, "train.n": 3, "own.deep": 4})
    assert cfg.new_override_keys == ["train.bach", "nothing", "own.deep"]
    assert cfg.train.bach == 1
    assert cfg.own.deep == 4


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("trian.n", ["no 'trian'", "did you mean 'train'"]),
        ("train.dta.root", ["no 'train.dta'", "did you mean 'data'"]),
        ("epochs.x", ["'epochs' is 12"]),
        ("pipeline.2.type", ["0 to 1"]),
        ("pipeline.2", ["0 to 1"]),
        ("pipeline.type", ["'pipeline' is a list"]),
        ("a..b", ["dotted key"]),
        ("_base_", ["_base_", "can't be overridden"]),
    ],
)
def test_keys_that_lead_nowhere_are_refused(folder: Path, key: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.fromfile("child.py", overrides={key: 1})
    for part in ["--cfg-options", *parts]:
        assert part in str(caught.value)


def test_dict_values_are_merged_and_tuples_rebuilt() -> None:
    cfg = Config.fromstring(
        "m = dict(a=1, b=(1, (2, 3)), c=[(5, 6)])",
        ".py",
        overrides={"m": dict(d=4), "m.b.1.0": 9, "m.c.0.1": 7},
    )
    assert cfg.m == {"a": 1, "b": (1, (9, 3)), "c": [(5, 7)], "d": 4}


@pytest.mark.parametrize("trusted", [False, True])
def test_a_part_of_one_variable_does_not_leak_into_another(trusted: bool) -> None:
    text = (
        "shared = dict(x=1, y=[1])\na = dict(s=shared)\nb = dict(s=shared, a=a)\nc = dict(d=dict(s=shared))"
    )
    cfg = Config.fromstring(text, ".py", overrides={"a.s.x": 5, "a.s.y.0": 6}, trusted=trusted)
    assert cfg.a.s == cfg.b.a.s == {"x": 5, "y": [6]}
    assert cfg.shared == cfg.b.s == cfg.c.d.s == {"x": 1, "y": [1]}


def test_overrides_put_in_several_places_are_not_shared() -> None:
    value = [1]
    cfg = Config.fromstring("a = 0\nb = a\nc = dict(a=a)", ".py", overrides={"a": value})
    cfg.a.append(2)
    assert cfg.b == cfg.c.a == value == [1]


def test_merge_from_dict_creates_as_mmengine_does() -> None:
    cfg = Config(dict(model=dict(backbone=dict(type="R")), p=[dict(type="A"), dict(type="B")]))
    cfg.merge_from_dict({"model.backbone.depth": 50, "model.neck.out": 2, "p.1.type": "C", "new.key": 1})
    assert cfg.model.backbone == {"type": "R", "depth": 50}
    assert cfg.model.neck.out == 2
    assert cfg.p[1].type == "C"
    assert cfg.new.key == 1
    cfg.merge_from_dict(dict(p={"0": dict(type="Z")}))
    assert cfg.p[0].type == "Z"
    assert "set in code" in str(cfg.origin("new.key"))
    with pytest.raises(ConfigError):
        cfg.merge_from_dict({"p.7.type": "C"})


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(["a", "b.c", "b.d", "l.0", "l.1.e"]), st.integers(), max_size=5))
def test_every_override_is_found_under_its_key(overrides: dict[str, int]) -> None:
    cfg = Config.fromstring("a = 1\nb = dict(c=2, d=3)\nl = [4, dict(e=5)]", ".py", overrides=overrides)
    for key, value in overrides.items():
        assert cfg.find(key)[0] == value
        assert str(cfg.origin(key)) == "--cfg-options"
    untouched = {"a": 1, "b.c": 2, "b.d": 3, "l.0": 4, "l.1.e": 5}
    for key in untouched.keys() - overrides.keys():
        assert cfg.find(key)[0] == untouched[key]
    again = Config.fromstring(cfg.pretty_text, ".py", overrides=overrides)
    assert again.to_dict() == cfg.to_dict(), "idempotent"
