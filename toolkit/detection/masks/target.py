"""What mask heads learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.masks.base import InstanceMasks


def mask_target(
    pos_proposals_list: Sequence[Tensor],
    pos_assigned_gt_inds_list: Sequence[Tensor],
    gt_masks_list: Sequence[InstanceMasks],
    cfg: Mapping[str, Any],
) -> Tensor:
    """The part of its ground-truth mask that lies in each proposal, on a grid of one size.

    Args:
        pos_proposals_list: Boxes (P_i, 4) of each image.
        pos_assigned_gt_inds_list: The mask of each, (P_i,) int64.
        gt_masks_list: Masks of each image.
        cfg: ``mask_size``, a number or (height, width), and ``soft_mask_target``: the covered part of each
            cell, in place of 0 and 1.

    Returns:
        (sum of P_i, *mask_size) float32.
    """
    size = cfg["mask_size"]
    shape = (size, size) if isinstance(size, int) else tuple(size)
    targets = []
    for boxes, inds, masks in zip(pos_proposals_list, pos_assigned_gt_inds_list, gt_masks_list, strict=True):
        right, bottom = masks.width, masks.height
        x1, y1, x2, y2 = boxes.detach().unbind(-1)
        inside = torch.stack(
            (x1.clamp(0, right), y1.clamp(0, bottom), x2.clamp(0, right), y2.clamp(0, bottom)), dim=-1
        )
        targets.append(masks.targets(inside, inds, shape, not cfg.get("soft_mask_target", False)))
    return torch.cat(targets)
