"""What fits is loaded, what doesn't is shown, and another model's checkpoint is refused."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from toolkit.runner.checkpoint import KeyReport, get_state_dict, load_checkpoint, load_state_dict
from toolkit.runner.checkpoint.weights import load_weights
from toolkit.utils.errors import CheckpointError


def resnet(layers: int, classes: int = 10) -> nn.Module:
    return getattr(torchvision.models, f"resnet{layers}")(num_classes=classes)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = resnet(18)
        self.head = nn.Linear(4, 2)


def test_the_same_model() -> None:
    one, other = resnet(18), resnet(18)
    report = load_state_dict(one, other.state_dict(), strict=True)
    assert report.exact
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_other_classes_load_in_part_and_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    model = resnet(18, 3)
    head = model.fc.weight.clone()
    report = load_state_dict(model, resnet(18, 10).state_dict(), logger=None)
    shown = capsys.readouterr().out
    assert "2 of another shape:\n  fc.weight: (10, 512) in the checkpoint, (3, 512) in the model" in shown
    assert [key for key, *_ in report.mismatched] == ["fc.weight", "fc.bias"]
    assert torch.equal(model.fc.weight, head)


@pytest.mark.parametrize("strict", [True, "exact", "complete"])
def test_where_all_is_demanded_a_part_is_refused(strict: bool | str) -> None:
    model = resnet(18, 3)
    before = model.conv1.weight.clone()
    with pytest.raises(CheckpointError, match=r"doesn't fit ResNet\.\n.*120 keys fit|fc\.weight"):
        load_state_dict(model, resnet(18, 10).state_dict(), strict=strict)
    assert torch.equal(model.conv1.weight, before)


def test_more_than_the_model_is_complete_but_not_exact() -> None:
    weights = {**resnet(18).state_dict(), "extra.weight": torch.ones(1)}
    assert load_state_dict(resnet(18), weights, strict="complete", logger=None).unexpected == ["extra.weight"]
    with pytest.raises(CheckpointError, match="unexpected"):
        load_state_dict(resnet(18), weights, strict="exact")


def test_another_model_is_refused_with_the_table() -> None:
    with pytest.raises(CheckpointError) as caught:
        load_state_dict(torchvision.models.vgg11(num_classes=10), resnet(18).state_dict())
    message = str(caught.value)
    assert "looks like the checkpoint of another model" in message
    assert "22 missing in the checkpoint:\n  features.0.weight" in message
    assert "unexpected" in message
    assert "… and" in message


def test_a_part_of_the_model_says_where_it_belongs() -> None:
    with pytest.raises(CheckpointError, match=r"its `backbone` alone.*init_cfg"):
        load_state_dict(Detector(), resnet(18).state_dict())


def test_a_part_under_its_own_name_loads() -> None:
    backbone = {f"backbone.{key}": value for key, value in resnet(18).state_dict().items()}
    assert load_state_dict(Detector(), backbone, logger=None).missing == ["head.weight", "head.bias"]


def test_counters_of_batch_norms_may_be_missing() -> None:
    weights = {key: value for key, value in resnet(18).state_dict().items() if "num_batches" not in key}
    assert load_state_dict(resnet(18), weights, strict=True).exact


def test_prefixes_are_revised(tmp_path: Path) -> None:
    source = resnet(18)
    torch.save({f"module.{key}": value for key, value in source.state_dict().items()}, tmp_path / "x.pth")
    model = resnet(18)
    load_checkpoint(model, tmp_path / "x.pth", strict=True)
    assert torch.equal(model.fc.weight, source.fc.weight)
    load_weights(
        Detector(), {"state_dict": source.state_dict()}, revise_keys=[(r"^", "backbone.")], logger=None
    )


def test_reports_count_every_key_once() -> None:
    report = KeyReport.of({"a": torch.ones(1), "b": torch.ones(2)}, {"b": torch.ones(3), "c": torch.ones(1)})
    assert (report.matched, report.missing, report.unexpected) == ([], ["a"], ["c"])
    assert report.mismatched == [("b", (3,), (2,))]
    assert not report.related


def test_a_wrapper_is_looked_into() -> None:
    model = resnet(18)
    assert list(get_state_dict(nn.DataParallel(model))) == list(model.state_dict())


def test_a_state_dict_into_a_dict_with_a_prefix() -> None:
    model = nn.Linear(2, 1)
    there: OrderedDict[str, Any] = OrderedDict(x=1)
    found = get_state_dict(nn.DataParallel(model), there, prefix="a.", keep_vars=True)
    assert found is there
    assert list(found) == ["x", "a.weight", "a.bias"]
    assert found["a.weight"] is model.weight
    assert not get_state_dict(model)["weight"].requires_grad
