"""Inference: an inferencer of a config and weights, inputs of all kinds, and one with steps of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from toolkit.config import Config
from toolkit.dataset import Compose
from toolkit.infer import BaseInferencer
from toolkit.model import BaseModel
from toolkit.registry import INFERENCERS, MODELS, VISUALIZERS
from toolkit.runner import save_checkpoint
from toolkit.structures import BaseDataElement
from toolkit.utils import CheckpointError, ConfigError, DataError
from toolkit.visualization import Visualizer


@MODELS.register_module(force=True)
class Brightness(BaseModel):
    """Predicts the mean of each image, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "predict") -> Any:
        return [BaseDataElement(mean=image.float().mean() * self.factor) for image in inputs]


@VISUALIZERS.register_module(force=True)
class BrightnessVisualizer(Visualizer):
    """Writes the mean on the picture."""

    def add_datasample(self, name: str, image: Any, data_sample: Any = None, **kwargs: Any) -> None:
        self.set_image(image)
        self.draw_texts(f"{float(data_sample.mean):.0f}", np.array([1, 1]))


def pack(results: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": torch.from_numpy(results["img"].copy()), "data_samples": BaseDataElement()}


@INFERENCERS.register_module(force=True)
class BrightnessInferencer(BaseInferencer):
    """Every step has an argument of its own, which a call hands on."""

    preprocess_kwargs = {"darker"}
    forward_kwargs = {"scale"}
    visualize_kwargs = {"show", "return_vis"}
    postprocess_kwargs = {"print_result"}

    def _init_pipeline(self, cfg: Config) -> Any:
        steps = list(cfg.test_dataloader.dataset.pipeline)
        steps[0] = {"type": "LoadImageFromFile", "color_type": "grayscale"}
        load = Compose([*steps, pack])
        return lambda single: load({"img_path": single} if isinstance(single, str) else {"img": single})

    def preprocess(self, inputs: Any, batch_size: int = 1, darker: int = 0) -> Any:
        for batch in super().preprocess(inputs, batch_size):
            yield {**batch, "inputs": [image - darker for image in batch["inputs"]]}

    def forward(self, inputs: Any, scale: float = 1.0) -> Any:
        found = super().forward(inputs)
        for each in found:
            each.mean *= scale
        return found

    def visualize(self, inputs: list[Any], preds: Any, show: bool = False, return_vis: bool = False) -> Any:
        pictures = []
        for single, pred in zip(inputs, preds, strict=True):
            image = cv2.imread(single)[..., ::-1] if isinstance(single, str) else single
            assert self.visualizer is not None
            self.visualizer.add_datasample("brightness", image, pred, show=show)
            pictures.append(self.visualizer.get_image())
        return pictures if return_vis else []

    def postprocess(
        self, preds: Any, visualization: Any, return_datasample: bool = False, print_result: bool = False
    ) -> dict[str, Any]:
        found = preds if return_datasample else [float(pred.mean) for pred in preds]
        if print_result:
            print(found)
        return {"predictions": found, "visualization": visualization}


CONFIG = """
model = dict(type='Brightness')
test_dataloader = dict(
    dataset=dict(type='BaseDataset', pipeline=[dict(type='LoadImageFromFile')]),
    collate_fn=dict(type='pseudo_collate'))
visualizer = dict(type='BrightnessVisualizer')
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "brightness.py").write_text(CONFIG)
    return str(tmp_path / "brightness.py")


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """A checkpoint that carries its config, and doubles."""
    path = str(tmp_path / "brightness.pth")
    save_checkpoint({"state_dict": {"factor": torch.tensor([2.0])}, "meta": {"cfg": CONFIG}}, path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    (tmp_path / "images").mkdir()
    paths = [str(tmp_path / f"images/{value}.png") for value in (10, 20, 30)]
    for path, value in zip(paths, (10, 20, 30), strict=True):
        cv2.imwrite(path, np.full((20, 30, 3), value, np.uint8))
    return paths


@pytest.fixture
def inferencer(config: str, weights: str) -> BrightnessInferencer:
    return BrightnessInferencer(model=config, weights=weights, device="cpu", show_progress=False)


def test_one_several_and_a_folder(inferencer: BrightnessInferencer, images: list[str]) -> None:
    assert inferencer(images[0])["predictions"] == [20.0]
    assert inferencer(images, batch_size=2)["predictions"] == [20.0, 40.0, 60.0]
    assert inferencer(str(Path(images[0]).parent))["predictions"] == [20.0, 40.0, 60.0]
    assert inferencer([np.full((2, 2), 5, np.uint8), images[1]])["predictions"] == [10.0, 40.0]


def test_where_the_model_comes_from(config: str, weights: str, images: list[str]) -> None:
    cfg = Config.fromfile(config)
    for model in (config, cfg, cfg.to_dict(), None):
        made = BrightnessInferencer(model, weights, show_progress=False)
        assert made(images[0])["predictions"] == [20.0]
    built = INFERENCERS.build({"type": "BrightnessInferencer", "model": config, "weights": weights})
    assert built(images[0])["predictions"] == [20.0]
    with pytest.warns(UserWarning, match="random"):
        BrightnessInferencer(config)
    save_checkpoint({"state_dict": {"factor": torch.ones(1)}}, weights)
    with pytest.raises(CheckpointError, match="carries no config"):
        BrightnessInferencer(weights=weights)


def test_arguments_reach_their_steps(
    inferencer: BrightnessInferencer, images: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = inferencer(images[0], darker=5, scale=3.0, return_vis=True, print_result=True)
    assert result["predictions"] == [30.0]
    assert capsys.readouterr().out == "[30.0]\n"
    (picture,) = result["visualization"]
    assert picture.shape == (20, 30, 3)
    assert picture.max() > 10
    with pytest.raises(ConfigError, match="did you mean 'scale'"):
        inferencer(images[0], scael=3.0)


def test_data_samples(inferencer: BrightnessInferencer, images: list[str]) -> None:
    (one,) = inferencer(images[0], return_datasamples=True)["predictions"]
    assert one.mean == 20


def test_an_image_that_can_not_be_read(inferencer: BrightnessInferencer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png"):
        inferencer(str(tmp_path / "none.png"))
