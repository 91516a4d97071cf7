from __future__ import annotations

from typing import Any

import pytest
import torch

from toolkit.detection.models.dense_heads import RepPointsHead
from toolkit.detection.models.task_modules import MlvlPointGenerator, PointAssigner
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

BOXES = [[5.0, 5, 40, 40], [8, 6, 41, 39], [50, 20, 60, 32]]
MAX_IOU = {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0}


def make(first: dict[str, Any] | None = None, **kwargs: Any) -> RepPointsHead:
    torch.manual_seed(0)
    head = RepPointsHead(
        3,
        8,
        feat_channels=8,
        stacked_convs=1,
        point_feat_channels=8,
        point_strides=(8, 16),
        train_cfg={
            "init": {"assigner": first or {"type": "PointAssigner", "scale": 4, "pos_num": 1}},
            "refine": {"assigner": MAX_IOU, "pos_weight": -1},
        },
        test_cfg={"nms_pre": 50, "score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 0.6}},
        **kwargs,
    )
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head


def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6)]


def samples() -> list[DetDataSample]:
    out = []
    for boxes in (BOXES, BOXES[:1]):
        sample = DetDataSample(metainfo={"img_shape": (64, 96), "pad_shape": (64, 96)})
        sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.arange(len(boxes)))
        out.append(sample)
    return out


def test_ground_truths_get_the_nearest_points_of_their_level() -> None:
    points = torch.cat(
        MlvlPointGenerator([8, 16], 0).grid_priors([(8, 12), (4, 6)], device="cpu", with_stride=True)
    )
    gts = InstanceData(bboxes=torch.tensor(BOXES), labels=torch.tensor([2, 0, 1]))
    result = PointAssigner(scale=4, pos_num=3).assign(InstanceData(priors=points), gts)
    # sides of 35 and 33 belong to stride 8, as do those of 10 and 12, though they fit a stride of 2
    expected: dict[int, tuple[float, int]] = {}
    for index, (x1, y1, x2, y2) in enumerate(BOXES):
        near = []
        for place, (x, y, stride, _) in enumerate(points.tolist()):
            if stride == 8:
                dx, dy = (x - (x1 + x2) / 2) / (x2 - x1), (y - (y1 + y2) / 2) / (y2 - y1)
                near.append(((dx * dx + dy * dy) ** 0.5, place))
        for distance, place in sorted(near)[:3]:
            if place not in expected or distance < expected[place][0]:
                expected[place] = (distance, index)
    found = {place: int(ind) - 1 for place, ind in enumerate(result.gt_inds) if ind > 0}
    assert found == {place: index for place, (_, index) in expected.items()}
    assert all(result.labels[place] == gts.labels[index] for place, index in found.items())
    nothing = PointAssigner().assign(InstanceData(priors=points), gts[:0])
    assert nothing.gt_inds.sum() == 0


@pytest.mark.parametrize("method", ["moment", "minmax", "partial_minmax"])
def test_boxes_around_points(method: str) -> None:
    head = make(transform_method=method)
    points = torch.randn(5, 18)
    y, x = points[:, ::2], points[:, 1::2]
    if method == "moment":
        width, height = (torch.exp(head.moment_transfer[i]) for i in range(2))
        half_x, half_y = x.std(1) * width, y.std(1) * height
        expected = (x.mean(1) - half_x, y.mean(1) - half_y, x.mean(1) + half_x, y.mean(1) + half_y)
    else:
        count = 4 if method == "partial_minmax" else 9
        y, x = y[:, :count], x[:, :count]
        expected = (x.min(1).values, y.min(1).values, x.max(1).values, y.max(1).values)
    torch.testing.assert_close(head.points2bbox(points), torch.stack(expected, dim=1))


def test_a_grid_of_points_fills_its_box() -> None:
    head = make(use_grid_points=True, transform_method="minmax")
    reg = torch.randn(2, 4, 3, 5)
    points, box = head._grid_in_box(reg, torch.tensor([-2.0, -2, 2, 2]).view(1, 4, 1, 1))
    torch.testing.assert_close(head.points2bbox(points), box)
    center = (box[:, :2] + box[:, 2:]) / 2
    torch.testing.assert_close(center, 4 * reg[:, :2])
    torch.testing.assert_close(box[:, 2:] - box[:, :2], 4 * reg[:, 2:].exp())
    # row after row, y before x
    assert (points[0, 0:6:2, 0, 0] == points[0, 0, 0, 0]).all()
    assert points[0, 6, 0, 0] > points[0, 0, 0, 0]


@pytest.mark.parametrize("kwargs", [{}, {"use_grid_points": True, "first": MAX_IOU}, {"center_init": False}])
def test_losses(kwargs: dict[str, Any]) -> None:
    head = make(**kwargs).train()
    losses = head.loss(features(), samples())
    assert set(losses) == {"loss_cls", "loss_pts_init", "loss_pts_refine"}
    sum(losses.values()).backward()
    assert head.reppoints_pts_refine_out.weight.grad.abs().sum() > 0
    again = head.eval().loss(features(), samples())
    for name, value in losses.items():
        torch.testing.assert_close(again[name], value)


def test_the_first_loss_is_of_the_assigned_points() -> None:
    head = make().train()
    _, init, _ = head(features())
    total, count = 0.0, 0
    for b, sample in enumerate(samples()):
        points = torch.cat(
            head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu", with_stride=True)
        )
        result = head.init_assigner.assign(InstanceData(priors=points), sample.gt_instances)
        places = (result.gt_inds > 0).nonzero().squeeze(1)
        count += len(places)
        rows = torch.cat([x[b].permute(1, 2, 0).flatten(0, 1) for x in init])
        for place in places:
            stride = points[place, 2]
            box = head.points2bbox(rows[place][None])[0] * stride + points[place, :2].repeat(2)
            goal = sample.gt_instances.bboxes[result.gt_inds[place] - 1]
            d = ((box - goal) / (4 * stride)).abs()
            total = total + torch.where(d < 1 / 9, 4.5 * d * d, d - 1 / 18).sum()
    torch.testing.assert_close(head.loss(features(), samples())["loss_pts_init"], 0.5 * total / count)


def test_refined_boxes_are_in_strides() -> None:
    head = make().eval()
    scores, boxes = head(features())
    metas = [{"img_shape": (64, 96)}] * 2
    found = head.predict_by_feat(scores, boxes, batch_img_metas=metas)[0]
    logits = torch.cat([x[0].permute(1, 2, 0).flatten(0, 1) for x in scores])
    place, label = divmod(int(logits.argmax()), 3)
    points = torch.cat(head.prior_generator.grid_priors([(8, 12), (4, 6)], device="cpu", with_stride=True))
    rows = torch.cat([x[0].permute(1, 2, 0).flatten(0, 1) for x in boxes])
    box = rows[place] * points[place, 2] + points[place, :2].repeat(2)
    limit = torch.tensor([96.0, 64, 96, 64])
    torch.testing.assert_close(found.bboxes[0], torch.minimum(box.clamp(min=0), limit))
    assert found.labels[0] == label


def test_bad_arguments() -> None:
    with pytest.raises(BuildError, match="odd number squared"):
        make(num_points=8)
    with pytest.raises(BuildError, match="did you mean 'minmax'"):
        make(transform_method="min_max")
