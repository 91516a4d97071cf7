"""Detections of flipped and scaled views come back to the image as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.detection.models.test_time_augs import DetTTAModel, default_tta
from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseModel
from toolkit.registry import TRANSFORMS, DefaultScope
from toolkit.structures import InstanceData
from toolkit.utils import ConfigError, DataError

HEIGHT, WIDTH = 40, 60


class BrightSpots(BaseModel):
    """Finds the rectangle of bright pixels: it sees the same thing in a mirror image, mirrored."""

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> list[DetDataSample]:
        for image, sample in zip(inputs, data_samples, strict=True):
            y, x = (image.float().mean(0) > 100).nonzero().unbind(1)
            box = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()
            scale = torch.tensor([*sample.scale_factor] * 2)
            mask = torch.zeros(sample.ori_shape, dtype=torch.bool)
            x1, y1, x2, y2 = (box / scale).round().int().tolist()
            mask[y1:y2, x1:x2] = True
            sample.pred_instances = InstanceData(
                bboxes=(box / scale)[None],
                scores=torch.tensor([0.5 + 0.1 * bool(sample.flip)]),
                labels=torch.tensor([3]),
                masks=mask[None],
            )
        return data_samples


def view(
    boxes: list[list[float]], scores: list[float], labels: list[int], direction: str | None = None
) -> DetDataSample:
    meta = dict(ori_shape=(HEIGHT, WIDTH), flip=direction is not None, flip_direction=direction)
    sample = DetDataSample(metainfo=meta)
    masks = torch.zeros(len(boxes), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=masks,
    )
    return sample


def run(sample: dict[str, Any], pipeline: list[Any]) -> Any:
    with DefaultScope.overwrite_default_scope("mmdet"):
        for step in pipeline:
            sample = TRANSFORMS.build(step)(sample)
    return sample


@pytest.fixture
def image() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[4:16, 6:30] = 255
    return picture


def results(image: np.ndarray) -> dict[str, Any]:
    shape = image.shape[:2]
    return dict(img=image.copy(), img_shape=shape, ori_shape=shape, img_id=0, img_path="x.png")


@pytest.mark.parametrize("scales", [[(60, 40)], [(60, 40), (120, 80)]])
def test_views_of_a_symmetrical_model_agree_with_the_plain_prediction(
    image: np.ndarray, scales: list[tuple[int, int]]
) -> None:
    pipeline = [
        dict(
            type="TestTimeAug",
            transforms=[
                [dict(type="Resize", scale=scale, keep_ratio=True) for scale in scales],
                [
                    dict(type="RandomFlip", prob=1.0, direction=one)
                    for one in ("horizontal", "vertical", "diagonal")
                ]
                + [dict(type="RandomFlip", prob=0.0)],
                [
                    dict(
                        type="PackDetInputs",
                        meta_keys=("ori_shape", "img_shape", "scale_factor", "flip", "flip_direction"),
                    )
                ],
            ],
        )
    ]
    packed = run(results(image), pipeline)
    assert len(packed["inputs"]) == 4 * len(scales)
    batch = {key: [[one] for one in value] for key, value in packed.items()}
    (merged,) = DetTTAModel(module=BrightSpots()).test_step(batch)
    found = merged.pred_instances
    # one thing, whatever the number of views; of the same score, since all see it
    assert found.bboxes.tolist() == [[6, 4, 30, 16]]
    assert found.scores.tolist() == pytest.approx([0.6])
    assert found.labels.tolist() == [3]
    expected = torch.from_numpy(image[..., 0] > 0)
    assert torch.equal(found.masks[0], expected)
    assert merged.metainfo["flip"] is False


def test_other_things_stay_and_the_rest_is_suppressed() -> None:
    model = DetTTAModel(
        tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=3), module=BrightSpots()
    )
    plain = view([[0, 0, 10, 10], [20, 20, 30, 30]], [0.6, 0.2], [0, 0])
    # in the mirror image: the first again, another class there, and a third thing
    mirrored = view(
        [[50, 0, 60, 11], [50, 0, 60, 10], [10, 0, 20, 8]], [0.9, 0.5, 0.3], [0, 1, 0], "horizontal"
    )
    (merged,) = model.merge_preds([(plain, mirrored)])
    found = merged.pred_instances
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.3])
    assert found.labels.tolist() == [0, 1, 0]
    assert found.bboxes.tolist() == [[0, 0, 10, 11], [0, 0, 10, 10], [40, 0, 50, 8]]
    assert found.masks[0].sum() == 110
    assert bool(found.masks[0][:11, :10].all())


def test_views_without_detections_give_none() -> None:
    views = (view([], [], []), view([], [], [], "vertical"))
    (merged,) = DetTTAModel(module=BrightSpots()).merge_preds([views])
    assert len(merged.pred_instances) == 0
    assert merged.pred_instances.bboxes.shape == (0, 4)


def test_a_view_must_say_how_it_was_flipped() -> None:
    sample = DetDataSample(metainfo=dict(ori_shape=(4, 4)))
    sample.pred_instances = view([[0, 0, 1, 1]], [0.5], [0]).pred_instances
    with pytest.raises(DataError, match="flip_direction"):
        DetTTAModel(module=BrightSpots()).merge_preds([(sample,)])


def test_by_default_an_image_and_its_mirror_image_are_seen(image: np.ndarray) -> None:
    plain = [
        dict(type="Resize", scale=(30, 20), keep_ratio=True),
        dict(type="LoadAnnotations", with_bbox=True),
        dict(type="PackDetInputs", meta_keys=("img_id", "ori_shape", "scale_factor")),
    ]
    model, pipeline = default_tta(plain)
    assert model == {"type": "DetTTAModel"}
    sample = results(image) | {"instances": [dict(bbox=[6, 4, 30, 16], bbox_label=3, ignore_flag=0)]}
    views = run(sample, pipeline)
    assert [one.flip for one in views["data_samples"]] == [False, True]
    truths: list[Tensor] = [one.gt_instances.bboxes for one in views["data_samples"]]
    assert all(one.tolist() == [[6, 4, 30, 16]] for one in truths)
    assert torch.equal(views["inputs"][0].flip(-1), views["inputs"][1])


def test_a_pipeline_of_another_kind_needs_a_config() -> None:
    with pytest.raises(ConfigError, match="tta_pipeline"):
        default_tta([dict(type="PackInputs")])
