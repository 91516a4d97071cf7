"""Files are read without running anybody's code, and what can't be read is said why."""

from __future__ import annotations

import hashlib
import os
import sys
import types
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from toolkit.fileio.checkpoint import CheckpointLoader, checksum_path, local_path, read_checkpoint, weights_of
from toolkit.utils.errors import CheckpointError

WEIGHTS = OrderedDict([("a.weight", torch.arange(6.0).reshape(2, 3)), ("a.bias", torch.ones(2))])


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.fixture
def history_buffer(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class under the name of MMEngine's, as its pickles hold it."""
    module = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self, values: list[float]) -> None:
            self.max_length = 1000
            self._log_history = np.array(values)
            self._count_history = np.ones(len(values))
            self._statistics_methods = OrderedDict(current=self.current)

        def current(self) -> float:
            return float(self._log_history[-1])

    HistoryBuffer.__module__ = module.__name__
    HistoryBuffer.__qualname__ = "HistoryBuffer"
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return HistoryBuffer


def test_a_checkpoint_of_mmengine_is_read_without_its_classes(
    tmp_path: Path, history_buffer: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = {
        "log_scalars": OrderedDict({"train/loss": history_buffer([3.0, 2.5])}),
        "runtime_info": OrderedDict(iter=2, best=np.float64(0.5), names=np.array(["x", "y"])),
        "resumed_keys": OrderedDict({"train/loss": True}),
    }
    meta = {"epoch": 1, "iter": 2, "dataset_meta": {"classes": ("x",), "counts": defaultdict(int, x=3)}}
    torch.save({"state_dict": WEIGHTS, "message_hub": hub, "meta": meta}, tmp_path / "old.pth")
    monkeypatch.delitem(sys.modules, "mmengine.logging.history_buffer")
    found = read_checkpoint(tmp_path / "old.pth")
    assert torch.equal(found["state_dict"]["a.weight"], WEIGHTS["a.weight"])
    history = found["message_hub"]["log_scalars"]["train/loss"]
    assert history == {"log_history": [3.0, 2.5], "count_history": [1.0, 1.0], "max_length": 1000}
    assert found["message_hub"]["runtime_info"] == {"iter": 2, "best": 0.5, "names": ["x", "y"]}
    assert found["meta"]["dataset_meta"]["counts"] == {"x": 3}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before torch 1.6"])
def test_code_is_not_run(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "ran"
    file = tmp_path / "evil.pth"
    content = {"state_dict": WEIGHTS, "meta": Evil(f"touch {mark}")}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"posix\.system.*--trust-checkpoint"):
        read_checkpoint(file)
    assert not mark.exists()
    read_checkpoint(file, trusted=True)
    assert mark.exists()


def test_getattr_reaches_nothing(tmp_path: Path) -> None:
    """OpenMMLab's pickles name `getattr`; its stand-in gives nothing away."""

    class Reach:
        def __reduce__(self) -> Any:
            return getattr, (OrderedDict, "fromkeys")

    torch.save({"state_dict": WEIGHTS, "meta": Reach()}, tmp_path / "reach.pth")
    assert read_checkpoint(tmp_path / "reach.pth")["meta"] is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_damage_is_told(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "x.pth"
    torch.save({"state_dict": WEIGHTS}, file)
    content = bytearray(file.read_bytes())
    if damage == "flipped":  # which only the checksum tells
        checksum_path(file).write_text(f"{hashlib.sha256(content).hexdigest()}  x.pth\n")
        place = content.index(torch.ones(2).numpy().tobytes())
        content[place] ^= 1
    kinds = {"cut": content[: len(content) // 2], "flipped": content, "empty": b"", "text": b"hello" * 100}
    file.write_bytes(kinds[damage])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(file)


def test_missing_files_name_what_is_near(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "epoch_12.pth")
    with pytest.raises(CheckpointError, match=r"did you mean 'epoch_12\.pth'.*holds epoch_12\.pth"):
        read_checkpoint(tmp_path / "epoch_21.pth")
    with pytest.raises(CheckpointError, match=r"folder .* doesn't exist"):
        read_checkpoint(tmp_path / "nowhere" / "x.pth")
    with pytest.raises(CheckpointError, match="holds epoch_12"):
        read_checkpoint(tmp_path)  # a folder


def test_safetensors(tmp_path: Path) -> None:
    save_file(dict(WEIGHTS), str(tmp_path / "x.safetensors"))
    assert torch.equal(read_checkpoint(tmp_path / "x.safetensors")["a.bias"], torch.ones(2))
    (tmp_path / "x.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("content", [{"state_dict": WEIGHTS}, {"model": WEIGHTS, "epoch": 3}, WEIGHTS])
def test_weights_are_found(content: dict[str, Any]) -> None:
    assert list(weights_of(content)) == list(WEIGHTS)


def test_no_weights_are_told() -> None:
    with pytest.raises(CheckpointError, match="holds no weights: it has the keys optimizer"):
        weights_of({"optimizer": {"lr": 1}})


def test_what_is_no_dict_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="holds a list"):
        read_checkpoint(tmp_path / "x.pth")


def test_names_of_published_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They lead to the URLs that the names have always meant; the file in torch.hub's folder is taken."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name, file in (
        ("torchvision://resnet50", "resnet50-0676ba61.pth"),
        ("torchvision://resnet50.IMAGENET1K_V2", "resnet50-11ad3fa6.pth"),
        ("open-mmlab://detectron2/resnet50_caffe", "resnet50_msra-5891d200.pth"),
        ("https://example.org/a/net-0123456789.pth?x=1", "net-0123456789.pth"),
    ):
        torch.save({"state_dict": WEIGHTS}, folder / file)
        assert local_path(name) == folder / file
        assert "a.bias" in read_checkpoint(name)["state_dict"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision://resnet5", "did you mean 'resnet50'"),
        ("torchvision://resnet50.IMAGENET1K_V9", "did you mean 'IMAGENET1K_V"),
        ("open-mmlab://detectron2/resnet50_cafe", "did you mean 'detectron2/resnet50_caffe'"),
    ],
)
def test_unknown_names_are_told(name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        local_path(name)


def test_a_failed_download_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(CheckpointError, match=r"put the file at .*net-0123456789\.pth"):
        read_checkpoint("http://127.0.0.1:9/net-0123456789.pth")


def test_schemes_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointLoader, "_schemes", {})

    @CheckpointLoader.register_scheme(prefixes="mine://")
    def load(filename: str, map_location: Any) -> dict[str, Any]:
        return {"state_dict": WEIGHTS, "from": filename}

    assert read_checkpoint("mine://x")["from"] == "mine://x"
    with pytest.raises(KeyError, match="registered already"):
        CheckpointLoader.register_scheme("mine://", load)
