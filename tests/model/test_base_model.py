"""Steps of a model: batches by name and by place, losses, what is logged."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch import nn

from toolkit.model import BaseDataPreprocessor, BaseModel
from toolkit.optim import OptimWrapper
from toolkit.registry import MODELS
from toolkit.utils import ConfigError, DataError, TrainingError


class Toy(BaseModel):
    def __init__(self, data_preprocessor: object = None, **losses: torch.Tensor) -> None:
        super().__init__(data_preprocessor)
        self.net = nn.Linear(2, 1)
        self.seen: list = []

    def forward(self, inputs: torch.Tensor, data_samples: object = None, mode: str = "tensor") -> object:
        self.seen.append((mode, data_samples))
        output = self.net(inputs)
        if mode == "loss":
            return {
                "loss_a": output.square(),
                "loss_b": [output.mean(), output.abs()],
                "acc": output.detach(),
            }
        return list(output)


def wrapper_of(model: nn.Module, **kwargs: object) -> OptimWrapper:
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), **kwargs)


INPUTS = torch.tensor([[1.0, 2.0], [3.0, -1.0]])


def test_train_step_sums_losses_and_moves_weights() -> None:
    model = Toy()
    with torch.no_grad():
        output = model.net(INPUTS)
    before = model.net.weight.clone()
    logged = model.train_step({"inputs": INPUTS, "data_samples": ["x", "y"]}, wrapper_of(model))
    assert list(logged) == ["loss", "loss_a", "loss_b", "acc"]
    assert logged["loss_a"].item() == pytest.approx(output.square().mean().item())
    assert logged["loss_b"].item() == pytest.approx((output.mean() + output.abs().mean()).item())
    assert logged["loss"].item() == pytest.approx((logged["loss_a"] + logged["loss_b"]).item())
    assert not any(value.requires_grad for value in logged.values())
    assert not torch.equal(model.net.weight, before)
    assert model.seen == [("loss", ["x", "y"])]


def test_the_gradient_norm_is_logged_with_the_losses() -> None:
    model = Toy()
    logged = model.train_step({"inputs": INPUTS}, wrapper_of(model, clip_grad={"max_norm": 1.0}))
    assert logged["grad_norm"].dim() == 0


@pytest.mark.parametrize("make", [list, tuple, namedtuple("Batch", "inputs data_samples")._make])
def test_a_sequence_is_unpacked_by_place(make: type) -> None:
    model = Toy()
    batch = make([INPUTS, "samples"])
    assert len(model.val_step(batch)) == len(model.test_step(batch)) == 2
    assert model.seen == [("predict", "samples")] * 2


def test_another_batch_is_refused() -> None:
    with pytest.raises(DataError, match="got Tensor"):
        Toy().val_step(INPUTS)


def test_the_key_loss_is_always_the_sum() -> None:
    total, logged = Toy().parse_losses({"loss": torch.tensor(1.0), "aux_loss": torch.tensor(2.0)})
    assert total.item() == logged["loss"].item() == 3.0
    assert list(logged) == ["loss", "aux_loss"]


def test_a_single_scalar_loss_is_passed_on_untouched() -> None:
    loss = torch.tensor(2.0, requires_grad=True)
    total, logged = Toy().parse_losses({"loss": loss})
    assert total is loss
    assert logged["loss"].data_ptr() == loss.data_ptr()


@pytest.mark.parametrize(
    ("losses", "match"),
    [
        ({"acc": torch.ones(1)}, r"\['acc'\].*contains 'loss'"),
        ({"loss": 1.0}, "loss 'loss' must be a tensor"),
        ({"loss": [1.0]}, "list of tensors"),
        ({"loss": []}, "list of tensors"),
    ],
)
def test_losses_that_cannot_be_summed_are_named(losses: dict, match: str) -> None:
    with pytest.raises(TrainingError, match=match):
        Toy().parse_losses(losses)


def test_the_preprocessor_is_a_config_or_a_module() -> None:
    built = Toy({"type": "BaseDataPreprocessor", "non_blocking": True}).data_preprocessor
    assert isinstance(built, BaseDataPreprocessor)
    given = nn.Identity()
    assert Toy(given).data_preprocessor is given
    assert isinstance(Toy().data_preprocessor, BaseDataPreprocessor)
    with pytest.raises(ConfigError, match="got str"):
        Toy("BaseDataPreprocessor")


def test_forward_must_be_implemented() -> None:
    with pytest.raises(TypeError, match="abstract"):
        BaseModel()


def test_preprocessors_follow_their_model() -> None:
    model = Toy().to("meta")
    assert model.data_preprocessor.device.type == "meta"
    outer = nn.Sequential(Toy(MODELS.build({"type": "ImgDataPreprocessor"})))
    outer.to(memory_format=torch.channels_last)
    assert outer[0].data_preprocessor.memory_format is torch.channels_last
    outer.to("meta")
    assert outer[0].data_preprocessor.device.type == "meta"
    assert outer[0].data_preprocessor.memory_format is torch.channels_last
