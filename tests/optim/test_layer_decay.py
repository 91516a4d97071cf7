"""Learning rates that fall towards the input."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from toolkit.optim import build_optim_wrapper
from toolkit.utils import ConfigError

LR, WD = 1e-3, 0.05


class ConvNeXtLike(nn.Module):
    """The names of a ConvNeXt with 1, 1, 9 and 1 blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.downsample_layers = nn.ModuleList(nn.Sequential(nn.Conv2d(1, 1, 1)) for _ in range(4))
        depths = (1, 1, 9, 1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(depth))) for depth in depths
        )


class Deep(nn.Module):
    """Says itself how deep its layers are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1, 1), nn.Linear(1, 1)

    def get_layer_depth(self, name: str, prefix: str) -> tuple[int, int]:
        inner = name.removeprefix(prefix)
        return (0 if inner.startswith("first") else 1 if inner.startswith("second") else 2), 3


def groups(backbone: nn.Module, **paramwise: Any) -> dict[str, dict[str, Any]]:
    model = nn.Module()
    model.backbone, model.head = backbone, nn.Conv2d(1, 1, 1)
    cfg = {
        "optimizer": {"type": "AdamW", "lr": LR, "weight_decay": WD},
        "constructor": "LearningRateDecayOptimizerConstructor",
        "paramwise_cfg": paramwise,
    }
    wrapper = build_optim_wrapper(model, cfg)
    names = {id(param): name for name, param in model.named_parameters()}
    return {names[id(param)]: group for group in wrapper.param_groups for param in group["params"]}


@pytest.mark.parametrize(
    ("name", "power"),
    [
        # Tiny: 6 steps, so 8 layers from the stem (power 7) to the head (power 0).
        ("backbone.downsample_layers.0.0.weight", 7),
        ("backbone.stages.0.0.weight", 6),
        ("backbone.downsample_layers.1.0.weight", 5),
        ("backbone.stages.1.0.weight", 5),
        ("backbone.downsample_layers.2.0.weight", 4),
        ("backbone.stages.2.2.weight", 4),
        ("backbone.stages.2.3.weight", 3),
        ("backbone.stages.2.8.weight", 2),
        ("backbone.downsample_layers.3.0.weight", 1),
        ("backbone.stages.3.0.weight", 1),
        ("head.weight", 0),
    ],
)
def test_layers_of_convnext(name: str, power: int) -> None:
    found = groups(ConvNeXtLike(), decay_rate=0.7, num_layers=6)
    assert found[name]["lr"] == pytest.approx(LR * 0.7**power)


def test_stages_of_convnext() -> None:
    found = groups(ConvNeXtLike(), decay_rate=0.7, decay_type="stage_wise", num_layers=6)
    powers = {
        "backbone.downsample_layers.3.0.weight": 5,
        "backbone.stages.0.0.weight": 4,
        "backbone.stages.3.0.weight": 1,
        "head.weight": 0,
    }
    assert {n: found[n]["lr"] for n in powers} == {n: pytest.approx(LR * 0.7**p) for n, p in powers.items()}


def test_backbones_that_know_their_layers() -> None:
    found = groups(Deep(), decay_rate=0.5)
    assert found["backbone.first.weight"]["lr"] == pytest.approx(LR / 4)
    assert found["backbone.second.weight"]["lr"] == pytest.approx(LR / 2)
    assert found["head.weight"]["lr"] == pytest.approx(LR)


def test_biases_do_not_decay() -> None:
    found = groups(Deep(), decay_rate=0.5)
    assert found["backbone.first.bias"]["weight_decay"] == 0
    assert found["backbone.first.weight"]["weight_decay"] == WD


@pytest.mark.parametrize(
    ("backbone", "paramwise", "message"),
    [
        (nn.Linear(1, 1), {"decay_rate": 0.7, "num_layers": 6}, "can't tell the layers of Linear"),
        (ConvNeXtLike(), {"decay_rate": 0.7}, "num_layers"),
        (ConvNeXtLike(), {"num_layers": 6}, "needs decay_rate"),
        (ConvNeXtLike(), {"decay_rate": 0.7, "decay_type": "layerwise"}, "did you mean 'layer_wise'"),
        (ConvNeXtLike(), {"decay_rat": 0.7}, "did you mean 'decay_rate'"),
    ],
)
def test_mistakes(backbone: nn.Module, paramwise: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        groups(backbone, **paramwise)
