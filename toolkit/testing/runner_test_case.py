"""`RunnerTestCase`: unit tests that need a run, with a small model, its data and a folder that goes."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
import time
import uuid
from typing import Any, ClassVar
from unittest import TestCase

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from toolkit.config import Config
from toolkit.dist import is_distributed
from toolkit.evaluator import BaseMetric
from toolkit.model import BaseModel
from toolkit.registry import DATASETS, METRICS, MODELS, Registry
from toolkit.runner import Runner, build_runner


class ToyModel(BaseModel):
    """Two linear layers that fit labels (B, 1) to inputs (B, 2)."""

    def __init__(self, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.linear1 = nn.Linear(2, 2)
        self.linear2 = nn.Linear(2, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """By the protocol of `BaseModel`."""
        if isinstance(inputs, (list, tuple)):
            inputs, data_samples = torch.stack(list(inputs)), torch.stack(list(data_samples))
        outputs = self.linear2(self.linear1(inputs))
        if mode == "loss":
            return dict(loss=(data_samples - outputs).abs().sum())
        return outputs


class ToyDataset(Dataset):
    """Twelve points (2,) with the label 1."""

    METAINFO: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.data = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        self.label = torch.ones(12, 1)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Nothing is known of it."""
        return self.METAINFO

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return dict(inputs=self.data[index], data_samples=self.label[index])


class ToyMetric(BaseMetric):
    """Finds everything right: ``acc`` is 1."""

    def __init__(self, collect_device: str = "cpu", dummy_metrics: dict[str, float] | None = None) -> None:
        super().__init__(collect_device=collect_device)
        self.dummy_metrics = dummy_metrics

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Count the batch."""
        self.results.append(1)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """`dummy_metrics`, or ``acc``."""
        return dict(acc=1.0) if self.dummy_metrics is None else dict(self.dummy_metrics)


_PARTS: tuple[tuple[Registry, type], ...] = ((MODELS, ToyModel), (DATASETS, ToyDataset), (METRICS, ToyMetric))


def _loader(sampler: str, shuffle: bool) -> dict[str, Any]:
    return dict(
        dataset=dict(type="ToyDataset"),
        sampler=dict(type=sampler, shuffle=shuffle),
        batch_size=3,
        num_workers=0,
    )


class RunnerTestCase(TestCase):
    """Base of tests that build runners.

    `setUp` registers ``ToyModel``, ``ToyDataset`` and ``ToyMetric`` and makes the configs of two small runs;
    `tearDown` takes them back, leaves the process group that a test may have joined, and removes the folder.

    Attributes:
        epoch_based_cfg: Two epochs of four iterations, with validation.
        iter_based_cfg: Twelve iterations, with validation.
        temp_dir: The folder; its `name` is the work dir.
    """

    dist_cfg: ClassVar[dict[str, Any]] = dict(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=29600, RANK="0", WORLD_SIZE="1", LOCAL_RANK="0"
    )

    def setUp(self) -> None:
        """Make the parts of a run."""
        self.temp_dir = tempfile.TemporaryDirectory()
        self._before = {part.__name__: registry.module_dict.get(part.__name__) for registry, part in _PARTS}
        for registry, part in _PARTS:
            registry.register_module(module=part, force=True)
        self._environment = dict(os.environ)
        evaluation = dict(
            val_dataloader=_loader("DefaultSampler", False),
            val_evaluator=[dict(type="ToyMetric")],
            val_cfg=dict(),
            test_dataloader=_loader("DefaultSampler", False),
            test_evaluator=[dict(type="ToyMetric")],
            test_cfg=dict(),
        )
        common = dict(
            work_dir=self.temp_dir.name,
            model=dict(type="ToyModel"),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
            default_hooks=dict(logger=dict(type="LoggerHook", interval=1)),
            custom_hooks=[],
            experiment_name="test1",
            **evaluation,
        )
        self.epoch_based_cfg = Config(
            dict(
                **common,
                train_dataloader=_loader("DefaultSampler", True),
                train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
            )
        )
        self.iter_based_cfg = Config(
            dict(
                **common,
                train_dataloader=_loader("InfiniteSampler", True),
                train_cfg=dict(by_epoch=False, max_iters=12),
                log_processor=dict(by_epoch=False),
            )
        )
        self.iter_based_cfg.default_hooks.checkpoint = dict(
            type="CheckpointHook", interval=12, by_epoch=False
        )

    def tearDown(self) -> None:
        """Take everything back."""
        for registry, part in _PARTS:
            before = self._before[part.__name__]
            if before is None:
                registry.module_dict.pop(part.__name__, None)
            else:
                registry.register_module(module=before, name=part.__name__, force=True)
        if is_distributed():
            torch.distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(self._environment)
        self.temp_dir.cleanup()

    def build_runner(self, cfg: Config) -> Runner:
        """The runner of a config, with an experiment name of its own."""
        cfg = copy.deepcopy(cfg)
        cfg.experiment_name = self.experiment_name
        return build_runner(cfg)

    def clear_work_dir(self) -> None:
        """Empty the work dir."""
        for entry in os.scandir(self.temp_dir.name):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.remove(entry.path)

    @property
    def experiment_name(self) -> str:
        """A new name at every look."""
        return f"{self._testMethodName}_{time.time()} + {uuid.uuid4()}"

    def setup_dist_env(self) -> None:
        """Set what a launcher sets for one process, with another port every time."""
        self.dist_cfg["MASTER_PORT"] += 1
        os.environ.update({name: str(value) for name, value in self.dist_cfg.items()})
