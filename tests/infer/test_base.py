"""BaseInferencer: the way of a call, streams, and subclasses that bring their own steps."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from toolkit.infer import BaseInferencer, find_images, infer_to_folder, load_model
from toolkit.infer.load import find_config, test_pipeline
from toolkit.model import BaseModel
from toolkit.registry import MODELS
from toolkit.structures import BaseDataElement
from toolkit.transforms import read_image
from toolkit.utils import ConfigError, DataError
from toolkit.visualization import Visualizer

pytestmark = pytest.mark.filterwarnings("ignore:no weights are given")
test_pipeline.__test__ = False  # type: ignore[attr-defined]  # it is none


@MODELS.register_module(force=True)
class MeanOf(BaseModel):
    """Predicts the mean of each image."""

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "predict") -> Any:
        return [BaseDataElement(mean=torch.as_tensor(image).float().mean()) for image in inputs]


CFG = {"model": {"type": "MeanOf"}}


class Means(BaseInferencer):
    """By MMEngine's steps."""

    visualize_kwargs = {"return_vis", "pred_score_thr"}
    postprocess_kwargs = {"digits"}

    def _init_pipeline(self, cfg: Any) -> Any:
        return lambda image: {"inputs": read_image(image) if isinstance(image, str) else image}

    def visualize(
        self, inputs: Any, preds: Any, return_vis: bool = False, pred_score_thr: float = 0.5
    ) -> Any:
        if not return_vis:
            return None
        return [np.full((2, 2, 3), int(one.mean), np.uint8) for one in preds]

    def postprocess(
        self, preds: Any, visualization: Any, return_datasample: bool = False, digits: int = 3
    ) -> Any:
        found = preds if return_datasample else [{"mean": round(one.mean.item(), digits)} for one in preds]
        return {"predictions": found, "visualization": visualization}


@pytest.fixture
def means() -> Means:
    return Means(CFG, device="cpu", show_progress=False)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    (tmp_path / "images").mkdir()
    for value in range(10, 80, 10):
        cv2.imwrite(str(tmp_path / f"images/{value}.png"), np.full((4, 5, 3), value, np.uint8))
    return find_images([str(tmp_path / "images")])


def test_a_call_by_steps(means: Means, paths: list[str]) -> None:
    result = means(paths, batch_size=3, digits=0)
    assert result == {"predictions": [{"mean": value} for value in range(10, 80, 10)], "visualization": None}
    assert means(str(Path(paths[0]).parent))["predictions"] == result["predictions"]
    assert means(paths[0], return_datasamples=True)["predictions"][0].mean == 10
    assert means(paths[2], return_vis=True)["visualization"][0][0, 0, 0] == 30


def test_unknown_arguments(means: Means) -> None:
    with pytest.raises(
        ConfigError, match="takes digits, pred_score_thr, return_vis; it got 'digit'; did you"
    ):
        means([], digit=2)
    with pytest.raises(TypeError, match="gives 'digits' to several steps"):
        type("Twice", (Means,), {"forward_kwargs": {"digits"}})


def test_the_next_batch_is_read_while_the_model_works(paths: list[str]) -> None:
    read: list[str] = []
    ahead = threading.Event()

    class Slow(Means):
        def _init_pipeline(self, cfg: Any) -> Any:
            def load(path: str) -> Any:
                read.append(path)
                if len(read) == 4:
                    ahead.set()
                return {"inputs": read_image(path)}

            return load

        def forward(self, inputs: Any, **kwargs: Any) -> Any:
            assert ahead.wait(10)  # all of the second batch, while the first is here
            return super().forward(inputs)

    assert len(Slow(CFG, show_progress=False)(paths[:4], batch_size=2)["predictions"]) == 4


def test_a_stream_goes_on_after_what_can_not_be_read(means: Means, paths: list[str]) -> None:
    Path(paths[1]).write_bytes(b"")
    Path(paths[4]).write_bytes(b"no picture")
    found = list(means.stream(paths, 2))
    assert [path for path, _ in found] == paths
    values = [None if isinstance(one, DataError) else one.mean.item() for _, one in found]
    assert values == [10, None, 30, 40, None, 60, 70]
    with pytest.raises(DataError, match=r"20\.png"):
        means(paths)
    assert list(means.stream([], 2)) == []


def test_toolkit_infer_takes_a_subclass_by_steps(means: Means, paths: list[str], tmp_path: Path) -> None:
    assert infer_to_folder(means, paths, str(tmp_path / "out")) == 0
    records = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert [record["mean"] for record in records] == list(range(10, 80, 10))
    picture = cv2.imread(str(tmp_path / "out/vis/20.png"))
    assert picture is not None
    assert (picture == 20).all()


