"""Checkpoints are written whole or not at all, and hold plain things only."""

from __future__ import annotations

import enum
import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from toolkit.config import ConfigDict
from toolkit.fileio.checkpoint import checksum_path, read_checkpoint
from toolkit.runner.checkpoint import find_latest_checkpoint, mark_latest, remove_checkpoint, save_checkpoint
from toolkit.runner.checkpoint.latest import read_latest_checkpoint
from toolkit.runner.checkpoint.storable import storable
from toolkit.utils.errors import CheckpointError


class Color(enum.Enum):
    RED = "red"


def test_written_with_its_checksum(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "x.pth"
    digest = save_checkpoint({"state_dict": {"w": torch.ones(3)}}, file)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert checksum_path(file).read_text() == f"{digest}  x.pth\n"
    assert sorted(os.listdir(file.parent)) == ["x.pth", "x.pth.sha256"]
    assert torch.load(file, weights_only=True)["state_dict"]["w"].tolist() == [1, 1, 1]
    remove_checkpoint(file)
    assert os.listdir(file.parent) == []


@pytest.mark.parametrize("moment", ["write", "replace", "after"])
def test_a_crash_leaves_a_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Killed at any moment of an overwrite, the old or the new file is there, and fits its checksum."""
    file = tmp_path / "x.pth"
    save_checkpoint({"state_dict": {"w": torch.zeros(1)}}, file)
    real_save, real_replace = torch.save, os.replace

    def dying_save(content: Any, target: Any) -> None:
        real_save(content, target)
        raise KeyboardInterrupt

    def dying_replace(source: Any, target: Any) -> None:
        if Path(target) != file:
            return real_replace(source, target)
        if moment == "after":
            real_replace(source, target)
        raise KeyboardInterrupt

    if moment == "write":
        monkeypatch.setattr(torch, "save", dying_save)
    else:
        monkeypatch.setattr(os, "replace", dying_replace)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint({"state_dict": {"w": torch.ones(1)}}, file)
    monkeypatch.undo()
    found = read_checkpoint(file)["state_dict"]["w"].item()
    assert found == (1 if moment == "after" else 0)
    assert sorted(os.listdir(tmp_path)) == ["x.pth", "x.pth.sha256"]


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="can't be written"):
        save_checkpoint({}, tmp_path / "file" / "x.pth")


def test_through_fsspec() -> None:
    save_checkpoint({"state_dict": {"w": torch.ones(2)}}, "memory://checkpoints/x.pth")
    import fsspec

    with fsspec.open("memory://checkpoints/x.pth") as file:
        assert torch.load(file, weights_only=True)["state_dict"]["w"].tolist() == [1, 1]


def test_storable_makes_things_plain(tmp_path: Path) -> None:
    model = nn.BatchNorm1d(2)
    content = {
        "meta": ConfigDict(a=ConfigDict(b=(1, [2.5, None]))),
        "numbers": [np.float64(0.5), np.int32(3), np.bool_(True)],
        "array": np.arange(3),
        "names": np.array(["x"]),
        "path": tmp_path,
        "device": torch.device("cpu"),
        "enum": Color.RED,
        "classes": {"x", "y"},
        "state_dict": model.state_dict(),
        "parameter": model.weight,
    }
    made = storable(content)
    torch.save(made, tmp_path / "x.pth")
    found = torch.load(tmp_path / "x.pth", weights_only=True)
    assert type(found["meta"]["a"]) is dict
    assert found["meta"]["a"]["b"] == (1, [2.5, None])
    assert found["numbers"] == [0.5, 3, True]
    assert found["array"].tolist() == [0, 1, 2]
    assert (found["names"], found["enum"], found["device"]) == (["x"], "red", "cpu")
    assert found["classes"] == {"x", "y"}
    assert type(found["state_dict"]) is OrderedDict
    assert found["state_dict"]._metadata[""]["version"] == 2
    assert not found["parameter"].requires_grad


def test_storable_names_what_is_not_plain() -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint\.hooks\.Mine\[1\] is a .*Linear"):
        storable({"hooks": {"Mine": [1, nn.Linear(1, 1)]}})


def test_a_slice_takes_only_itself(tmp_path: Path) -> None:
    save_checkpoint({"w": torch.zeros(1_000_000)[:4]}, tmp_path / "x.pth")
    assert (tmp_path / "x.pth").stat().st_size < 10_000


class TestLatest:
    def write(self, folder: Path, name: str, number: int, **extra: Any) -> Path:
        content = {"state_dict": {"w": torch.tensor(float(number))}, "optimizer": {}, **extra}
        save_checkpoint(content, folder / name)
        os.utime(folder / name, ns=(number, number))
        return folder / name

    def test_the_named_one(self, tmp_path: Path) -> None:
        first = self.write(tmp_path, "a.pth", 1)
        self.write(tmp_path, "b.pth", 2)
        mark_latest(first, tmp_path)
        assert find_latest_checkpoint(tmp_path) == str(first)
        found = read_latest_checkpoint(tmp_path, pytest.fail)
        assert found is not None
        assert found[1]["state_dict"]["w"] == 1

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert find_latest_checkpoint(tmp_path) is None
        assert read_latest_checkpoint(tmp_path, pytest.fail) is None

    def test_a_work_dir_that_was_moved(self, tmp_path: Path) -> None:
        (tmp_path / "old").mkdir()
        mark_latest(self.write(tmp_path / "old", "a.pth", 1), tmp_path / "old")
        (tmp_path / "old").rename(tmp_path / "new")
        assert find_latest_checkpoint(tmp_path / "new") == str(tmp_path / "new" / "a.pth")

    def test_damaged_ones_are_reported_and_passed_over(self, tmp_path: Path) -> None:
        for number, name in enumerate(("a.pth", "b.pth", "c.pth"), start=1):
            newest = self.write(tmp_path, name, number)
        mark_latest(newest, tmp_path)
        newest.write_bytes(newest.read_bytes()[:-7])
        (tmp_path / "b.pth").write_bytes(b"")
        warnings: list[str] = []
        found = read_latest_checkpoint(tmp_path, warnings.append)
        assert found is not None
        assert found[0].endswith("a.pth")
        assert ["c.pth" in warnings[0], "b.pth" in warnings[1], len(warnings)] == [True, True, 2]

    def test_weights_alone_are_none_to_resume(self, tmp_path: Path) -> None:
        self.write(tmp_path, "a.pth", 1)
        save_checkpoint({"state_dict": {}}, tmp_path / "best.pth")
        found = read_latest_checkpoint(tmp_path, pytest.fail)
        assert found is not None
        assert found[0].endswith("a.pth")

    def test_no_good_one(self, tmp_path: Path) -> None:
        self.write(tmp_path, "a.pth", 1).write_bytes(b"")
        with pytest.raises(CheckpointError, match="holds no good checkpoint"):
            read_latest_checkpoint(tmp_path, lambda _: None)


def test_the_former_name_of_backend_args(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="backend_args"):
        save_checkpoint({"state_dict": {}}, tmp_path / "x.pth", {"backend": "disk"})
    assert read_checkpoint(tmp_path / "x.pth") == {"state_dict": {}}
