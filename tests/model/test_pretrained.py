"""Modules that start from a checkpoint. How checkpoints are found and read is tested with their reader."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from toolkit.model import BaseModule, PretrainedInit
from toolkit.model.pretrained import load_pretrained
from toolkit.utils import CheckpointError


def make() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "ddp"])
def test_a_local_file(tmp_path: Path, wrap: str) -> None:
    source, target = make(), make()
    state = source.state_dict()
    if wrap == "ddp":
        state = {f"module.{key}": value for key, value in state.items()}
    torch.save(state if wrap == "plain" else {"state_dict": state, "meta": {"epoch": 3}}, tmp_path / "w.pth")
    PretrainedInit(str(tmp_path / "w.pth"))(target)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source, target = make(), make()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_pretrained(target, tmp_path / "w.safetensors")
    assert torch.equal(source[0].weight, target[0].weight)


def test_a_prefix_takes_a_part(tmp_path: Path) -> None:
    whole = nn.ModuleDict({"backbone": make(), "head": nn.Linear(1, 1)})
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    for prefix in ("backbone", "backbone."):
        target = make()
        PretrainedInit(str(tmp_path / "w.pth"), prefix=prefix)(target)
        assert torch.equal(target[1].bias, whole["backbone"][1].bias)
    with pytest.raises(CheckpointError, match=r"did you mean 'backbone'\?; it has backbone, head"):
        PretrainedInit(str(tmp_path / "w.pth"), prefix="backbon")(make())


def test_what_does_not_fit_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = make().state_dict()
    state["1.weight"] = torch.zeros(5, 3)
    state["extra"] = torch.zeros(1)
    del state["1.bias"]
    torch.save(state, tmp_path / "w.pth")
    target = make()
    with caplog.at_level(logging.INFO):
        load_pretrained(target, tmp_path / "w.pth")
    assert "loaded 2 of 4" in caplog.text
    assert "not in the checkpoint: 1.bias" in caplog.text
    assert "in the checkpoint only: extra" in caplog.text
    assert "another shape: 1.weight" in caplog.text
    assert torch.equal(target[0].weight, state["0.weight"])


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    torch.save({"model.0.weight": torch.zeros(3, 2)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"nothing .* fits Sequential.*prefix"):
        load_pretrained(make(), tmp_path / "w.pth")


def test_a_missing_or_unsafe_file_is_named(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": {}, "meta": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth"):
        PretrainedInit(str(tmp_path / "evil.pth"))(make())
    assert not (tmp_path / "ran").exists()
    with pytest.raises(CheckpointError, match=r"did you mean 'evil\.pth'"):
        PretrainedInit(str(tmp_path / "evill.pth"))(make())


def test_offline_says_what_to_do(hub: Path) -> None:
    with pytest.raises(CheckpointError, match=r"put the file at .*checkpoints/w\.pth"):
        PretrainedInit("http://127.0.0.1:9/w.pth")(make())


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("torchvision://resnet50", "resnet50-0676ba61.pth"),
        ("torchvision://resnet50.IMAGENET1K_V2", "resnet50-11ad3fa6.pth"),
        ("torchvision://resnet18", "resnet18-f37072fd.pth"),
        ("torchvision://resnet50.imagenet1k_v2", "resnet50-11ad3fa6.pth"),
        ("torchvision://shufflenetv2_x0.5", "shufflenetv2_x0.5-f707e7126e.pth"),
        ("open-mmlab://detectron2/resnet50_caffe", "resnet50_msra-5891d200.pth"),
        ("open-mmlab://resnet50_caffe_bgr", "resnet50_msra-5891d200.pth"),
    ],
)
def test_a_name_means_a_file(hub: Path, name: str, file: str) -> None:
    source, target = make(), make()
    torch.save(source.state_dict(), hub / file)
    PretrainedInit(name)(target)
    assert torch.equal(target[0].weight, source[0].weight)


def test_a_classifier_of_mmclassification_gives_its_backbone(hub: Path) -> None:
    source, target = make(), make()
    state = {f"backbone.{key}": value for key, value in source.state_dict().items()}
    torch.save(
        {"state_dict": {**state, "head.fc.bias": torch.ones(3)}},
        hub / "resnet18_8xb32_in1k_20210831-fbbb1da6.pth",
    )
    PretrainedInit("mmcls://resnet18")(target)
    assert torch.equal(target[0].weight, source[0].weight)
    with pytest.raises(CheckpointError, match="did you mean 'resnet18'"):
        PretrainedInit("mmcls://resnet_18")(make())


def test_tables_of_names() -> None:
    from toolkit.runner import (
        get_deprecated_model_names,
        get_external_models,
        get_mmcls_models,
        get_torchvision_models,
    )

    external = get_external_models()
    assert set(get_deprecated_model_names().values()) <= set(external)
    for table in (external, get_mmcls_models(), get_torchvision_models()):
        assert all(url.startswith("https://") and url.endswith((".pth", ".pt")) for url in table.values())
    assert get_torchvision_models()["resnet50.default"] == get_torchvision_models()["resnet50.imagenet1k_v2"]


def test_in_an_init_cfg(tmp_path: Path) -> None:
    class Net(BaseModule):
        def __init__(self, init_cfg: dict) -> None:
            super().__init__(init_cfg)
            self.linear = nn.Linear(1, 1)

    torch.save({"linear.weight": torch.full((1, 1), 4.0)}, tmp_path / "w.pth")
    net = Net({"type": "Pretrained", "checkpoint": str(tmp_path / "w.pth")})
    net.init_weights()
    assert net.linear.weight.item() == 4
