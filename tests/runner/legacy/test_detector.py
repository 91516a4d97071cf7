"""`train_detector` against the present runner with what the old config means, written out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from toolkit.config import Config
from toolkit.model import BaseModel
from toolkit.runner import Runner
from toolkit.runner.legacy import train_detector
from toolkit.utils import ConfigError


class Points(Dataset[Any]):
    metainfo = {"classes": ("a", "b")}

    def __init__(self, size: int = 8) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def get_data_info(self, index: int) -> dict[str, Any]:
        """All upright, so that batches of one shape are those of the sampler."""
        return {"width": 10, "height": 20}

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"inputs": torch.tensor([index / 8, 1.0]), "labels": torch.tensor(index % 2)}


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc = nn.Linear(2, 2)

    def init_weights(self) -> None:
        """As built."""

    def forward(self, inputs: Any, labels: Any, mode: str = "tensor") -> Any:
        out = self.fc(torch.stack(inputs))
        return {"loss": nn.functional.cross_entropy(out, torch.stack(labels))} if mode == "loss" else out


def old_config(work_dir: Path) -> dict[str, Any]:
    dataset = {"type": "CocoDataset", "ann_file": "a.json", "pipeline": [{"type": "LoadImageFromFile"}]}
    return {
        "data": {"samples_per_gpu": 2, "workers_per_gpu": 0, "train": dataset, "val": dataset},
        "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
        "optimizer_config": {"grad_clip": {"max_norm": 0.5}},
        "lr_config": {"policy": "step", "step": [2], "gamma": 0.5},
        "runner": {"type": "EpochBasedRunner", "max_epochs": 3},
        "checkpoint_config": {"interval": 1},
        "evaluation": {"interval": 1, "metric": "bbox"},
        "log_config": {"interval": 2, "hooks": [{"type": "TextLoggerHook"}]},
        "load_from": None,
        "resume_from": None,
        "workflow": [("train", 1)],
        "device": "cpu",
        "work_dir": str(work_dir),
    }


@pytest.mark.parametrize("form", ["dict", "Config", "list"])
def test_old_config_trains_as_the_present_one(form: str, tmp_path: Path) -> None:
    cfg = old_config(tmp_path / "old")
    dataset: Any = Points()
    if form == "list":
        dataset = [Points(4), Points(4)]
    trained = train_detector(
        Model(), dataset, Config(cfg) if form == "Config" else cfg, validate=False, meta={"seed": 7}
    )
    assert cfg["data"]["samples_per_gpu"] == 2  # the caller's config is not changed
    present = Runner(
        Model(),
        work_dir=str(tmp_path / "new"),
        train_dataloader={
            "dataset": Points() if form != "list" else torch.utils.data.ConcatDataset(dataset),
            "batch_size": 2,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
        },
        train_cfg={"by_epoch": True, "max_epochs": 3},
        optim_wrapper={
            "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
            "clip_grad": {"max_norm": 0.5},
        },
        param_scheduler={"type": "MultiStepLR", "milestones": [2], "gamma": 0.5},
        randomness={"seed": 7},
        env_cfg={"device": "cpu"},
        log_level="WARNING",
    ).train()
    for one, other in zip(trained.parameters(), present.parameters(), strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / "old" / "epoch_3.pth").exists()


def test_a_config_without_data(tmp_path: Path) -> None:
    cfg = old_config(tmp_path)
    del cfg["data"]
    with pytest.raises(ConfigError, match=re.escape("neither data.train nor train_dataloader")):
        train_detector(Model(), Points(), cfg)
    with pytest.raises(ConfigError, match="empty"):
        train_detector(Model(), [], old_config(tmp_path))
