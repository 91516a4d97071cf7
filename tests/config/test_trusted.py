"""Files run as plain Python give the same kind of result."""

from pathlib import Path

import pytest

from toolkit.config import Config, ConfigDict, LazyObject
from toolkit.utils import ConfigError

SOURCE = """import math
from collections import OrderedDict
from mmengine.config import read_base

with read_base():
    from .base import *


def double(x):
    return 2 * x


class Helper:
    n = 3


n = double(Helper.n)
while n < 10:
    n += 1
model = dict(
    type='A',
    depth=math.floor(5.5),
    heads=[
        dict(n=n)])
kind = OrderedDict
model['late'] = '{{ fileBasenameNoExtension }}'
base_model['b'] = 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text("base_model = dict(a=1)\nother = 5\n")
    (tmp_path / "child.py").write_text(SOURCE.replace("from mmengine", "from toolkit"))
    return tmp_path


def test_plain_python_is_run_and_its_values_are_config(folder: Path) -> None:
    cfg = Config.fromfile("child.py", trusted=True)
    assert set(cfg) == {"base_model", "other", "n", "model", "kind"}
    assert cfg.model == {"type": "A", "depth": 5, "heads": [{"n": 10}], "late": "child"}
    assert isinstance(cfg.model.heads[0], ConfigDict)
    assert cfg.base_model == {"a": 1, "b": 2}
    assert str(cfg.origin("model.heads.0.n")) == "child.py:24"
    assert str(cfg.origin("other")) == "base.py:2"
    again = Config.fromstring(cfg.pretty_text, ".py")
    assert again.kind == LazyObject("collections.OrderedDict")
    assert again.model == cfg.model


def test_without_trust_the_same_file_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"child\.py:9: 'functiondef'.*trusted=True"):
        Config.fromfile("child.py")


def test_bases_by_list_and_their_values(folder: Path) -> None:
    (folder / "listed.py").write_text(
        "_base_ = 'base.py'\nx = [v for v in map(str, [_base_.other])]\nbase_model = dict(c=3)\n"
    )
    cfg = Config.fromfile("listed.py", trusted=True)
    assert cfg.to_dict() == {"base_model": {"a": 1, "c": 3}, "other": 5, "x": ["5"]}


def test_overrides_reach_in_loops_too(folder: Path) -> None:
    cfg = Config.fromfile("child.py", trusted=True, overrides={"n": 50, "model.depth": 7})
    assert cfg.model.heads[0].n == 50
    assert cfg.model.depth == 7


def test_errors_have_their_line(folder: Path) -> None:
    (folder / "bad.py").write_text("x = 1\ndef f():\n    return {}['k']\ny = f()\n")
    with pytest.raises(ConfigError, match=r"bad\.py:3: KeyError"):
        Config.fromfile("bad.py", trusted=True)


@pytest.mark.parametrize(
    "source",
    [
        "a = dict(b=[1, dict(c=2)], d=(3,))\nb = a['b'] + [4]\nfor i in range(2):\n    c = i",
        "a, b = 1, [2]\nb += [3]\nc = f'{a}-{b}'\ndel a",
    ],
)
def test_both_ways_give_the_same(source: str) -> None:
    data, run = Config.fromstring(source, ".py"), Config.fromstring(source, ".py", trusted=True)
    assert data.to_dict() == run.to_dict()
    assert data.pretty_text == run.pretty_text
