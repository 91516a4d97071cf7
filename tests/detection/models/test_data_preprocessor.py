from __future__ import annotations

from typing import Any

import torch

from toolkit.detection.models.data_preprocessors import BatchFixedSizePad, DetDataPreprocessor
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.logging import MessageHub
from toolkit.structures import InstanceData, PixelData


class Wrapped:
    """Boxes as an object around a tensor, as MMDetection has them."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)


def batch(**instances: Any) -> dict[str, Any]:
    inputs, samples = [], []
    for height, width in ((40, 60), (50, 44)):
        inputs.append(torch.full((3, height, width), 100, dtype=torch.uint8))
        sample = DetDataSample(metainfo={"img_shape": (height, width)})
        sample.gt_instances = InstanceData(bboxes=torch.tensor([[4.0, 8, 20, 30]]), labels=torch.tensor([1]))
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


def test_sizes_are_noted_for_each_image() -> None:
    data = DetDataPreprocessor(mean=[100] * 3, std=[2] * 3, pad_size_divisor=32, pad_value=7)(batch())
    assert data["inputs"].shape == (2, 3, 64, 64)
    metas = [sample.metainfo for sample in data["data_samples"]]
    assert [meta["pad_shape"] for meta in metas] == [(64, 64), (64, 64)]
    data = DetDataPreprocessor(pad_size_divisor=8)(batch())
    metas = [sample.metainfo for sample in data["data_samples"]]
    assert [meta["pad_shape"] for meta in metas] == [(40, 64), (56, 48)]
    assert [meta["batch_input_shape"] for meta in metas] == [(56, 64)] * 2


def test_channels_turn_around() -> None:
    data = batch()
    data["inputs"][0][0] = 10
    out = DetDataPreprocessor(bgr_to_rgb=True)(data)["inputs"][0]
    assert out[:, 0, 0].tolist() == [100, 100, 10]


def test_masks_semantic_maps_and_boxes() -> None:
    data = batch()
    for sample in data["data_samples"]:
        size = sample.metainfo["img_shape"]
        sample.gt_instances.masks = torch.ones(1, *size, dtype=torch.uint8)
        sample.gt_sem_seg = PixelData(sem_seg=torch.ones(1, *size, dtype=torch.long))
        sample.gt_instances.bboxes = Wrapped(sample.gt_instances.bboxes)
    out = DetDataPreprocessor(pad_size_divisor=32, pad_mask=True, pad_seg=True)(data)["data_samples"][0]
    assert out.gt_instances.masks.shape == (1, 64, 64)
    assert out.gt_instances.masks.sum() == 40 * 60
    assert out.gt_sem_seg.sem_seg.shape == (1, 64, 64)
    assert int((out.gt_sem_seg.sem_seg == 255).sum()) == 64 * 64 - 40 * 60
    assert isinstance(out.gt_instances.bboxes, torch.Tensor)


def test_without_samples() -> None:
    out = DetDataPreprocessor(pad_size_divisor=32)({"inputs": batch()["inputs"]})
    assert out["data_samples"] is None
    assert out["inputs"].shape == (2, 3, 64, 64)


def test_fixed_size() -> None:
    pad = {"type": "BatchFixedSizePad", "size": (96, 80), "img_pad_value": 3}
    preprocessor = MODELS.build({"type": "DetDataPreprocessor", "batch_augments": [pad]})
    out = preprocessor(batch(), training=True)
    assert out["inputs"].shape == (2, 3, 96, 80)
    assert (out["inputs"][:, :, 50:] == 3).all()
    assert out["data_samples"][0].metainfo["batch_input_shape"] == (96, 80)
    assert preprocessor(batch(), training=False)["inputs"].shape == (2, 3, 50, 60)
    inputs = torch.zeros(1, 3, 100, 100)
    assert BatchFixedSizePad((96, 80))(inputs)[0] is inputs


def test_random_size_changes_boxes_along() -> None:
    resize = {
        "type": "BatchSyncRandomResize",
        "random_size_range": (96, 97),
        "interval": 1,
        "size_divisor": 32,
    }
    preprocessor = MODELS.build(
        {"type": "DetDataPreprocessor", "pad_size_divisor": 32, "batch_augments": [resize]}
    )
    MessageHub.get_instance("test_random_size").update_info("iter", 0)
    first = preprocessor(batch(), training=True)  # draws the size of the next one
    assert first["inputs"].shape == (2, 3, 64, 64)
    second = preprocessor(batch(), training=True)
    assert second["inputs"].shape == (2, 3, 96, 96)
    sample = second["data_samples"][0]
    assert sample.gt_instances.bboxes.tolist() == [[6, 12, 30, 45]]
    assert sample.metainfo["img_shape"] == (60, 90)
