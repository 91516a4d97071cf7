"""Weights of MMDetection 1.x as those of 2.x and 3.x, which order classes otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# what has been the RoI head's since 2.0
_OF_ROI_HEAD = ("bbox_head", "mask_head", "semantic_head", "mask_iou_head", "grid_head", "shared_head")
_BOX_VALUES = 4
Weights = Mapping[str, Tensor]


def is_first_version(meta: Mapping[str, Any]) -> bool:
    """Whether a checkpoint says that MMDetection 0.x or 1.x wrote it."""
    major = str(meta.get("mmdet_version") or "").partition(".")[0]
    return major in ("0", "1")


def two_stage_of_1x(weights: Weights, meta: Mapping[str, Any]) -> Weights:
    """The weights of a two-stage detector; those of 2.x and later stay as they are.

    In 1.x the box and mask heads are the detector's own, and background is the first class instead of the
    last. It also had a regression and a mask of its own, which go.

    Args:
        weights: By key. That they are of 1.x is told by these, but for Fast R-CNN's.
        meta: What the checkpoint says of itself.
    """
    heads = {key.partition(".")[0] for key in weights}
    of_1x = {"rpn_head", "bbox_head"} <= heads or ("bbox_head" in heads and is_first_version(meta))
    if "roi_head" in heads or not of_1x:
        return weights
    moved = {_below_roi_head(key): value for key, value in weights.items()}
    for key in list(moved):
        front, _, name = key.rpartition(".")
        if not front.endswith(".fc_cls") or name != "weight":
            continue
        logits = len(moved[key])
        head = front.removesuffix(".fc_cls")
        _change(moved, f"{head}.fc_cls", logits, lambda value: value.roll(-1, 0))
        _change(moved, f"{head}.fc_reg", _BOX_VALUES * logits, lambda value: value[_BOX_VALUES:])
        mask_head = head.replace(".bbox_head", ".mask_head")
        for mask in (mask_head, ".".join(mask_head.split(".")[:2])):
            _change(moved, f"{mask}.conv_logits", logits, lambda value: value[1:])
    return moved


def ssd_of_1x(weights: Weights, logits: int) -> dict[str, Tensor]:
    """The weights of an SSD of 1.x, whose first logit of each anchor is that of background.

    Args:
        weights: By key; layers may have their older names.
        logits: How many an anchor has, background's among them.
    """
    return {
        key: _background_last(value, logits) if key.startswith("bbox_head.cls_convs.") else value
        for key, value in weights.items()
    }


def _background_last(value: Tensor, logits: int) -> Tensor:
    if value.shape[0] % logits:
        return value
    by_anchor = value.reshape(-1, logits, *value.shape[1:])
    return torch.roll(by_anchor, -1, 1).reshape(value.shape)


def _below_roi_head(key: str) -> str:
    return f"roi_head.{key}" if key.partition(".")[0] in _OF_ROI_HEAD else key


def _change(weights: dict[str, Tensor], layer: str, outputs: int, change: Any) -> None:
    """Change the weight and bias of a layer that has so many outputs."""
    for key in (f"{layer}.weight", f"{layer}.bias"):
        if key in weights and len(weights[key]) == outputs:
            weights[key] = change(weights[key])
