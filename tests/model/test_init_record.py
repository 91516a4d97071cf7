"""The log of what initialised which parameter."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from toolkit.logging import MMLogger
from toolkit.model import BaseModule, update_init_info
from toolkit.model import Sequential as ToolkitSequential


class Head(BaseModule):
    """Initialises itself, partly past autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(1))

    def init_weights(self) -> None:
        self.fc.weight.data.fill_(3)


class Model(BaseModule):
    def __init__(self, checkpoint: str) -> None:
        constant = {"type": "Constant", "val": 1, "layer": "Conv2d"}
        super().__init__([constant, {"type": "Normal", "std": 0.5, "layer": "Linear"}])
        self.stem = nn.Conv2d(1, 2, 1)
        self.neck = ToolkitSequential(
            nn.Conv2d(2, 2, 1), init_cfg={"type": "Kaiming", "layer": "Conv2d", "override": {"name": "0"}}
        )
        self.head = Head()
        pretrained = ToolkitSequential(nn.Linear(1, 1))
        pretrained.init_cfg = {"type": "Pretrained", "checkpoint": checkpoint}
        self.tail = pretrained
        self.norm = nn.BatchNorm2d(2)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    path = tmp_path / "tail.pth"
    torch.save({"state_dict": {"0.weight": torch.full((1, 1), 7.0), "0.bias": torch.zeros(1)}}, path)
    return str(path)


def test_each_parameter_says_what_it_comes_from(checkpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    model = Model(checkpoint)
    with caplog.at_level(logging.INFO, logger="toolkit"):
        model.init_weights()
    (record,) = [each for each in caplog.records if each.name == "toolkit.model.init_record"]
    assert record.file_only
    lines = dict(line.split(" - ", 1) for line in record.getMessage().splitlines()[1:])
    assert list(lines) == [name for name, _ in model.named_parameters()]
    constant = "by Constant(val=1, layer='Conv2d') in the init_cfg of Model"
    assert lines["stem.weight"] == f"(2, 1, 1, 1): {constant}"
    assert "by Kaiming(" in lines["neck.0.weight"]
    assert lines["neck.0.weight"].endswith("in the init_cfg of Sequential")
    assert lines["head.fc.weight"] == "(2, 2): by init_weights of Head"
    assert "by Normal(std=0.5, layer='Linear')" in lines["head.fc.bias"]
    assert "by Pretrained(checkpoint=" in lines["tail.0.weight"]
    for name in ("head.scale", "norm.weight"):
        assert lines[name].endswith("as the layer's own constructor made it")
    assert model.tail[0].weight.item() == 7


def test_it_goes_to_the_file_alone(
    checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MMLogger.get_instance("init_record_test", log_file=str(tmp_path / "run.log"))
    Model(checkpoint).init_weights()
    assert "stem.weight - (2, 1, 1, 1): by Constant" in (tmp_path / "run.log").read_text()
    shown = capsys.readouterr()
    assert "stem.weight" not in shown.out + shown.err


def test_random_numbers_and_memory_are_left_alone(checkpoint: str) -> None:
    torch.manual_seed(3)
    linear = nn.Linear(2, 2)
    wanted = torch.empty(2, 2).normal_(0, 0.5)
    torch.manual_seed(3)
    model = ToolkitSequential(nn.Linear(2, 2), init_cfg={"type": "Normal", "std": 0.5, "layer": "Linear"})
    model.init_weights()
    assert linear.weight.shape == wanted.shape
    assert torch.equal(model[0].weight, wanted)
    assert not any("init" in name and "record" in name for part in model.modules() for name in vars(part))


def test_a_failing_initialisation_leaves_no_record_behind(caplog: pytest.LogCaptureFixture) -> None:
    broken = ToolkitSequential(nn.Linear(1, 1), init_cfg={"type": "Nothing"})
    with pytest.raises(Exception, match="Nothing"):
        broken.init_weights()
    with caplog.at_level(logging.INFO, logger="toolkit"):
        ToolkitSequential(nn.Linear(1, 1)).init_weights()
    assert any("0.weight - (1, 1)" in each.getMessage() for each in caplog.records)


def test_a_module_says_what_it_does_itself(caplog: pytest.LogCaptureFixture) -> None:
    class Own(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(1, 1)

        def init_weights(self) -> None:
            nn.init.constant_(self.fc.weight, 5)
            update_init_info(self, "by hand")

    class Whole(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.own = Own()

    with caplog.at_level(logging.INFO, logger="toolkit"):
        Whole().init_weights()
    assert "own.fc.weight - (1, 1): by hand" in caplog.text
    assert "own.fc.bias - (1,): as the layer's own constructor made it" in caplog.text
    update_init_info(Own(), "outside of an initialisation nothing is noted")
