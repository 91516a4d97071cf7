"""Models by the protocol of `BaseModel`: three modes of one forward, steps, data preprocessors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from toolkit.model import BaseDataPreprocessor, BaseModel, ImgDataPreprocessor
from toolkit.optim import OptimWrapper
from toolkit.registry import MODELS


class Classifier(BaseModel):
    """What the tutorial does with ResNet-50 on CIFAR-10, with a small network."""

    def __init__(self, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        x = self.net(inputs)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(x, data_samples)}
        if mode == "predict":
            return x, data_samples
        return x


def batch() -> dict[str, Any]:
    return {"inputs": torch.rand(2, 3, 8, 8), "data_samples": torch.tensor([1, 2])}


def test_the_three_modes() -> None:
    model = Classifier()
    assert set(model(**batch(), mode="loss")) == {"loss"}
    logits, labels = model(**batch(), mode="predict")
    assert logits.shape == (2, 10)
    assert labels.tolist() == [1, 2]
    assert model(batch()["inputs"]).shape == (2, 10)


def test_a_training_step_is_forward_backward_and_step() -> None:
    torch.manual_seed(0)
    model, data = Classifier(), batch()
    before = [param.detach().clone() for param in model.parameters()]
    wrapper = OptimWrapper(SGD(model.parameters(), lr=0.1))
    log_vars = model.train_step(data, wrapper)
    torch.manual_seed(0)
    again = Classifier()
    loss = again(**data, mode="loss")["loss"]
    loss.backward()
    assert log_vars["loss"].item() == pytest.approx(loss.item())
    for old, param, other in zip(before, model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(param.detach(), old - 0.1 * other.grad)


def test_validation_and_test_steps_predict() -> None:
    model, data = Classifier().eval(), batch()
    for step in (model.val_step, model.test_step):
        assert step(data)[0].equal(model(**data, mode="predict")[0])


def test_losses_are_summed_and_listed() -> None:
    losses = {"loss_cls": torch.tensor([1.0, 3.0]), "loss_box": [torch.tensor(1.0), torch.tensor(2.0)]}
    total, log_vars = Classifier().parse_losses({**losses, "acc": torch.tensor(0.5)})
    assert total.item() == 2 + 3
    assert {key: float(value) for key, value in log_vars.items()} == {
        "loss": 5.0, "loss_cls": 2.0, "loss_box": 3.0, "acc": 0.5,
    }  # fmt: skip


def test_a_preprocessor_of_ones_own() -> None:
    @MODELS.register_module(force=True)
    class Halved(BaseDataPreprocessor):
        """Divides the images."""

        def forward(self, data: Any, training: bool = False) -> Any:
            data = super().forward(data, training)
            return {**data, "inputs": data["inputs"] / 2}

    model, data = Classifier(data_preprocessor={"type": "Halved"}), batch()
    plain = Classifier()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.test_step(data)[0], plain(data["inputs"] / 2))


def test_images_are_normalised_and_padded() -> None:
    preprocessor = ImgDataPreprocessor(
        mean=[1, 2, 3], std=[2, 2, 2], bgr_to_rgb=True, pad_size_divisor=4, pad_value=-1
    )
    images = [torch.zeros(3, 3, 4, dtype=torch.uint8), torch.full((3, 2, 5), 7, dtype=torch.uint8)]
    images[0][0] = 5  # blue
    stacked = preprocessor({"inputs": images})["inputs"]
    assert stacked.shape == (2, 3, 4, 8)
    assert stacked[0, :, 0, 0].tolist() == [-0.5, -1.0, 1.0]
    assert stacked[0, :, 3, 7].tolist() == [-1, -1, -1]
    assert stacked[1, :, 1, 4].tolist() == [3, 2.5, 2]


def test_gan_like_steps_of_ones_own() -> None:
    class TwoSteps(Classifier):
        """Updates with two optimizers, as a GAN does."""

        def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
            data = self.data_preprocessor(data, True)
            logs = {}
            for name in ("one", "two"):
                with optim_wrapper[name].optim_context(self):
                    loss = self(**data, mode="loss")["loss"]
                optim_wrapper[name].update_params(loss)
                logs[f"loss_{name}"] = loss
            return logs

    model = TwoSteps()
    wrappers = {name: OptimWrapper(SGD(model.parameters(), lr=0.1)) for name in ("one", "two")}
    logs = model.train_step(batch(), wrappers)
    assert set(logs) == {"loss_one", "loss_two"}
    assert logs["loss_one"] != logs["loss_two"]
