from __future__ import annotations

import pytest
import torch
from torch import nn

from toolkit.model.backbones import ResNet
from toolkit.registry import MODELS
from toolkit.utils import BuildError


def test_nodes_are_the_stages_of_our_resnet() -> None:
    nodes = ["layer1", "layer2", "layer3", "layer4"]
    net = MODELS.build({"type": "TorchvisionBackbone", "model_name": "resnet18", "out_nodes": nodes}).eval()
    ours = ResNet(18).eval()
    ours.load_state_dict({key.removeprefix("body."): value for key, value in net.state_dict().items()})
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(net(x), ours(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "channels"), [("mobilenet_v3_small", 576), ("shufflenet_v2_x0_5", 1024), ("vgg11", 512)]
)
def test_last_map_by_default(name: str, channels: int) -> None:
    net = MODELS.build({"type": "TorchvisionBackbone", "model_name": name})
    (out,) = net.eval()(torch.randn(1, 3, 64, 64))
    assert out.shape == (1, channels, 2, 2)


def test_frozen_parts_and_norms() -> None:
    cfg = {
        "type": "TorchvisionBackbone",
        "model_name": "resnet18",
        "norm_eval": True,
        "frozen_prefixes": ["layer1."],
    }
    net = MODELS.build(cfg).train()
    assert not any(module.training for module in net.modules() if isinstance(module, nn.BatchNorm2d))
    frozen = [name for name, param in net.named_parameters() if not param.requires_grad]
    assert frozen
    assert all(name.startswith("body.layer1.") for name in frozen)


def test_wrong_names_are_told_with_the_nearest() -> None:
    with pytest.raises(BuildError, match="resnet18"):
        MODELS.build({"type": "TorchvisionBackbone", "model_name": "resnet_18"})
    with pytest.raises(BuildError, match="layer4"):
        MODELS.build({"type": "TorchvisionBackbone", "model_name": "resnet18", "out_nodes": ["layer5"]})
