"""Which ground truth a point stands for, for all images of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from toolkit.detection.models.utils import box_area, get_box_tensor
from toolkit.structures import InstanceData

INF = 1e8


def padded_gts(batch_gt_instances: Sequence[InstanceData]) -> tuple[Tensor, Tensor]:
    """Boxes (B, G, 4) and labels (B, G) of all images, filled up with boxes of no size at the origin.

    G is the largest number of ground truths, and at least 1.
    """
    boxes = [get_box_tensor(gt.bboxes) for gt in batch_gt_instances]
    labels = [gt.labels for gt in batch_gt_instances]
    # a spare image of one empty box, so that there is something to choose where no image has ground truth
    boxes.append(boxes[0].new_zeros(1, 4))
    labels.append(labels[0].new_zeros(1))
    return pad_sequence(boxes, batch_first=True)[:-1], pad_sequence(labels, batch_first=True)[:-1]


@dataclass
class PointTargets:
    """What the points of a batch are to become.

    N points an image, P objects in all images; points are counted over all images.
    """

    labels: Tensor
    """Classes, (B, N) int64; the number of classes stands for background."""
    pos_inds: Tensor
    """The points that are objects, (P,) int64 in 0 to B·N - 1."""
    pos_points: Tensor
    """Where they are, (P, 2)."""
    pos_gt_bboxes: Tensor
    """The boxes of their ground truths, (P, 4)."""


@torch.no_grad()
def smallest_box_targets(
    points: Tensor,
    regress_ranges: Tensor,
    batch_gt_instances: Sequence[InstanceData],
    num_classes: int,
    radius: Tensor | None = None,
) -> PointTargets:
    """The smallest ground truth around each point, as FCOS wants it (Tian et al. 2019, section 3.2).

    Args:
        points: (N, 2).
        regress_ranges: The least and the largest of a point's longest distances to a side, (N, 2), both
            included.
        batch_gt_instances: ``bboxes`` and ``labels`` of each image.
        num_classes: The label of background.
        radius: Half of the side, (N,), of a square in a ground truth's centre in which points have to be,
            too. None for everywhere in it.
    """
    boxes, labels = padded_gts(batch_gt_instances)
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(2)  # (B, G, 1) each
    x, y = points.unbind(1)
    left, top, right, bottom = x - x1, y - y1, x2 - x, y2 - y  # (B, G, N)
    longest = torch.maximum(torch.maximum(left, right), torch.maximum(top, bottom))
    if radius is not None:
        center_x, center_y = (x1 + x2) / 2, (y1 + y2) / 2
        left, right = x - torch.maximum(center_x - radius, x1), torch.minimum(center_x + radius, x2) - x
        top, bottom = y - torch.maximum(center_y - radius, y1), torch.minimum(center_y + radius, y2) - y
    inside = torch.minimum(torch.minimum(left, right), torch.minimum(top, bottom)) > 0
    inside &= (longest >= regress_ranges[:, 0]) & (longest <= regress_ranges[:, 1])
    return chosen_targets(points, inside, boxes, labels, num_classes)


def chosen_targets(
    points: Tensor, inside: Tensor, boxes: Tensor, labels: Tensor, num_classes: int
) -> PointTargets:
    """The targets of points that each become the smallest ground truth that they may stand for.

    Args:
        points: (N, 2).
        inside: Which points may stand for which ground truths, (B, G, N) bool.
        boxes: (B, G, 4).
        labels: (B, G).
        num_classes: The label of background.
    """
    areas, chosen = torch.where(inside, box_area(boxes).unsqueeze(-1), INF).min(dim=1)  # (B, N)
    found = areas != INF
    pos_inds = found.flatten().nonzero().squeeze(1)
    image = torch.div(pos_inds, len(points), rounding_mode="floor")
    return PointTargets(
        labels=torch.where(found, labels.gather(1, chosen), num_classes),
        pos_inds=pos_inds,
        pos_points=points[pos_inds % len(points)],
        pos_gt_bboxes=boxes[image, chosen.flatten()[pos_inds]],
    )


def level_numbers(featmap_sizes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """The level of each point of a pyramid, (N,) int64."""
    counts = torch.tensor([height * width for height, width in featmap_sizes])
    return torch.arange(len(counts)).repeat_interleave(counts).to(device)
