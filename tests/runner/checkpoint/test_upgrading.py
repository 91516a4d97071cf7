"""Checkpoints of older versions: what parts of a model do to their keys is done before keys are compared."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.model.cnn import ConvModule
from toolkit.runner.checkpoint import load_checkpoint, load_state_dict
from toolkit.runner.checkpoint.weights import load_weights
from toolkit.utils.errors import CheckpointError


class Renamed(nn.Module):
    """Had its layer under another name, and no scale."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.full((1,), 7.0))
        self.register_buffer("passing", torch.zeros(1), persistent=False)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("weight", "bias"):
            if f"{prefix}fc.{name}" in state_dict:
                state_dict[f"{prefix}layer.{name}"] = state_dict.pop(f"{prefix}fc.{name}")
        if f"{prefix}scale" not in state_dict:
            # computed from others, in a copy that nobody else sees
            state_dict = {**state_dict, f"{prefix}scale": state_dict[f"{prefix}layer.bias"][:1] * 2}
        super()._load_from_state_dict(state_dict, prefix, *args)


class Hooked(nn.Module):
    """Renames in a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.new = nn.Parameter(torch.zeros(2))
        self.register_load_state_dict_pre_hook(self._rename)

    @staticmethod
    def _rename(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        if f"{prefix}old" in state_dict:
            state_dict[f"{prefix}new"] = state_dict.pop(f"{prefix}old")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvModule(3, 4, 1, norm_cfg={"type": "BN"})
        self.parts = nn.ModuleList([Renamed(), Renamed()])
        self.hooked = Hooked()


def older() -> tuple[OrderedDict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The state dict of an older version, and the one that it stands for."""
    wanted = {
        key: torch.rand_like(value) if value.is_floating_point() else value
        for key, value in Model().state_dict().items()
    }
    old = OrderedDict((key.replace("layer", "fc").replace("new", "old"), wanted[key]) for key in wanted)
    for place in (0, 1):
        wanted[f"parts.{place}.scale"] = 2 * wanted[f"parts.{place}.layer.bias"][:1]
        del old[f"parts.{place}.scale"]
    return old, wanted


@pytest.mark.parametrize("around", [lambda model: model, nn.DataParallel])
def test_older_keys_load_exactly(tmp_path: Path, around: Any) -> None:
    old, wanted = older()
    torch.save({"state_dict": old, "meta": {}}, tmp_path / "old.pth")
    model = Model()
    load_checkpoint(around(model), tmp_path / "old.pth", strict=True)
    found = model.state_dict()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())


def test_a_part_alone_has_its_older_keys_too() -> None:
    old, wanted = older()
    part = Renamed()
    state = {key.removeprefix("parts.0."): value for key, value in old.items() if key.startswith("parts.0.")}
    assert load_state_dict(part, state, strict=True).exact
    assert torch.equal(part.layer.weight, wanted["parts.0.layer.weight"])


def test_nothing_is_loaded_where_it_is_refused() -> None:
    old, _ = older()
    old["extra.weight"] = torch.ones(1)
    model = Model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"extra\.weight"):
        load_state_dict(model, old, strict=True)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert "parts.0.fc.weight" in old  # the given one isn't changed either


def test_averages_of_mmcvs_hook_are_left_out() -> None:
    """It kept the trained weights in buffers of the model, whose own weights are the averages."""
    _, wanted = older()
    weights = {**wanted, **{f"ema_{key.replace('.', '_')}": value + 1 for key, value in wanted.items()}}
    model = Model()
    assert load_weights(model, {"state_dict": weights}, strict=True).exact
    assert torch.equal(model.stem.conv.weight, wanted["stem.conv.weight"])
    weights["ema_nothing_of_the_model"] = torch.ones(1)
    with pytest.raises(CheckpointError, match="ema_nothing_of_the_model"):
        load_weights(model, {"state_dict": weights}, strict=True)
