from __future__ import annotations

import pytest
import torch
from torch import nn

from toolkit.model.transformer import FFN, DropPath, LayerScale, build_dropout, drop_path
from toolkit.utils import BuildError


def test_is_two_linear_layers_and_an_identity() -> None:
    torch.manual_seed(0)
    ffn, x, other = FFN(4, 6), torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    plain = ffn.layers[1](ffn.layers[0][0](x).relu())
    torch.testing.assert_close(ffn(x), x + plain)
    torch.testing.assert_close(ffn(x, other), other + plain)
    assert list(ffn.state_dict()) == [
        "layers.0.0.weight",
        "layers.0.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]


def test_without_identity_and_with_older_names() -> None:
    ffn = FFN(4, 6, dropout=0.3, add_residual=False).eval()
    x = torch.randn(2, 4)
    torch.testing.assert_close(ffn(x), ffn.layers(x))
    assert [one.p for one in ffn.modules() if isinstance(one, nn.Dropout)] == [0.3, 0.3]


def test_layer_scale_scales_what_is_added() -> None:
    torch.manual_seed(0)
    ffn, x = FFN(4, 6, layer_scale_init_value=0.5), torch.randn(2, 4)
    torch.testing.assert_close(ffn(x), x + 0.5 * ffn.layers(x))
    assert "gamma2.weight" in ffn.state_dict()


def test_layer_scale_of_maps() -> None:
    scale = LayerScale(3, data_format="channels_first", scale=2.0)
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(scale(x), x * 2)
    with pytest.raises(BuildError, match="channels_middle"):
        LayerScale(3, data_format="channels_middle")


def test_needs_two_layers() -> None:
    with pytest.raises(BuildError, match="at least 2"):
        FFN(num_fcs=1)


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 2)
    dropped = drop_path(x, 0.25, training=True)
    values = dropped.flatten(1)
    assert values.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert bool((values == values[:, :1]).all())
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)
    assert DropPath(0.25).eval()(x) is x


def test_dropouts_by_name() -> None:
    assert isinstance(build_dropout({"type": "DropPath", "drop_prob": 0.2}), DropPath)
    assert build_dropout({"type": "Dropout", "drop_prob": 0.2}).p == 0.2
    assert isinstance(build_dropout(None), nn.Identity)
