"""ClassificationInferencer: what a call returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from toolkit.infer import ClassificationInferencer, inferencer_from
from toolkit.infer.load import find_config
from toolkit.utils import CheckpointError

CFG: dict[str, Any] = {
    "default_scope": "mmpretrain",
    "model": {
        "type": "ImageClassifier",
        "backbone": {"type": "ResNet", "depth": 18, "base_channels": 4, "stem_channels": 4},
        "neck": {"type": "GlobalAveragePooling"},
        "head": {"type": "LinearClsHead", "num_classes": 3, "in_channels": 32},
    },
    "test_dataloader": {
        "dataset": {
            "type": "CustomDataset",
            "metainfo": {"classes": ["circle", "square", "triangle"]},
            "pipeline": [
                {"type": "LoadImageFromFile"},
                {"type": "ResizeEdge", "scale": 32, "edge": "short"},
                {"type": "PackInputs"},
            ],
        },
        "collate_fn": {"type": "default_collate"},
    },
}


@pytest.fixture
def inferencer() -> ClassificationInferencer:
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="random"):
        return ClassificationInferencer(CFG, device="cpu", show_progress=False)


def test_a_dict_an_image(inferencer: ClassificationInferencer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (32, width, 3), dtype=np.uint8) for width in (32, 40)]
    result = inferencer(images, batch_size=1, return_vis=True, out_dir=str(tmp_path), no_save_pred=False)
    for image, record, picture in zip(images, result["predictions"], result["visualization"], strict=True):
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        step: Any = inferencer.model.test_step
        scores = step({"inputs": [pixels]})[0].pred_score
        assert record["pred_scores"] == scores.tolist()
        assert record["pred_label"] == int(scores.argmax())
        assert record["pred_score"] == scores.max().item()
        assert record["pred_class"] == ("circle", "square", "triangle")[record["pred_label"]]
        assert picture.shape[0] >= 32
    assert cv2.imread(str(tmp_path / "vis/00000001.jpg")) is not None
    assert (tmp_path / "preds/00000001.json").is_file()


def test_images_of_unequal_sizes_in_a_batch(inferencer: ClassificationInferencer) -> None:
    images = [np.zeros((32, 32, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)]
    assert len(inferencer(images, batch_size=2)["predictions"]) == 2


def test_classes_have_to_be_known(tmp_path: Path) -> None:
    cfg = find_config(CFG)
    cfg.test_dataloader.dataset.pop("metainfo")
    with pytest.raises(CheckpointError, match="the classes are"), pytest.warns(match="random"):
        ClassificationInferencer(cfg)


def test_the_one_for_classifiers_is_chosen(inferencer: ClassificationInferencer, tmp_path: Path) -> None:
    path = str(tmp_path / "x.pth")
    torch.save({"state_dict": inferencer.model.state_dict()}, path)
    assert type(inferencer_from(inferencer.cfg, path, device="cpu")) is ClassificationInferencer
