"""The examples of the guide do what it says."""

import re
from pathlib import Path

import pytest

from toolkit.config import Config, ConfigWarning, explain

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "config.md"
EXAMPLE = re.compile(r"<!-- example: file (\S+) -->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in EXAMPLE.findall(GUIDE.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_settings_and_overrides(folder: Path) -> None:
    cfg = Config.fromfile("settings.py")
    assert cfg.milestones == [8, 11]
    assert cfg.work_dir == "./work_dirs/settings"
    cfg = Config.fromfile("settings.py", overrides={"epochs": 3, "data_root": "/d/coco/"})
    assert cfg.milestones == [-1, 2]
    assert cfg.train_dataloader.dataset.ann_file == "/d/coco/annotations/instances_train2017.json"


def test_inheritance_with_its_warning(folder: Path) -> None:
    with pytest.warns(ConfigWarning, match=r"train_dataloader\.dataset\.pipeline"):
        cfg = Config.fromfile("child.py")
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.train_dataloader.dataset.type == "CocoDataset"
    assert cfg.optimizer == {"type": "AdamW", "lr": 1e-4}
    assert cfg.train_pipeline[1] == {"type": "Resize", "scale": (640, 480), "keep_ratio": True}
    assert cfg.warmup == 3
    shown = "\n".join(f"# {line}" for line in explain(cfg, "train_dataloader.batch_size").splitlines()[:1])
    assert shown in GUIDE.read_text(encoding="utf-8")
    origin = cfg.origin("train_dataloader.batch_size")
    assert origin is not None
    assert (str(origin), str(origin.over)) == ("child.py:4", "settings.py:8")


def test_the_cure_of_the_guide_cures(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    cure = "train_dataloader = dict(batch_size=4, dataset=dict(pipeline={1: dict(scale=(640, 480))}))"
    assert cure in GUIDE.read_text(encoding="utf-8")
    (folder / "cured.py").write_text(
        "_base_ = 'settings.py'\ntrain_pipeline = {1: dict(scale=(640, 480))}\n" + cure
    )
    cfg = Config.fromfile("cured.py")
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline
    assert not recwarn.list


def test_references_and_imports(folder: Path) -> None:
    assert Config.fromfile("reference.py").optimizer.type.dotted == "torch.optim.SGD"
    cfg = Config.fromfile("imported.py")
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.train_dataloader.dataset.type == "CocoDataset"
