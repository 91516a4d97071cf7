"""Parameter groups from `paramwise_cfg`."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torchvision.ops import DeformConv2d

from toolkit.optim import AmpOptimWrapper, DefaultOptimWrapperConstructor, OptimWrapper, build_optim_wrapper
from toolkit.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS
from toolkit.utils import ConfigError

LR, WD = 0.1, 0.01


class Deformable(DeformConv2d):
    """A deformable convolution with the layer that gives its offsets in it, as MMCV's."""

    def __init__(self) -> None:
        super().__init__(4, 4, 3)
        self.conv_offset = nn.Conv2d(4, 18, 3)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.backbone = nn.Module()
        self.backbone.conv = nn.Conv2d(3, 4, 3)
        self.backbone.norm = nn.BatchNorm2d(4)
        self.backbone.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.backbone.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.dcn = Deformable()
        self.head = nn.Linear(4, 2)


def build(paramwise_cfg: dict | None, **optimizer: object) -> tuple[dict[str, dict], OptimWrapper]:
    """The settings of each parameter by name, and the wrapper."""
    model = Model()
    cfg = {
        "type": "OptimWrapper",
        "optimizer": {"type": "SGD", "lr": LR, "weight_decay": WD, **optimizer},
        "paramwise_cfg": paramwise_cfg,
    }
    wrapper = build_optim_wrapper(model, cfg)
    names = {param: name for name, param in model.named_parameters()}
    return {names[param]: group for group in wrapper.param_groups for param in group["params"]}, wrapper


def changed(found: dict[str, dict], key: str, base: float) -> dict[str, float]:
    """By how much each parameter's setting was multiplied, where it was."""
    return {name: round(group[key] / base, 9) for name, group in found.items() if group[key] != base}


def test_without_options_there_is_one_group_of_everything() -> None:
    found, wrapper = build(None)
    assert len(wrapper.param_groups) == 1
    assert "backbone.frozen.weight" in found
    assert isinstance(wrapper.optimizer, torch.optim.SGD)


def test_norm_and_bias() -> None:
    found, _ = build({"norm_decay_mult": 0.0, "bias_lr_mult": 2.0, "bias_decay_mult": 0.5})
    assert changed(found, "weight_decay", WD) == {
        "backbone.norm.weight": 0.0,
        "backbone.norm.bias": 0.0,
        "backbone.conv.bias": 0.5,
        "backbone.depthwise.bias": 0.5,
        "dcn.bias": 0.5,
        "head.bias": 0.5,
    }
    # The layer of the offsets is a part of the deformable convolution, which the bias options leave alone.
    assert changed(found, "lr", LR) == {
        "backbone.conv.bias": 2.0,
        "backbone.depthwise.bias": 2.0,
        "dcn.bias": 2.0,
        "head.bias": 2.0,
    }
    assert "backbone.frozen.weight" not in found


def test_depthwise_flat_and_offsets() -> None:
    found, _ = build({"dwconv_decay_mult": 0.1, "flat_decay_mult": 0.2, "dcn_offset_lr_mult": 0.3})
    assert changed(found, "weight_decay", WD) == {
        "scale": 0.2,
        "backbone.norm.weight": 0.2,
        "backbone.norm.bias": 0.2,
        "backbone.conv.bias": 0.2,
        "backbone.depthwise.weight": 0.1,
        "backbone.depthwise.bias": 0.1,
        "dcn.bias": 0.2,
        "head.bias": 0.2,
    }
    assert changed(found, "lr", LR) == {"dcn.conv_offset.weight": 0.3, "dcn.conv_offset.bias": 0.3}


def test_the_longest_custom_key_decides_and_beats_the_other_options() -> None:
    found, _ = build(
        {
            "custom_keys": {
                "backbone": {"lr_mult": 0.1, "decay_mult": 0.9},
                "backbone.norm": {"decay_mult": 0.0},
                ".scale": {"lr_mult": 3.0, "momentum": 0.7},
            },
            "norm_decay_mult": 0.5,
            "bias_lr_mult": 2.0,
        }
    )
    assert changed(found, "lr", LR) == {
        "scale": 3.0,
        "backbone.conv.weight": 0.1,
        "backbone.conv.bias": 0.1,
        "backbone.depthwise.weight": 0.1,
        "backbone.depthwise.bias": 0.1,
        "dcn.bias": 2.0,
        "head.bias": 2.0,
    }
    assert found["backbone.conv.weight"]["weight_decay"] == pytest.approx(0.9 * WD)
    assert found["backbone.norm.weight"]["weight_decay"] == 0.0
    assert found["scale"]["momentum"] == 0.7
    assert found["head.weight"]["momentum"] == 0


def test_equally_long_keys_decide_in_alphabetical_order() -> None:
    found, _ = build({"custom_keys": {"head": {"lr_mult": 5.0}, "ead.": {"lr_mult": 7.0}}})
    assert found["head.weight"]["lr"] == pytest.approx(7 * LR)


