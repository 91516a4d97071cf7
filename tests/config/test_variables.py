"""Warnings of variables that a child redefines without reaching what was computed from them."""

import warnings
from pathlib import Path

import pytest

from toolkit.config import Config, ConfigWarning

BASE = """data_root = 'coco/'
size = (1333, 800)
train_pipeline = [dict(type='Load'), dict(type='Resize', scale=size)]
train_dataloader = dict(
    batch=2,
    dataset=dict(root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(root=data_root))
test_dataloader = val_dataloader
model = dict(norm=dict(mean=1), head=dict(n=80))
tta = dict(mean=model['norm']['mean'])
for i in range(2):
    loop = dict(i=i)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text(BASE)
    return tmp_path


def warned(folder: Path, text: str, name: str = "child.py") -> list[str]:
    (folder / name).write_text(text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Config.fromfile(name)
    assert all(issubclass(warning.category, ConfigWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


def test_the_classic(folder: Path) -> None:
    messages = warned(folder, "_base_ = 'base.py'\n\ntrain_pipeline = [dict(type='Other')]")
    assert len(messages) == 1
    for part in (
        "child.py:3",
        "'train_pipeline'",
        "base.py:3",
        "train_dataloader.dataset.pipeline (base.py:6)",
        "train_pipeline=...",
    ):
        assert part in messages[0]


def test_in_data_files_and_imported_bases_too(folder: Path) -> None:
    assert "child.yaml:2" in warned(folder, "_base_: base.py\ndata_root: x/", "child.yaml")[0]
    text = "from toolkit.config import read_base\nwith read_base():\n    from .base import *\n"
    assert "child.py:4" in warned(folder, text + "data_root = 'x/'")[0]
    assert not warned(folder, text + "train_dataloader.update(batch=4)")


def test_a_part_that_was_read(folder: Path) -> None:
    assert not warned(folder, "_base_ = 'base.py'\nmodel = dict(head=dict(n=3))")
    assert "'model.norm.mean'" in warned(folder, "_base_ = 'base.py'\nmodel = dict(norm=dict(mean=3))")[0]


QUIET = {
    "nothing redefined": "x = 1",
    "the same value": "data_root = 'coco/'",
    "the dependents are set too": (
        "data_root = 'x/'\ntrain_dataloader = dict(dataset=dict(root=data_root))\n"
        "val_dataloader = dict(dataset=dict(root=data_root))\ntest_dataloader = val_dataloader"
    ),
    "set to the old value on purpose": (
        "size = (640, 480)\ntrain_pipeline = [dict(type='Resize', scale=(1333, 800))]\n"
        "train_dataloader = dict(dataset=dict(pipeline=train_pipeline))"
    ),
    "the dependents are deleted": (
        "data_root = 'x/'\ntrain_dataloader = dict(_delete_=True)\nval_dataloader = dict(_delete_=True)\n"
        "test_dataloader = dict(_delete_=True)"
    ),
    "a loop variable": "for i in range(5):\n    pass",
    "only an intermediate value keeps it": (
        "size = (1, 1)\ntrain_dataloader = dict(dataset=dict(pipeline=[dict(type='Load')]))"
    ),
}


@pytest.mark.parametrize("text", QUIET.values(), ids=QUIET.keys())
def test_no_false_alarms(folder: Path, text: str) -> None:
    assert warned(folder, "_base_ = 'base.py'\n" + text) == []


def test_a_value_read_before_the_base_itself_redefined_is_not_stale(folder: Path) -> None:
    (folder / "middle.py").write_text("_base_ = 'base.py'\ndetector = _base_.model\nmodel = dict(d=detector)")
    assert warned(folder, "_base_ = 'middle.py'\nmodel = dict(tracker=1)") == []


def test_an_override_is_never_stale(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config.fromfile("base.py", overrides={"data_root": "x/"})


def test_merge_from_dict_warns(folder: Path) -> None:
    cfg = Config.fromfile("base.py")
    with pytest.warns(ConfigWarning, match="data_root"):
        cfg.merge_from_dict({"data_root": "x/"})
