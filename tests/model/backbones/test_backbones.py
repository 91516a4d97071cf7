"""What all backbones promise: recomputing, freezing, starting weights, and errors that say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from toolkit.model.backbones import RegNet
from toolkit.model.backbones.mobilenet_v2 import make_divisible
from toolkit.registry import MODELS
from toolkit.utils import BuildError, CheckpointError

BRANCHES: dict[str, dict[str, Any]] = {
    f"stage{n}": {
        "num_modules": 1,
        "num_branches": n,
        "block": "BASIC",
        "num_blocks": [1] * n,
        "num_channels": [4 * 2**i for i in range(n)],
    }
    for n in (1, 2, 3, 4)
}
SMALL = {"base_channels": 8, "stem_channels": 8}
WINDOWS = {"embed_dims": 8, "depths": (2, 2), "num_heads": (1, 2), "strides": (4, 2), "out_indices": (0, 1)}
PYRAMID = {"embed_dims": 4, "num_layers": (1, 1, 1, 1), "mlp_ratios": (2, 2, 2, 2)}
CONVNEXT = {
    "arch": {"depths": (1, 1), "channels": (8, 16)},
    "gap_before_final_norm": False,
    "out_indices": (0, 1),
}
RECOMPUTING: dict[str, dict[str, Any]] = {
    "ResNeXt": {"depth": 50, "groups": 2, "base_width": 4, **SMALL},
    "Res2Net": {"depth": 50, "base_width": 26, "base_channels": 16, "stem_channels": 8},
    "ResNeSt": {"depth": 50, **SMALL},
    "RegNet": {"arch": "regnetx_400mf"},
    "HRNet": {"extra": BRANCHES},
    "MobileNetV2": {"widen_factor": 0.25},
    "EfficientNet": {"arch": "b0", "out_indices": (2, 4)},
    "ConvNeXt": CONVNEXT,
    "SwinTransformer": {**WINDOWS, "drop_path_rate": 0.0},
    "DetectoRS_ResNet": {"depth": 50, **SMALL},
}


def image(height: int = 64, width: int = 64) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def build(name: str, **kwargs: Any) -> nn.Module:
    scoped = f"detection.{name}" if name.startswith("Detecto") else name
    torch.manual_seed(1)
    return MODELS.build({"type": scoped, **kwargs})


@pytest.mark.parametrize("name", RECOMPUTING)
def test_recomputing_gives_the_same_gradients(name: str) -> None:
    grads = []
    for with_cp in (False, True):
        net = build(name, with_cp=with_cp, **RECOMPUTING[name])
        net.train()
        torch.manual_seed(2)
        sum(x.square().mean() for x in net(image().requires_grad_())).backward()
        grads.append({key: param.grad for key, param in net.named_parameters() if param.grad is not None})
    assert grads[0]
    # batch norms see the batch twice, which must not change what they give
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize(
    ("name", "kwargs", "frozen"),
    [
        (
            "SwinTransformer",
            {**WINDOWS, "use_abs_pos_embed": True},
            ("patch_embed", "absolute", "stages.0", "norm0"),
        ),
        ("MobileNetV2", {"widen_factor": 0.25}, ("conv1", "layer1.")),
        ("EfficientNet", {"out_indices": (3,)}, ("layers.0",)),
        ("ConvNeXt", CONVNEXT, ("downsample_layers.0", "stages.0")),
        ("RegNet", {"arch": "regnetx_400mf"}, ("conv1", "bn1", "layer1")),
        ("ResNeSt", {"depth": 50, **SMALL}, ("stem", "layer1")),
        ("detection.Darknet", {}, ("conv1",)),
    ],
)
def test_frozen_stages(name: str, kwargs: dict[str, Any], frozen: tuple[str, ...]) -> None:
    net = MODELS.build({"type": name, "frozen_stages": 1, **kwargs}).train()
    for key, param in net.named_parameters():
        assert param.requires_grad != key.startswith(frozen), key
    still = [key for key, part in net.named_modules() if key.startswith(frozen) and part.training]
    assert not still
    assert any(part.training for part in net.modules())


def test_norms_in_evaluation() -> None:
    for name in ("HRNet", "MobileNetV2", "EfficientNet"):
        net = build(name, norm_eval=True, **RECOMPUTING[name]).train()
        assert net.training
        assert not any(part.training for part in net.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize(("arch", "name"), [("regnetx_3.2gf", "3_2GF"), ("regnetx_8.0gf", "8GF")])
def test_regnets_have_torchvisions_parameters(arch: str, name: str) -> None:
    published = getattr(torchvision.models, f"RegNet_X_{name}_Weights").IMAGENET1K_V1.meta["num_params"]
    with torch.device("meta"):
        net = RegNet(arch)
    classifier = 1000 * (net.stage_widths[-1] + 1)
    assert sum(param.numel() for param in net.parameters()) == published - classifier


def test_swin_takes_images_of_any_size_and_starts_small() -> None:
    net = build("SwinTransformer", **WINDOWS, use_abs_pos_embed=True, pretrain_img_size=32)
    net.init_weights()
    assert 0 < net.absolute_pos_embed.std() < 0.03
    assert 0.01 < net.stages[0].blocks[0].attn.w_msa.relative_position_bias_table.std() < 0.03
    assert [tuple(x.shape) for x in net(image(39, 50))] == [(1, 8, 10, 13), (1, 16, 5, 7)]


def test_swin_predicts_before_it_trains() -> None:
    net = build("SwinTransformer", **WINDOWS)
    with torch.inference_mode():
        net(image(48, 44))
    net(image(48, 44).requires_grad_())[-1].sum().backward()


def test_swin_starts_from_another_window_size(tmp_path: Any) -> None:
    source = build("SwinTransformer", **WINDOWS, window_size=7)
    source.init_weights()
    weights = {f"backbone.{key}": value for key, value in source.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "swin.pth")
    cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "swin.pth")}
    same = build("SwinTransformer", **WINDOWS, init_cfg=cfg)
    same.init_weights()
    torch.testing.assert_close(dict(same.state_dict()), dict(source.state_dict()))
    larger = build("SwinTransformer", **WINDOWS, window_size=12, init_cfg=cfg)
    larger.init_weights()
    table = larger.stages[1].blocks[1].attn.w_msa.relative_position_bias_table
    small = source.stages[1].blocks[1].attn.w_msa.relative_position_bias_table
    grid = small.t().view(1, 2, 13, 13)
    expected = nn.functional.interpolate(grid, size=(23, 23), mode="bicubic").view(2, -1).t()
    torch.testing.assert_close(table, expected)
    torch.testing.assert_close(larger.patch_embed.projection.weight, source.patch_embed.projection.weight)


def test_pvt_starts_from_the_authors_checkpoints(tmp_path: Any) -> None:
    for name in ("PyramidVisionTransformer", "PyramidVisionTransformerV2"):
        source = build(name, **PYRAMID)
        source.init_weights()
        torch.save(authors_pvt(source), tmp_path / "pvt.pth")
        cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "pvt.pth")}
        net = build(name, **PYRAMID, init_cfg=cfg)
        net.init_weights()
        torch.testing.assert_close(dict(net.state_dict()), dict(source.state_dict()))


def authors_pvt(net: nn.Module) -> dict[str, Tensor]:
    """The weights under the keys of the authors' code."""
    found: dict[str, Tensor] = {"head.weight": torch.zeros(2, 2), "norm.weight": torch.zeros(2)}
    positions = "layers.0.1.0.pos_embed" in net.state_dict()
    conv = not positions
    for key, value in net.state_dict().items():
        _, stage, part, *rest = key.split(".")
        number = int(stage) + 1
        tail = ".".join(rest)
        if part == "0":
            found[f"patch_embed{number}.{tail.replace('projection', 'proj')}"] = value
        elif part == "2":
            found[f"norm{number}.{tail}"] = value
        elif tail.endswith("pos_embed"):
            token = torch.zeros(1, 1, value.shape[2])
            found[f"pos_embed{number}"] = torch.cat((token, value), dim=1) if number == 4 else value
        else:
            block, tail = int(rest[0]) - positions, ".".join(rest[1:])
            home = f"block{number}.{block}."
            if "in_proj" in tail:
                kind = tail.rpartition("_")[2]
                found[f"{home}attn.q.{kind}"], found[f"{home}attn.kv.{kind}"] = value.split(
                    [len(value) // 3, len(value) // 3 * 2]
                )
                continue
            if tail.startswith("ffn.layers") and tail.endswith("weight") and value.shape[2:] == (1, 1):
                value = value[:, :, 0, 0]
            for ours, theirs in (
                ("attn.attn.out_proj", "attn.proj"),
                ("ffn.layers.0", "mlp.fc1"),
                ("ffn.layers.1", "mlp.dwconv.dwconv"),
                ("ffn.layers.4" if conv else "ffn.layers.3", "mlp.fc2"),
            ):
                tail = tail.replace(ours, theirs)
            found[home + tail] = value
    return found


def test_convnext_counts_layers_for_rates_that_decay() -> None:
    net = MODELS.build({"type": "ConvNeXt", "arch": "atto"})
    depths = {key: net.get_layer_depth(f"backbone.{key}", "backbone.") for key, _ in net.named_parameters()}
    assert depths["downsample_layers.0.0.weight"] == (0, 8)
    assert depths["stages.0.1.gamma"] == (1, 8)
    assert depths["downsample_layers.2.0.weight"] == (3, 8)
    assert depths["stages.2.5.gamma"] == (4, 8)
    assert depths["stages.3.0.gamma"] == (6, 8)
    assert depths["norm3.weight"] == (7, 8)
    assert net.get_layer_depth("head.fc.weight", "backbone.") == (7, 8)


def test_channels_become_divisible() -> None:
    assert [make_divisible(x, 8) for x in (3, 11, 12, 27, 32 * 1.4)] == [8, 16, 16, 32, 48]


def test_timm_models() -> None:
    pytest.importorskip("timm")
    net = build(
        "TIMMBackbone", model_name="resnet18", features_only=True, out_indices=(1, 2), norm_layer="BN"
    )
    assert [x.shape[1] for x in net(image())] == [64, 128]
    single = build("TIMMBackbone", model_name="resnet18", in_channels=1)
    assert single(image()[:, :1])[0].shape == (1, 512, 2, 2)
    with pytest.raises(BuildError, match="did you mean 'resnet18'"):
        build("TIMMBackbone", model_name="resnet81")
    with pytest.raises(BuildError, match="checkpoint_path"):
        build("TIMMBackbone", model_name="resnet18", pretrained="weights.pth")


def test_timm_weights_are_fetched_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    net = build("TIMMBackbone", model_name="resnet18", pretrained=True)
    create = timm.create_model

    def offline(*args: Any, pretrained: bool = False, **kwargs: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        return create(*args, **kwargs)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError, match=r"no route to host.*checkpoint_path"):
        net.init_weights()


@pytest.mark.parametrize(
    ("name", "kwargs", "said"),
    [
        ("RegNet", {"arch": "regnetx_3.3gf"}, "did you mean 'regnetx_3.2gf'"),
        ("RegNet", {"arch": {"w0": 25, "wa": 1.0, "wm": 2.0, "depth": 4, "group_w": 8, "bot_mul": 1}}, "w0"),
        ("ResNeXt", {"depth": 18}, "depth of ResNeXt"),
        ("Res2Net", {"depth": 50, "scales": 1}, "scales"),
        ("Res2Net", {"depth": 50, "deep_stem": False}, "deep_stem"),
        ("HRNet", {"extra": {}}, "lacks 'stage1'"),
        ("HRNet", {"extra": {**BRANCHES, "stage2": {**BRANCHES["stage2"], "num_blocks": [1]}}}, "2 branches"),
        ("HRNet", {"extra": {**BRANCHES, "stage2": {**BRANCHES["stage2"], "block": "BASICS"}}}, "'BASIC'"),
        ("ConvNeXt", {"arch": "tinny"}, "did you mean 'tiny'"),
        ("ConvNeXt", {"arch": {"depths": (1,)}}, "channels"),
        ("ConvNeXt", {"out_indices": (4,)}, "4 stages"),
        ("EfficientNet", {"arch": "b9"}, "b9"),
        ("EfficientNet", {"out_indices": (7,)}, "0 to 6"),
        ("MobileNetV2", {"out_indices": (8,)}, "0 to 7"),
        ("SwinTransformer", {"patch_size": 2}, "overlap"),
        ("SwinTransformer", {"pretrained": "a.pth", "init_cfg": {"type": "Pretrained"}}, "not both"),
        ("PyramidVisionTransformer", {"num_layers": (1, 1)}, "4 stages"),
    ],
)
def test_wrong_arguments_are_told(name: str, kwargs: dict[str, Any], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        build(name, **kwargs)
