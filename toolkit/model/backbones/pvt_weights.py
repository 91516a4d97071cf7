"""Checkpoints of the authors' Pyramid Vision Transformer."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_LEFT_OUT = ("head", "norm.", "cls_token")
_LAST_PLACES = 49  # of the last stage at 224 px
_STAGE = re.compile(r"^(pos_embed|patch_embed|block|norm)(\d+)\.?")


def convert_pvt_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the authors' code under our keys, without those of the classifier."""
    with_positions = any(key.startswith("pos_embed") for key in weights)
    with_conv = any("dwconv" in key for key in weights)
    converted = {}
    for key, value in weights.items():
        found = _STAGE.match(key)
        if key.startswith(_LEFT_OUT) or ".attn.kv." in key:
            continue
        if found is None:
            converted[key] = value
            continue
        part, stage = found[1], int(found[2])
        rest, home = key[found.end() :], f"layers.{stage - 1}"
        if part == "pos_embed":
            # That of the last stage has one more, for the token of the class.
            with_token = stage == 4 and value.shape[1] == _LAST_PLACES + 1
            converted[f"{home}.1.0.pos_embed"] = value[:, 1:] if with_token else value
        elif part == "patch_embed":
            converted[f"{home}.0.{rest.replace('proj.', 'projection.')}"] = value
        elif part == "norm":
            converted[f"{home}.2.{rest}"] = value
        else:
            layer, _, rest = rest.partition(".")
            if rest.startswith("attn.q."):
                value = torch.cat((value, weights[key.replace(".q.", ".kv.")]))
            new, value = _of_layer(rest, value, with_conv)
            converted[f"{home}.1.{int(layer) + with_positions}.{new}"] = value
    return converted


def _of_layer(key: str, value: Tensor, with_conv: bool) -> tuple[str, Tensor]:
    """Key and value inside a layer. Linear layers of the feed-forward network become 1x1 convolutions."""
    if key in ("mlp.fc1.weight", "mlp.fc2.weight"):
        value = value[..., None, None]
    for theirs, ours in (
        ("attn.q.", "attn.attn.in_proj_"),
        ("attn.proj.", "attn.attn.out_proj."),
        ("mlp.fc1.", "ffn.layers.0."),
        ("mlp.dwconv.dwconv.", "ffn.layers.1."),
        ("mlp.fc2.", "ffn.layers.4." if with_conv else "ffn.layers.3."),
    ):
        key = key.replace(theirs, ours)
    return key, value
