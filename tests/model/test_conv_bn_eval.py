from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit.model import turn_on_efficient_conv_bn_eval
from toolkit.model.backbones import ResNet
from toolkit.model.cnn import ConvModule
from toolkit.utils import ConfigError


def shaken(model: nn.Module) -> nn.Module:
    """The model with statistics and affine parameters that are not those of a new one."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for one in model.modules():
            if isinstance(one, nn.modules.batchnorm._BatchNorm):
                one.running_mean.uniform_(-1, 1, generator=generator)
                one.running_var.uniform_(0.5, 2, generator=generator)
                if one.affine:
                    one.weight.uniform_(0.5, 1.5, generator=generator)
                    one.bias.uniform_(-1, 1, generator=generator)
    return model


def run(model: nn.Module, x: Tensor) -> list[Tensor]:
    out = model(x)
    loss = sum(one.square().mean() for one in (out if isinstance(out, tuple) else (out,)))
    return list(torch.autograd.grad(loss, list(model.parameters())))


def same(plain: nn.Module, folded: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(folded(x), plain(x))
    for one, other in zip(run(plain, x), run(folded, x), strict=True):
        torch.testing.assert_close(other, one)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)],
        [
            nn.Conv2d(3, 6, 3, groups=3, stride=2, padding=1, padding_mode="reflect"),
            nn.BatchNorm2d(6, affine=False),
        ],
        [
            ConvModule(3, 6, 3, padding=2, dilation=2, norm_cfg={"type": "BN"}),
            nn.Conv2d(6, 4, 1),
            nn.BatchNorm2d(4),
        ],
    ],
)
def test_outputs_and_gradients_are_the_same(layers: list[nn.Module]) -> None:
    plain = nn.Sequential(nn.Sequential(*layers), nn.ReLU()).double()
    shaken(plain).eval()
    folded = copy.deepcopy(plain)
    assert turn_on_efficient_conv_bn_eval(folded, "0") == sum(
        isinstance(one, nn.BatchNorm2d) for one in plain.modules()
    )
    same(plain, folded, torch.rand(2, 3, 12, 12, dtype=torch.double))
    assert list(folded.state_dict()) == list(plain.state_dict())


def test_a_whole_resnet_of_which_less_is_kept() -> None:
    plain = nn.ModuleDict({"backbone": ResNet(18, base_channels=8, norm_eval=True)}).double()
    shaken(plain).train()
    folded = copy.deepcopy(plain)
    assert turn_on_efficient_conv_bn_eval(folded, ["backbone"]) == 20
    x = torch.rand(1, 3, 64, 64, dtype=torch.double)
    same(plain["backbone"], folded["backbone"], x)

    def kept(model: nn.Module) -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model["backbone"](x)  # type: ignore[index]
        return sum(sizes.values())

    x = torch.rand(1, 3, 256, 256, dtype=torch.double)
    assert kept(folded) < 0.85 * kept(plain)


def test_in_training_mode_nothing_changes() -> None:
    plain = shaken(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))))
    folded = copy.deepcopy(plain)
    turn_on_efficient_conv_bn_eval(folded, "0")
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(plain(x), folded(x))
    assert all(torch.equal(v, folded.state_dict()[k]) for k, v in plain.state_dict().items())


class Choosy(nn.Module):
    """A forward pass that depends on values, which can't be followed; those of its parts can."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.norm(self.conv(x)) if x.sum() > 0 else self.conv(x)


class Apart(nn.Module):
    """The convolution's output is used beside the norm's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x + self.norm(x)


class SharedConv(nn.Module):
    """One convolution with a norm a level, as in heads with separate norms."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(3, 3, 1)
        self.levels = nn.ModuleList(nn.Sequential(conv, nn.BatchNorm2d(3)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return sum(level(x) for level in self.levels)  # type: ignore[return-value]


def test_only_true_pairs_are_taken() -> None:
    plain = shaken(nn.ModuleDict({"m": Choosy()}).double()).eval()
    folded = copy.deepcopy(plain)
    assert turn_on_efficient_conv_bn_eval(folded, "m") == 1
    same(plain["m"], folded["m"], torch.rand(1, 3, 4, 4, dtype=torch.double))
    for model in (Apart(), SharedConv()):
        with pytest.raises(ConfigError, match="no convolution with a batch norm behind it in 'm'"):
            turn_on_efficient_conv_bn_eval(nn.ModuleDict({"m": model}), "m")


def test_a_copy_folds_its_own_weights() -> None:
    model = shaken(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))).eval()
    turn_on_efficient_conv_bn_eval(model, "0")
    twin = copy.deepcopy(model)
    x = torch.rand(1, 3, 4, 4)
    before = twin(x)
    with torch.no_grad():
        for param in model.parameters():
            param.zero_()
    assert torch.equal(twin(x), before)


@pytest.mark.parametrize(
    ("given", "message"), [("bakbone", "did you mean 'backbone'?"), (["m", 3], "list of names")]
)
def test_what_fits_nothing_is_told(given: Any, message: str) -> None:
    model = nn.ModuleDict({"backbone": Apart(), "m": Apart()})
    with pytest.raises(ConfigError, match=message):
        turn_on_efficient_conv_bn_eval(model, given)
