"""Inference: one call for an image or several, by paths or arrays, with records and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from toolkit.dataset import Compose
from toolkit.infer import BaseInferencer
from toolkit.model import BaseModel
from toolkit.structures import BaseDataElement
from toolkit.utils import DataError


class Brightness(BaseModel):
    """Predicts the mean of each image."""

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "predict") -> Any:
        return [BaseDataElement(mean=image.float().mean()) for image in inputs]


class BrightnessInferencer(BaseInferencer):
    @classmethod
    def handles(cls, model: nn.Module) -> bool:
        return isinstance(model, Brightness)

    def as_record(self, prediction: Any, score_thr: float) -> dict[str, Any]:
        return {"mean": prediction.mean.item()}

    def draw(self, image: np.ndarray, prediction: Any, score_thr: float) -> np.ndarray:
        return np.full_like(image, int(prediction.mean))


def pack(results: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": torch.from_numpy(results["img"].copy()), "data_samples": BaseDataElement()}


@pytest.fixture
def inferencer() -> BrightnessInferencer:
    pipeline = Compose([{"type": "LoadImageFromFile"}, pack])
    return BrightnessInferencer(Brightness(), pipeline, classes=("any",))


def test_one_and_several(inferencer: BrightnessInferencer, tmp_path: Path) -> None:
    paths = []
    for value in (10, 20, 30):
        paths.append(str(tmp_path / f"{value}.png"))
        cv2.imwrite(paths[-1], np.full((4, 5, 3), value, dtype=np.uint8))
    (one,) = inferencer(paths[0])
    assert inferencer.as_record(one, 0.3) == {"mean": 10}
    several = inferencer(paths, batch_size=2)
    assert [inferencer.as_record(each, 0.3)["mean"] for each in several] == [10, 20, 30]
    picture = np.zeros((2, 2, 3), dtype=np.uint8)
    assert (inferencer.draw(picture, several[2], 0.3) == 30).all()


def test_an_image_that_can_not_be_read(inferencer: BrightnessInferencer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png"):
        inferencer(str(tmp_path / "none.png"))
