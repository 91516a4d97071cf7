from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from toolkit.model.backbones import Bottleneck, ResLayer, ResNet, ResNetV1d
from toolkit.registry import MODELS
from toolkit.utils import BuildError

SMALL: dict[str, Any] = {"base_channels": 8, "stem_channels": 8}


def image(size: int = 64) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 3, size, size)


@pytest.mark.parametrize("depth", [18, 50])
def test_equals_torchvisions(depth: int) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f"resnet{depth}")()
    ours = MODELS.build({"type": "ResNet", "depth": depth, "norm_eval": False})
    weights = {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")}
    ours.load_state_dict(weights)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image()))))
        expected = []
        for i in range(1, 5):
            x = getattr(theirs, f"layer{i}")(x)
            expected.append(x)
        torch.testing.assert_close(ours(image()), tuple(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("depth", "millions"), [(34, 21.3), (101, 42.5), (152, 58.1)])
def test_parameters_of_the_deep_ones(depth: int, millions: float) -> None:
    # without the linear layer, as in table 1 of the paper and torchvision
    with torch.device("meta"):
        found = sum(param.numel() for param in ResNet(depth).parameters())
    assert found / 1e6 == pytest.approx(millions, abs=0.05)


def test_styles_stride_in_different_convolutions() -> None:
    strides = {
        style: (block.conv1.stride[0], block.conv2.stride[0])
        for style in ("pytorch", "caffe")
        for block in [ResNet(50, style=style, **SMALL).layer2[0]]
    }
    assert strides == {"pytorch": (1, 2), "caffe": (2, 1)}
    with pytest.raises(BuildError, match="tensorflow"):
        ResNet(50, style="tensorflow", **SMALL)


def test_stages_strides_and_dilations() -> None:
    net = ResNet(18, num_stages=3, strides=(1, 2, 1), dilations=(1, 1, 2), out_indices=(0, 2), **SMALL)
    assert [tuple(x.shape) for x in net(image())] == [(2, 8, 16, 16), (2, 32, 8, 8)]
    assert net.layer3[0].conv1.dilation == (2, 2)
    assert not hasattr(net, "layer4")
    assert ResNet(50, **SMALL)(image())[-1].shape == (2, 8 * 8 * 4, 2, 2)


def test_frozen_stages_neither_train_nor_change() -> None:
    net = ResNet(18, frozen_stages=1, norm_eval=False, **SMALL).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    sum(x.sum() for x in net(image())).backward()
    frozen = ("conv1", "bn1", "layer1")
    for name, param in net.named_parameters():
        assert param.requires_grad != name.startswith(frozen)
        assert (param.grad is None) == name.startswith(frozen)
    for key, value in net.state_dict().items():
        if key.endswith("running_mean"):
            assert torch.equal(value, before[key]) == key.startswith(frozen)
    assert not net.layer1.training
    assert net.layer2.training


def test_norm_eval_keeps_the_statistics() -> None:
    net = ResNet(18, norm_eval=True, **SMALL).train()
    assert net.layer4.training
    assert not any(m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(param.requires_grad for param in net.parameters())


def test_initial_weights() -> None:
    for depth, last in ((18, "bn2"), (50, "bn3")):
        net = ResNet(depth, **SMALL)
        net.init_weights()
        assert getattr(net.layer1[0], last).weight.eq(0).all()
        assert net.layer1[0].bn1.weight.eq(1).all()
        kept = ResNet(depth, zero_init_residual=False, **SMALL)
        kept.init_weights()
        assert getattr(kept.layer1[0], last).weight.eq(1).all()
    with pytest.raises(BuildError, match="not both"):
        ResNet(18, pretrained="a.pth", init_cfg={"type": "Pretrained", "checkpoint": "b.pth"})


def test_pretrained_weights(tmp_path: Any) -> None:
    source = ResNet(18, **SMALL)
    torch.save(source.state_dict(), tmp_path / "net.pth")
    for kwargs in (
        {"pretrained": str(tmp_path / "net.pth")},
        {"init_cfg": {"type": "Pretrained", "checkpoint": str(tmp_path / "net.pth")}},
    ):
        net = ResNet(18, **kwargs, **SMALL)
        net.init_weights()
        torch.testing.assert_close(dict(net.state_dict()), dict(source.state_dict()))


def test_recomputing_gives_the_same_gradients() -> None:
    grads = []
    for with_cp in (False, True):
        torch.manual_seed(1)
        net = ResNet(50, with_cp=with_cp, **SMALL)
        sum(x.square().mean() for x in net(image())).backward()
        grads.append({name: param.grad for name, param in net.named_parameters()})
    torch.testing.assert_close(grads[0], grads[1])


def test_deep_stem_and_average_shortcut() -> None:
    net = ResNetV1d(depth=50, **SMALL)
    keys = net.state_dict().keys()
    assert {"stem.0.weight", "stem.1.running_var", "stem.6.weight"} <= keys
    assert "conv1.weight" not in keys
    # the average pooling is layer 0 of the shortcut
    assert {"layer2.0.downsample.1.weight", "layer2.0.downsample.2.weight"} <= keys
    assert "layer2.0.downsample.0.weight" not in keys
    assert net(image())[1].shape == (2, 64, 8, 8)
    frozen = ResNetV1d(depth=50, frozen_stages=0, **SMALL)
    assert not any(param.requires_grad for param in frozen.stem.parameters())


def test_other_norms_and_deformable_stages() -> None:
    net = ResNet(50, norm_cfg={"type": "GN", "num_groups": 4}, **SMALL)
    assert "layer1.0.gn3.weight" in net.state_dict()
    assert "gn1.weight" in net.state_dict()
    dcn = {"type": "DCN", "deform_groups": 1, "fallback_on_stride": False}
    net = ResNet(50, dcn=dcn, stage_with_dcn=(False, False, False, True), **SMALL)
    assert "layer4.0.conv2.conv_offset.weight" in net.state_dict()
    assert "layer3.0.conv2.conv_offset.weight" not in net.state_dict()
    assert net(image())[-1].shape == (2, 256, 2, 2)


def test_plugins_run_where_they_are_put() -> None:
    @MODELS.register_module("TestDoubling", force=True)
    class Doubling(nn.Module):
        def __init__(self, in_channels: int) -> None:
            super().__init__()
            self.in_channels = in_channels

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    plugin = {
        "cfg": {"type": "TestDoubling", "postfix": "_a"},
        "stages": (False, True, False, False),
        "position": "after_conv3",
    }
    torch.manual_seed(0)
    net = ResNet(50, plugins=[plugin], **SMALL).eval()
    block = net.layer2[0]
    assert block.doubling_a.in_channels == 64
    assert not hasattr(net.layer1[0], "doubling_a")
    x = torch.randn(1, 32, 8, 8)
    doubled, shortcut = block(x), block.downsample(x)
    block._plugin_names["after_conv3"] = []
    torch.testing.assert_close(doubled, (2 * block._body(x) + shortcut).relu())
    with pytest.raises(BuildError, match="position"):
        ResNet(50, plugins=[{**plugin, "position": "after_conv9"}], **SMALL)
    with pytest.raises(BuildError, match="bottlenecks"):
        ResNet(18, plugins=[plugin], **SMALL)


def test_a_stage_may_stride_last() -> None:
    stage = ResLayer(Bottleneck, 32, 16, 2, stride=2, downsample_first=False)
    assert stage(torch.randn(1, 32, 8, 8)).shape == (1, 64, 4, 4)
    assert stage[0].conv2.stride == (1, 1)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"depth": 20}, "depth"),
        ({"depth": 18, "num_stages": 5}, "num_stages"),
        ({"depth": 18, "num_stages": 3}, "strides"),
        ({"depth": 18, "out_indices": (4,)}, "out_indices"),
        ({"depth": 50, "dcn": {"type": "DCN"}, "stage_with_dcn": (True,)}, "stage_with_dcn"),
    ],
)
def test_wrong_arguments_are_told(kwargs: dict[str, Any], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        ResNet(**kwargs)
