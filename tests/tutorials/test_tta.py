"""Test-time augmentation: several views of each sample, merged by a model that wraps the trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from toolkit.config import Config
from toolkit.dataset import Compose
from toolkit.evaluator import BaseMetric
from toolkit.model import BaseModel, BaseTTAModel
from toolkit.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from toolkit.runner import build_runner_with_tta
from toolkit.transforms import BaseTransform


@MODELS.register_module(force=True)
class Doubler(BaseModel):
    """Predicts twice its input."""

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "predict") -> Any:
        return [float(2 * value) for value in inputs]


@MODELS.register_module(force=True)
class MeanTTA(BaseTTAModel):
    """The mean over views."""

    def merge_preds(self, data_samples_list: list[Any]) -> list[Any]:
        return [{"mean": sum(views) / len(views), "views": len(views)} for views in data_samples_list]


@TRANSFORMS.register_module(force=True)
class Added(BaseTransform):
    """Adds a number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return {"inputs": torch.tensor(results["value"] + self.value), "data_samples": results["value"]}


@DATASETS.register_module(force=True)
class Values(Dataset):
    """The numbers 0, 1, 2."""

    metainfo: dict[str, Any] = {}

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = Compose(pipeline)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return self.pipeline({"value": float(index)})


@METRICS.register_module(force=True)
class Means(BaseMetric):
    """Sum of the merged predictions."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += list(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"sum": sum(one["mean"] for one in results), "views": results[0]["views"]}


def test_views_are_merged() -> None:
    views: dict[str, list[list[Tensor]]] = {
        "inputs": [[torch.tensor(1.0), torch.tensor(2.0)], [torch.tensor(3.0)] * 2]
    }
    merged = MeanTTA({"type": "Doubler"}).test_step(views)
    assert [one["mean"] for one in merged] == [4.0, 5.0]


def test_in_a_run(tmp_path: Path) -> None:
    tta = {
        "type": "TestTimeAug",
        "transforms": [[{"type": "Added", "value": 0.0}, {"type": "Added", "value": 1.0}]],
    }
    cfg = Config(
        {
            "model": {"type": "Doubler"},
            "tta_model": {"type": "MeanTTA"},
            "tta_pipeline": [tta],
            "work_dir": str(tmp_path),
            "default_scope": "toolkit",
            "test_dataloader": {
                "dataset": {"type": "Values", "pipeline": [{"type": "Added", "value": 0.0}]},
                "batch_size": 2,
                "sampler": {"type": "DefaultSampler", "shuffle": False},
            },
            "test_cfg": {},
            "test_evaluator": {"type": "Means"},
        }
    )
    assert build_runner_with_tta(cfg).test() == {"sum": 2 * (0.5 + 1.5 + 2.5), "views": 2}