def test_equal_settings_share_a_group() -> None:
    found, wrapper = build({"norm_decay_mult": 0.0, "bias_decay_mult": 0.0})
    assert len(wrapper.param_groups) == 2
    assert sum(len(group["params"]) for group in wrapper.param_groups) == len(found) == 13


def test_keys_without_effect_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        build({"custom_keys": {"backbon.": {"lr_mult": 0.1}, "conv": {}, "backbone.conv": {}, "head": {}}})
    assert "'backbon.' has no effect: no parameter of Model" in caplog.text
    assert "did you mean 'backbone'" in caplog.text
    assert "'head'" not in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        build({"custom_keys": {"ead": {}, "head": {}}})
    assert "'ead' has no effect: longer keys" in caplog.text


def test_a_shared_parameter() -> None:
    model = nn.Module()
    model.first, model.second = nn.Linear(2, 2), nn.Linear(2, 2)
    model.second.weight = model.first.weight
    cfg = {
        "optimizer": {"type": "SGD", "lr": LR},
        "paramwise_cfg": {"bias_lr_mult": 2.0, "bypass_duplicate": True},
    }
    wrapper = build_optim_wrapper(model, cfg)
    assert sum(len(group["params"]) for group in wrapper.param_groups) == 3
    with pytest.raises(ConfigError, match=r"second.weight .*bypass_duplicate=True"):
        build_optim_wrapper(model, {**cfg, "paramwise_cfg": {"bias_lr_mult": 2.0}})


@pytest.mark.parametrize("name", ["SGD", "AdamW", "Adadelta", "NAdam", "RMSprop", "LBFGS", "Rprop", "ASGD"])
def test_every_optimizer_of_torch_by_name(name: str) -> None:
    wrapper = build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": name, "lr": LR}})
    assert type(wrapper.optimizer) is getattr(torch.optim, name)


def test_wrapper_arguments_and_an_inner_model() -> None:
    outer = nn.Module()
    outer.module = nn.Linear(1, 1)
    cfg = {
        "type": "AmpOptimWrapper",
        "dtype": "bfloat16",
        "optimizer": {"type": "SGD", "lr": LR},
        "clip_grad": {"max_norm": 1.0},
    }
    wrapper = build_optim_wrapper(outer, cfg)
    assert isinstance(wrapper, AmpOptimWrapper)
    assert wrapper.clip_grad_kwargs == {"max_norm": 1.0}
    assert wrapper.param_groups[0]["params"][0] is outer.module.weight
    assert set(cfg) == {"type", "dtype", "optimizer", "clip_grad"}


def test_a_constructor_of_ones_own() -> None:
    @OPTIM_WRAPPER_CONSTRUCTORS.register_module(name="OnlyHeadForTest", force=True)
    class OnlyHead(DefaultOptimWrapperConstructor):
        def add_params(self, params: list, module: nn.Module, **kwargs: object) -> None:
            params.append({"params": list(module.head.parameters()), "lr": self.paramwise_cfg["head_lr"]})

    cfg = {
        "constructor": "OnlyHeadForTest",
        "optimizer": {"type": "SGD", "lr": LR},
        "paramwise_cfg": {"head_lr": 0.5},
    }
    assert build_optim_wrapper(Model(), cfg).get_lr() == {"lr": [0.5]}


def test_an_optimizer_with_another_first_argument() -> None:
    @OPTIMIZERS.register_module(name="OddForTest", force=True)
    class Odd(torch.optim.SGD):
        def __init__(self, model_params: object, lr: float) -> None:
            super().__init__(model_params, lr=lr)

    assert build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": "OddForTest", "lr": LR}}).get_lr() == {
        "lr": [LR]
    }


@pytest.mark.parametrize(
    ("paramwise", "optimizer", "match"),
    [
        ({"norm_decay_mul": 0.0}, {}, "did you mean 'norm_decay_mult'"),
        ({"norm_decay_mult": 0.0}, {"weight_decay": None}, "norm_decay_mult multiplies weight_decay"),
        ({"custom_keys": {"head": {"decay_mult": 0.0}}}, {"weight_decay": None}, "'head'"),
        ({"bias_lr_mult": 2.0}, {"lr": None}, "bias_lr_mult multiplies lr"),
        ({"custom_keys": ["head"]}, {}, "dict of dicts"),
        ([], {}, "must be a dict"),
    ],
)
def test_wrong_options_are_named(paramwise: dict, optimizer: dict, match: str) -> None:
    settings = {"type": "SGD", "lr": LR, "weight_decay": WD, **optimizer}
    cfg = {"optimizer": {key: value for key, value in settings.items() if value is not None}}
    with pytest.raises(ConfigError, match=match):
        DefaultOptimWrapperConstructor(cfg, paramwise)


def test_a_config_without_optimizer_and_a_model_without_parameters() -> None:
    with pytest.raises(ConfigError, match="with the optimizer in it"):
        build_optim_wrapper(Model(), {"type": "OptimWrapper"})
    with pytest.raises(ConfigError, match="no parameters"):
        build_optim_wrapper(nn.ReLU(), {"optimizer": {"type": "SGD", "lr": LR}})
