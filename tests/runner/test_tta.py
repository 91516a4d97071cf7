"""Testing with several views of each sample, as a whole config asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from toolkit.config import Config
from toolkit.evaluator import BaseMetric
from toolkit.model import BaseModel, BaseTTAModel
from toolkit.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from toolkit.runner import apply_tta, build_runner_with_tta
from toolkit.utils.errors import ConfigError


class ViewPoints(Dataset):
    """Sample `i` is the number `i`, through a pipeline."""

    metainfo = {"classes": ("number",)}

    def __init__(self, size: int, pipeline: list[Any]) -> None:
        self.size = size
        self.steps = [TRANSFORMS.build(step) for step in pipeline]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample: Any = {"inputs": torch.tensor([float(index)])}
        for step in self.steps:
            sample = step(sample)
        return sample  # type: ignore[no-any-return]


class ViewAsIs:
    def __call__(self, sample: Any) -> Any:
        return sample


class ViewPair:
    """The number, and it times ten."""

    def __call__(self, sample: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        return {"inputs": [sample["inputs"], 10 * sample["inputs"]]}


class ViewNet(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        assert not self.training
        return [{"value": float(one * self.weight)} for one in inputs]


class ViewSum(BaseTTAModel):
    def merge_preds(self, data_samples_list: list[Any]) -> list[Any]:
        return [{"value": sum(view["value"] for view in views)} for views in data_samples_list]


class ViewTotal(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [sample["value"] for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"total": sum(results)}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    homes = {
        DATASETS: [ViewPoints],
        TRANSFORMS: [ViewAsIs, ViewPair],
        MODELS: [ViewNet, ViewSum],
        METRICS: [ViewTotal],
    }
    for registry, classes in homes.items():
        for cls in classes:
            registry.register_module(module=cls)
    yield
    for registry, classes in homes.items():
        for cls in classes:
            del registry.module_dict[cls.__name__]


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    loader = {
        "batch_size": 2,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": {"type": "ViewPoints", "size": 4, "pipeline": [{"type": "ViewAsIs"}]},
    }
    return Config(
        {
            "model": {"type": "ViewNet"},
            "test_dataloader": loader,
            "test_cfg": {},
            "test_evaluator": {"type": "ViewTotal"},
            "tta_model": {"type": "ViewSum"},
            "tta_pipeline": [{"type": "ViewPair"}],
            "work_dir": str(tmp_path),
            "log_level": "ERROR",
        }
    )


def test_views_are_merged_and_the_model_is_itself_again(cfg: Config) -> None:
    runner = build_runner_with_tta(cfg)
    model = runner.model
    assert isinstance(model, ViewNet)
    assert runner.test() == {"total": 66.0}
    assert runner.model is model


def test_every_named_set_has_its_views(cfg: Config) -> None:
    loader = cfg["test_dataloader"]
    small = deepcopy(loader)
    small["dataset"]["size"] = 2
    cfg["test_dataloader"] = {"all": loader, "few": small}
    assert build_runner_with_tta(cfg).test() == {"all/total": 66.0, "few/total": 11.0}


def test_the_dataset_inside_of_wrappers_is_changed(cfg: Config) -> None:
    inner = cfg["test_dataloader"]["dataset"]
    cfg["test_dataloader"]["dataset"] = {"type": "RepeatDataset", "times": 2, "dataset": inner}
    apply_tta(cfg)
    assert cfg["test_dataloader"]["dataset"]["dataset"]["pipeline"] == [{"type": "ViewPair"}]
    assert cfg["custom_hooks"][-1]["type"] == "PrepareTTAHook"


@pytest.mark.parametrize("key", ["tta_model", "tta_pipeline"])
def test_what_is_missing_is_told_or_taken_from_the_defaults(cfg: Config, key: str) -> None:
    given = cfg[key]
    cfg[key] = None
    with pytest.raises(ConfigError, match=f"needs {key} in the config"):
        build_runner_with_tta(cfg)
    apply_tta(cfg, lambda pipeline: ({"type": "ViewSum"}, [{"type": "ViewPair"}]))
    hook, pipeline = cfg["custom_hooks"][-1], cfg["test_dataloader"]["dataset"]["pipeline"]
    assert (hook["tta_cfg"] if key == "tta_model" else pipeline) == given


def test_without_data(cfg: Config) -> None:
    cfg["test_dataloader"] = None
    with pytest.raises(ConfigError, match="needs a test_dataloader with a dataset"):
        build_runner_with_tta(cfg)