def test_a_subclass_with_records_and_pictures(paths: list[str], tmp_path: Path) -> None:
    class Recording(BaseInferencer):
        def _init_pipeline(self, cfg: Any) -> Any:
            return lambda path: {"inputs": read_image(path)}

        def as_record(self, prediction: Any, score_thr: float) -> Any:
            return {"mean": prediction.mean.item()}

        def draw(self, image: np.ndarray, prediction: Any, score_thr: float) -> np.ndarray:
            return image // 2

    inferencer = Recording(CFG, show_progress=False)
    assert inferencer(paths[0]) == {"predictions": [{"mean": 10}], "visualization": []}
    infer_to_folder(inferencer, paths[:1], str(tmp_path / "out"))
    picture = cv2.imread(str(tmp_path / "out/vis/10.png"))
    assert picture is not None
    assert (picture == 5).all()


def test_a_subclass_without_either(paths: list[str]) -> None:
    class Bare(BaseInferencer):
        def _init_pipeline(self, cfg: Any) -> Any:
            return lambda path: {"inputs": read_image(path)}

    inferencer = Bare(CFG, show_progress=False)
    assert inferencer(paths[0], True)["predictions"][0].mean == 10
    with pytest.raises(ConfigError, match="as_record"):
        inferencer(paths[0])


def test_an_overridden_preprocess_is_used_everywhere(paths: list[str]) -> None:
    class Doubling(Means):
        preprocess_kwargs = {"factor"}

        def preprocess(self, inputs: Any, batch_size: int = 1, factor: int = 2) -> Iterator[Any]:
            for batch in super().preprocess(inputs, batch_size):
                yield {"inputs": [image * factor for image in batch["inputs"]]}

    inferencer = Doubling(CFG, show_progress=False)
    assert inferencer(paths[:2], factor=3)["predictions"] == [{"mean": 30}, {"mean": 60}]
    assert [one.mean.item() for _, one in inferencer.stream(paths[:2])] == [20, 40]


def test_parts_of_the_config(tmp_path: Path) -> None:
    step = {"type": "LoadImageFromFile", "color_type": "grayscale"}
    cfg = {
        **CFG,
        "test_dataloader": {
            "dataset": {"type": "BaseDataset", "pipeline": [step], "metainfo": {"classes": ["a"]}},
            "collate_fn": {"type": "default_collate"},
        },
        "visualizer": {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}]},
    }
    inferencer = Means(cfg)
    assert inferencer.collate_fn([{"a": 1}, {"a": 2}])["a"].tolist() == [1, 2]
    assert type(inferencer.visualizer) is Visualizer
    assert inferencer.visualizer.dataset_meta == {"classes": ("a",)}
    assert inferencer.classes == ("a",)
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((3, 4, 3), np.uint8))

    class Default(BaseInferencer):
        pass

    pipeline = Default(cfg).pipeline
    assert pipeline(str(tmp_path / "x.png"))["img"].shape == (3, 4)
    array = np.zeros((5, 6, 3), np.uint8)
    assert pipeline(array)["ori_shape"] == (5, 6)
    with pytest.raises(ConfigError, match="test_dataloader"):
        Default(CFG)


def test_steps_that_read_images_stay_first() -> None:
    def steps(*names: str) -> list[str]:
        loader = {"dataset": {"type": "BaseDataset", "pipeline": [{"type": name} for name in names]}}
        cfg = find_config({"test_dataloader": loader})
        return [step["type"] for step in test_pipeline(cfg)]

    assert steps("mmcv.LoadImageFromFile", "LoadAnnotations", "Resize") == [
        "mmcv.LoadImageFromFile",
        "Resize",
    ]
    assert steps("LoadTiff") == ["LoadTiff"]
    assert steps("LoadImageFromNDArray") == ["LoadImageFromFile", "LoadImageFromNDArray"]
    assert steps("Resize") == ["LoadImageFromFile", "Resize"]


def test_what_a_model_may_be(tmp_path: Path) -> None:
    model = load_model(find_config(CFG), None, "cpu")
    assert not model.training
    assert Means(model).model is model
    with pytest.raises(TypeError, match="not as int"):
        Means(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="neither a model nor weights"):
        Means()
    with pytest.raises(ConfigError, match="no `cfg`"):
        Means(torch.nn.Linear(1, 1))
    with pytest.raises(ConfigError, match="does not exist"):
        Means(str(tmp_path / "none.py"))


def test_predictions_may_be_changed(means: Means, paths: list[str]) -> None:
    (found,) = means(paths[0], return_datasamples=True)["predictions"]
    found.mean *= 2  # tensors of torch.inference_mode would refuse
    assert found.mean == 20
