"""Published weights: named by their hash, usable alone, with a model card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from toolkit.fileio.checkpoint import read_checkpoint, weights_of
from toolkit.runner.checkpoint import config_of, publish_checkpoint, save_checkpoint
from toolkit.utils import CheckpointError

SHARED = torch.arange(6.0).reshape(2, 3)
WEIGHTS = {"a.weight": SHARED, "b.weight": SHARED, "c.weight": SHARED.t()}
CFG = "model = dict(type='FasterRCNN', num_classes=2)\nwork_dir = 'secret/place'\n"


def checkpoint(folder: Path, name: str = "epoch_3.pth", **more: Any) -> str:
    meta = {
        "epoch": 3,
        "iter": 30,
        "cfg": CFG,
        "experiment_name": "tiny_20260102_030405",
        "hostname": "mine",
        "dataset_meta": {"classes": ("cat", "dog")},
    }
    buffer = {"log_history": [0.1, 0.25], "count_history": [1, 1], "max_length": 10}
    content = {
        "meta": meta,
        "state_dict": WEIGHTS,
        "optimizer": {"big": torch.zeros(1000)},
        "message_hub": {
            "log_scalars": {"val/coco/bbox_mAP": buffer, "val/time": buffer, "train/loss": buffer}
        },
        **more,
    }
    save_checkpoint(content, folder / name)
    return str(folder / name)


def test_the_weights_stand_alone_under_a_name_with_their_hash(tmp_path: Path) -> None:
    path = publish_checkpoint(checkpoint(tmp_path), tmp_path / "out", license="mit")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f"tiny-{digest[:8]}.safetensors"
    content = read_checkpoint(path)
    assert set(content) == {"meta", "state_dict"}
    for key, value in weights_of(content).items():
        assert torch.equal(value, WEIGHTS[key])
    assert content["meta"]["dataset_meta"]["classes"] == ["cat", "dog"]
    assert config_of(str(path)).model.type == "FasterRCNN"


def test_nothing_of_the_run_is_told(tmp_path: Path) -> None:
    path = publish_checkpoint(checkpoint(tmp_path), tmp_path)
    text = path.read_bytes() + (tmp_path / "README.md").read_bytes()
    assert b"secret" not in text
    assert b"mine" not in text
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["toolkit_meta"])["epoch"] == 3


def test_the_card_says_what_it_is_and_how_good(tmp_path: Path) -> None:
    source = checkpoint(tmp_path, "best_bbox_mAP_epoch_3.pth")
    path = publish_checkpoint(source, tmp_path / "out", license="cc-by-4.0")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    for part in (
        "A `FasterRCNN` of 18 numbers",
        "| coco/bbox_mAP | 0.25 |",
        "cat, dog",
        "Epoch 3",
        path.name,
    ):
        assert part in card
    assert "time" not in card


@pytest.mark.parametrize(
    ("loop", "known"), [({"val_due": True}, False), ({"val_due": False}, True), ({}, False)]
)
def test_metrics_of_earlier_weights_are_not_claimed(tmp_path: Path, loop: Any, known: bool) -> None:
    publish_checkpoint(checkpoint(tmp_path, loop=loop), tmp_path / "out")
    assert ("0.25" in (tmp_path / "out" / "README.md").read_text()) == known


def test_a_card_that_was_edited_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    publish_checkpoint(checkpoint(tmp_path), tmp_path, metrics={"AP": 0.5})
    assert (tmp_path / "README.md").read_text() == "mine"


def test_weights_without_anything_else(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "bare.pth")
    path = publish_checkpoint(str(tmp_path / "bare.pth"), tmp_path / "out", metrics={"AP": 0.5})
    assert path.name.startswith("bare-")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: unknown" in card
    assert "| AP | 0.5 |" in card
    assert set(read_checkpoint(path)["state_dict"]) == set(WEIGHTS)


def test_a_damaged_file_is_told_by_its_checksum(tmp_path: Path) -> None:
    path = publish_checkpoint(checkpoint(tmp_path), tmp_path / "out")
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)
