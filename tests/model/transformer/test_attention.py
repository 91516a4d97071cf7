from __future__ import annotations

import pytest
import torch

from toolkit.model.transformer import MultiheadAttention


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 5, 8), torch.randn(2, 7, 8)


@pytest.mark.parametrize("batch_first", [True, False])
def test_is_torchs_attention_with_positions_and_identity(batch_first: bool) -> None:
    query, key = tensors()
    query_pos, key_pos = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    padding = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
    blocked = torch.rand(5, 7) > 0.7
    blocked[:, 0] = False
    ours = MultiheadAttention(8, 2, batch_first=batch_first).eval()
    expected, _ = ours.attn.__class__.forward(
        _batch_first(ours),
        query + query_pos,
        key + key_pos,
        key,
        attn_mask=blocked,
        key_padding_mask=padding,
    )
    inputs = [query, key, key, query_pos, key_pos]
    if not batch_first:
        inputs = [one.transpose(0, 1) for one in inputs]
    found = ours(
        *inputs[:3],
        query_pos=inputs[3],
        key_pos=inputs[4],
        attn_mask=blocked,
        key_padding_mask=padding,
    )
    torch.testing.assert_close(found if batch_first else found.transpose(0, 1), query + expected)


def _batch_first(ours: MultiheadAttention) -> torch.nn.MultiheadAttention:
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    theirs.load_state_dict(ours.attn.state_dict())
    return theirs


def test_what_is_left_out_comes_from_the_query() -> None:
    query, _ = tensors()
    pos = torch.randn(2, 5, 8)
    attention = MultiheadAttention(8, 2, batch_first=True).eval()
    torch.testing.assert_close(
        attention(query, query_pos=pos),
        attention(query, query, query, identity=query, query_pos=pos, key_pos=pos),
    )


def test_the_older_dropout_sets_both() -> None:
    first = MultiheadAttention(8, 2, dropout=0.25)
    assert first.attn.dropout == 0.25
    assert first.dropout_layer.p == 0.25
    assert MultiheadAttention(8, 2).dropout_layer.p == 0  # the default is not changed by it


def test_keys_are_mmcvs() -> None:
    assert list(MultiheadAttention(8, 2).state_dict()) == [
        "attn.in_proj_weight",
        "attn.in_proj_bias",
        "attn.out_proj.weight",
        "attn.out_proj.bias",
    ]
