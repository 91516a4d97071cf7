from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou, generalized_box_iou

from toolkit.detection.models.task_modules import BboxOverlaps2D
from toolkit.detection.models.utils import bbox2roi, bbox_overlaps, scale_boxes
from toolkit.utils import BuildError


def random_boxes(count: int, seed: int = 0, size: float = 100.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * size
    return torch.cat((low, low + torch.rand(count, 2, generator=generator) * size / 2 + 1), dim=1)


def test_overlaps_equal_torchvisions() -> None:
    one, two = random_boxes(40, 0), random_boxes(30, 1)
    torch.testing.assert_close(bbox_overlaps(one, two), box_iou(one, two))
    torch.testing.assert_close(bbox_overlaps(one, two, mode="giou"), generalized_box_iou(one, two))


def test_aligned_is_the_diagonal() -> None:
    one, two = random_boxes(20, 0), random_boxes(20, 1)
    for mode in ("iou", "iof", "giou"):
        aligned = bbox_overlaps(one, two, mode=mode, is_aligned=True)
        torch.testing.assert_close(aligned, bbox_overlaps(one, two, mode=mode).diag())


def test_iof_is_over_the_area_of_the_first() -> None:
    inner, outer = torch.tensor([[2.0, 2, 4, 4]]), torch.tensor([[0.0, 0, 10, 10]])
    assert bbox_overlaps(inner, outer, mode="iof").item() == 1
    assert bbox_overlaps(outer, inner, mode="iof").item() == pytest.approx(0.04)


def test_batches_and_boxes_without_area() -> None:
    one, two = random_boxes(12, 0).view(2, 6, 4), random_boxes(8, 1).view(2, 4, 4)
    both = bbox_overlaps(one, two)
    assert both.shape == (2, 6, 4)
    torch.testing.assert_close(both[1], box_iou(one[1], two[1]))
    point = torch.tensor([[5.0, 5, 5, 5]])
    assert bbox_overlaps(point, point).item() == 0


def test_unknown_mode_is_told() -> None:
    with pytest.raises(BuildError, match="iouu"):
        bbox_overlaps(random_boxes(1), random_boxes(1), mode="iouu")


def test_calculator_drops_scores_and_computes_in_half() -> None:
    one, two = random_boxes(20, 0), random_boxes(10, 1)
    scored = torch.cat((one, torch.ones(20, 1)), dim=1)
    torch.testing.assert_close(BboxOverlaps2D()(scored, two), box_iou(one, two))
    half = BboxOverlaps2D(scale=10.0, dtype="fp16")(one, two)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), box_iou(one, two), atol=2e-2, rtol=0)


def test_rois_and_scaling() -> None:
    rois = bbox2roi([random_boxes(2), random_boxes(0), random_boxes(1, 3)])
    assert rois[:, 0].tolist() == [0, 0, 2]
    torch.testing.assert_close(rois[:2, 1:], random_boxes(2))
    assert scale_boxes(torch.tensor([[1.0, 2, 3, 4]]), (2, 10)).tolist() == [[2, 20, 6, 40]]
