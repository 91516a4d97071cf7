"""Backbones with the weights of torchvision's and timm's models give the same maps."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from toolkit.model.backbones import ResNeXt
from toolkit.model.backbones.swin_weights import convert_swin_weights
from toolkit.registry import MODELS

timm = pytest.importorskip("timm")


def image(height: int = 64, width: int = 64) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def randomised(model: nn.Module) -> nn.Module:
    """With statistics and vectors that are not the initial ones."""
    torch.manual_seed(1)
    for key, value in model.state_dict().items():
        if value.is_floating_point() and value.dim() < 2:
            value.copy_(value + 0.1 * torch.rand_like(value) * (1 if key.endswith("var") else 2))
    return model.eval()


def in_order(ours: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Load weights whose keys are others, but in the same order."""
    own = ours.state_dict()
    theirs = list(weights.values())[: len(own)]
    assert [tuple(value.shape) for value in own.values()] == [tuple(value.shape) for value in theirs]
    ours.load_state_dict(dict(zip(own, theirs, strict=True)))
    return ours.eval()


def test_resnext() -> None:
    theirs = randomised(torchvision.models.resnext50_32x4d())
    ours = ResNeXt(depth=50, groups=32, base_width=4).eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image()))))
    for out, name in zip(ours(image()), ("layer1", "layer2", "layer3", "layer4"), strict=True):
        x = getattr(theirs, name)(x)
        torch.testing.assert_close(out, x, rtol=1e-4, atol=1e-4)


def test_mobilenet() -> None:
    theirs = randomised(torchvision.models.mobilenet_v2())
    ours = in_order(MODELS.build({"type": "MobileNetV2", "out_indices": (1, 7)}), theirs.state_dict())
    middle, last = ours(image())
    torch.testing.assert_close(last, theirs.features(image()), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(middle, theirs.features[:4](image()), rtol=1e-4, atol=1e-4)


def test_efficientnet_with_padding_of_tensorflow() -> None:
    theirs = randomised(timm.create_model("tf_efficientnet_b0"))
    ours = in_order(MODELS.build({"type": "EfficientNet", "out_indices": (6,)}), theirs.state_dict())
    x = image(70, 93)
    torch.testing.assert_close(ours(x)[0], theirs.forward_features(x), rtol=1e-4, atol=1e-4)


def test_convnext() -> None:
    theirs = randomised(timm.create_model("convnext_atto"))
    names: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"\.blocks\.", "."),
        ("conv_dw", "depthwise_conv"),
        (r"mlp\.fc", "pointwise_conv"),
        (r"^head\.norm", "norm3"),
    ]
    weights = {}
    for key, value in theirs.state_dict().items():
        for pattern, replacement in names:
            key = re.sub(pattern, replacement, key)
        weights[key] = value
    cfg = {"type": "ConvNeXt", "arch": "atto", "linear_pw_conv": False, "out_indices": (1, 3)}
    ours = MODELS.build({**cfg, "gap_before_final_norm": False}).eval()
    assert set(weights) - set(ours.state_dict()) == {"head.fc.weight", "head.fc.bias"}
    missing = ours.load_state_dict(weights, strict=False).missing_keys
    assert missing == ["norm1.weight", "norm1.bias"]
    inner = theirs.forward_intermediates(image(), indices=[1, 3], intermediates_only=True)
    for out, x, norm in zip(ours(image()), inner, (ours.norm1, ours.norm3), strict=True):
        torch.testing.assert_close(out, norm(x), rtol=1e-4, atol=1e-4)
    classify = MODELS.build({**cfg, "out_indices": -1}).eval()
    classify.load_state_dict({k: v for k, v in weights.items() if not k.startswith("head")})
    with_head = theirs.forward_head(theirs.forward_features(image()), pre_logits=True)
    torch.testing.assert_close(classify(image())[0], with_head, rtol=1e-4, atol=1e-4)


def authors_swin(model: nn.Module) -> dict[str, Tensor]:
    """The weights of timm's model under the keys of the authors' code."""
    found = {}
    for key, value in model.state_dict().items():
        # timm merges patches at the beginning of a stage, the authors at the end of the one before
        moved = re.sub(r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", key)
        found[moved] = value
    return found


@pytest.mark.parametrize("size", [(112, 168), (168, 112)])
def test_swin_with_converted_weights(size: tuple[int, int]) -> None:
    settings: dict[str, Any] = {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)}
    theirs = timm.models.SwinTransformer(img_size=size, window_size=7, strict_img_size=False, **settings)
    randomised(theirs)
    weights = convert_swin_weights(authors_swin(theirs))
    cfg = {"type": "SwinTransformer", "embed_dims": 24, "depths": (2, 2), "num_heads": (2, 4)}
    ours = MODELS.build({**cfg, "strides": (4, 2), "out_indices": (0, 1)}).eval()
    fit = ours.load_state_dict({k: v for k, v in weights.items() if not k.startswith("norm.")}, strict=False)
    own_only = [key for key in fit.missing_keys if "relative_position_index" not in key]
    assert own_only == ["norm0.weight", "norm0.bias", "norm1.weight", "norm1.bias"]
    x = image(*size)
    y = theirs.patch_embed(x)
    for i, stage in enumerate(theirs.layers):
        y = stage(y)
        norm = getattr(ours, f"norm{i}")
        torch.testing.assert_close(ours(x)[i], norm(y).permute(0, 3, 1, 2), rtol=1e-4, atol=1e-4)
