"""Config files: three formats, inheritance, references, variables of the file, overrides, Python style."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
from torch import nn
from torch.optim import SGD

from toolkit.config import Config, ConfigDict, DictAction
from toolkit.hub import get_config, get_model
from toolkit.registry import MODELS, OPTIMIZERS

LEARN = """
test_int = 1
test_list = [1, 2, 3]
test_dict = dict(key1='value1', key2=0.1)
"""
OPTIMIZER = "optimizer = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "learn_read_config.py").write_text(LEARN)
    (tmp_path / "optimizer_cfg.py").write_text(OPTIMIZER)
    (tmp_path / "runtime_cfg.py").write_text("gpu_ids = [0, 1]\n")
    return tmp_path


def test_reading(folder: Path) -> None:
    cfg = Config.fromfile("learn_read_config.py")
    assert (cfg.test_int, cfg.test_list, cfg.test_dict) == (1, [1, 2, 3], {"key1": "value1", "key2": 0.1})
    assert cfg["test_dict"]["key2"] == cfg.test_dict.key2 == cfg.get("test_dict").get("key2") == 0.1
    cfg.test_dict.key3 = "new"
    assert cfg["test_dict"]["key3"] == "new"
    assert isinstance(cfg.test_dict, ConfigDict)
    with pytest.raises(AttributeError):
        _ = cfg.nothing


def test_three_formats_say_the_same(folder: Path) -> None:
    plain = {"test_int": 1, "test_list": [1, 2, 3], "test_dict": {"key1": "value1", "key2": 0.1}}
    (folder / "x.json").write_text(json.dumps(plain))
    (folder / "x.yaml").write_text(
        "test_int: 1\ntest_list: [1, 2, 3]\ntest_dict: {key1: value1, key2: 0.1}\n"
    )
    for name in ("learn_read_config.py", "x.json", "x.yaml"):
        assert Config.fromfile(name).to_dict() == plain


def test_inheritance(folder: Path) -> None:
    (folder / "resnet50.py").write_text(
        "_base_ = ['optimizer_cfg.py', 'runtime_cfg.py']\nmodel = dict(type='ResNet', depth=50)\n"
        "optimizer = dict(lr=0.01)\n"
    )
    cfg = Config.fromfile("resnet50.py")
    assert cfg.optimizer == {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0001}
    assert cfg.gpu_ids == [0, 1]
    (folder / "delete.py").write_text(
        "_base_ = ['optimizer_cfg.py', 'runtime_cfg.py']\n"
        "optimizer = dict(_delete_=True, type='Adam', lr=0.01)\ngpu_ids = [0]\n"
    )
    cfg = Config.fromfile("delete.py")
    assert cfg.optimizer == {"type": "Adam", "lr": 0.01}
    assert cfg.gpu_ids == [0]


def test_values_of_the_base_are_referred_to(folder: Path) -> None:
    (folder / "refer.py").write_text(
        "_base_ = ['optimizer_cfg.py']\na = {{_base_.optimizer}}\nb = _base_.optimizer.lr\n"
        "_base_.optimizer.type = 'Adam'\n"
    )
    cfg = Config.fromfile("refer.py")
    assert cfg.a == {"type": "Adam", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001}
    assert cfg.b == 0.02
    assert cfg.optimizer.type == "Adam"


def test_variables_of_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTORIAL_ROOT", "/d")
    (folder / "vars.py").write_text(
        "work_dir = './work_dir/{{ fileBasenameNoExtension }}'\nname = '{{ fileBasename }}'\n"
        "ext = '{{ fileExtname }}'\nroot = '{{ $TUTORIAL_ROOT:/else }}'\n"
        "other = '{{ $TUTORIAL_NONE:/else }}'\n"
    )
    cfg = Config.fromfile("vars.py")
    assert cfg.work_dir == "./work_dir/vars"
    assert (cfg.name, cfg.ext, cfg.root, cfg.other) == ("vars.py", ".py", "/d", "/else")


def test_overrides_from_the_command_line(folder: Path) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    args = parser.parse_args(
        ["optimizer_cfg.py", "--cfg-options", "optimizer.lr=0.1", "optimizer.betas=(0.9,0.99)", "x=[1,2]"]
    )
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    assert cfg.optimizer.lr == 0.1
    assert cfg.optimizer.betas == (0.9, 0.99)
    assert cfg.x == [1, 2]
    listed = Config({"pipeline": [{"type": "A"}, {"type": "B"}]})
    listed.merge_from_dict({"pipeline.1.type": "C"})
    assert listed.pipeline == [{"type": "A"}, {"type": "C"}]


def test_dumps_read_as_the_same(folder: Path) -> None:
    cfg = Config.fromfile("optimizer_cfg.py")
    for name in ("dumped.py", "dumped.json", "dumped.yaml"):
        cfg.dump(name)
        assert Config.fromfile(name).to_dict() == cfg.to_dict()
    assert "lr=0.02" in cfg.pretty_text


def test_the_python_style(folder: Path) -> None:
    (folder / "new.py").write_text(
        "from toolkit.config import read_base\nfrom torch.optim import AdamW\n"
        "with read_base():\n    from .optimizer_cfg import *\n    from .runtime_cfg import gpu_ids as ids\n"
        "optimizer.update(dict(type=AdamW, lr=1))\n"
    )
    cfg = Config.fromfile("new.py")
    assert cfg.optimizer.lr == 1
    assert cfg.optimizer.type.dotted == "torch.optim.AdamW"
    assert cfg.optimizer.momentum == 0.9
    assert cfg.ids == [0, 1]


def test_from_text() -> None:
    assert Config.fromstring("a = 1", ".py").a == 1


def test_classes_in_the_python_style_are_built(folder: Path) -> None:
    (folder / "classes.py").write_text(
        "import torch.nn as nn\nfrom torch.optim import SGD\n"
        "optimizer = dict(type=SGD, lr=0.1)\nlayer = dict(type=nn.Linear, in_features=2, out_features=3)\n"
    )
    cfg = Config.fromfile("classes.py", lazy_import=True)
    assert cfg.optimizer.type == SGD
    layer = MODELS.build(cfg.layer)
    assert isinstance(layer, nn.Linear)
    optimizer = OPTIMIZERS.build(cfg.optimizer, default_args={"params": layer.parameters()})
    assert isinstance(optimizer, SGD)
    assert cfg.to_dict()["optimizer"] == {"type": "torch.optim.SGD", "lr": 0.1}
    cfg.dump("dumped_classes.py")
    assert Config.fromfile("dumped_classes.py").to_dict() == cfg.to_dict()


def test_modules_of_ones_own_are_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    (folder / "tutorial_optimizer.py").write_text(
        "from torch.optim import SGD\nfrom toolkit.registry import OPTIMIZERS\n"
        "@OPTIMIZERS.register_module(force=True)\nclass TutorialOptimizer(SGD):\n    pass\n"
    )
    (folder / "imports.py").write_text(
        "custom_imports = dict(imports=['tutorial_optimizer'], allow_failed_imports=False)\n"
        "optimizer = dict(type='TutorialOptimizer', lr=0.1)\n"
    )
    assert "tutorial_optimizer" not in sys.modules
    Config.fromfile("imports.py")
    assert "tutorial_optimizer" not in sys.modules
    cfg = Config.fromfile("imports.py", import_custom_modules=True)
    built = OPTIMIZERS.build(cfg.optimizer, default_args={"params": nn.Linear(1, 1).parameters()})
    assert type(built).__name__ == "TutorialOptimizer"


def test_configs_and_models_of_a_package() -> None:
    cfg = get_config("mmdet::retinanet/retinanet_r18_fpn_1x_coco.py")
    assert cfg.model.backbone.depth == 18
    assert type(get_model("mmdet::retinanet/retinanet_r18_fpn_1x_coco")).__name__ == "RetinaNet"


def test_the_difference_of_two(folder: Path) -> None:
    (folder / "other.py").write_text("_base_ = ['optimizer_cfg.py']\noptimizer = dict(lr=0.1)\n")
    found = Config.diff("optimizer_cfg.py", Config.fromfile("other.py"))
    assert [line.split("  (")[0] for line in found.splitlines()] == [
        "- optimizer.lr = 0.02",
        "+ optimizer.lr = 0.1",
    ]
