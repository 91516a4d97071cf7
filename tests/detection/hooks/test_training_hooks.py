"""Hooks that change the training on its way, on real dataloaders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.dataset import BaseDataset, Compose, ConcatDataset
from toolkit.dataset.loader import build_dataloader
from toolkit.dataset.multi_image_mix import MultiImageMixDataset
from toolkit.detection.hooks import (
    NumClassCheckHook,
    PipelineSwitchHook,
    SetEpochInfoHook,
    SyncNormHook,
    YOLOXModeSwitchHook,
)
from toolkit.utils import ConfigError


class Numbers(BaseDataset):
    """Four samples, their own numbers."""

    METAINFO = {"classes": ("a", "b")}

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"number": index} for index in range(4)]


def double(results: dict[str, Any]) -> dict[str, Any]:
    return {**results, "number": results["number"] * 2}


class Mosaic:
    """Adds a hundred; named as what the hook leaves out."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        return {**results, "number": results["number"] + 100}


def numbers(loader: Any) -> list[int]:
    return [sample["number"] for batch in loader for sample in batch]


def loader_of(dataset: Any, workers: int = 0) -> Any:
    return build_dataloader(
        {
            "dataset": dataset,
            "batch_size": 2,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "collate_fn": list,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
        },
        seed=0,
    )


def runner(loader: Any, epoch: int, model: Any = None) -> Any:
    return SimpleNamespace(train_dataloader=loader, epoch=epoch, max_epochs=10, model=model or nn.Identity())


@pytest.mark.parametrize("workers", [0, 1])
def test_the_pipeline_is_switched_once_and_reaches_workers(workers: int) -> None:
    loader = loader_of(Numbers(pipeline=[]), workers)
    hook = PipelineSwitchHook(3, [double])
    hook.before_train_epoch(runner(loader, 2))
    assert numbers(loader) == [0, 1, 2, 3]
    hook.before_train_epoch(runner(loader, 3))
    assert numbers(loader) == [0, 2, 4, 6]
    loader.dataset.pipeline = Compose([])
    hook.before_train_epoch(runner(loader, 4))
    assert isinstance(loader.dataset.pipeline, Compose)
    assert len(loader.dataset.pipeline) == 0


def test_a_resumed_run_switches_at_once() -> None:
    loader = loader_of(Numbers(pipeline=[]))
    PipelineSwitchHook(3, [double]).before_train_epoch(runner(loader, 7))
    assert numbers(loader) == [0, 2, 4, 6]


def test_the_datasets_inside_of_a_wrapper_are_switched() -> None:
    loader = loader_of(ConcatDataset([Numbers(pipeline=[]), Numbers(pipeline=[])]))
    PipelineSwitchHook(0, [double]).before_train_epoch(runner(loader, 0))
    assert numbers(loader) == [0, 2, 4, 6] * 2
    with pytest.raises(ConfigError, match="no pipeline"):
        PipelineSwitchHook(0, [double]).before_train_epoch(runner(SimpleNamespace(dataset=[1]), 0))


def test_yolox_leaves_out_mixing_and_adds_a_loss() -> None:
    loader = loader_of(MultiImageMixDataset(Numbers(pipeline=[]), [Mosaic(), double]))
    model = nn.Module()
    model.bbox_head = nn.Module()
    model.bbox_head.use_l1 = False
    hook = YOLOXModeSwitchHook(num_last_epochs=3)
    hook.before_train_epoch(runner(loader, 5, model))
    assert numbers(loader) == [200, 202, 204, 206]
    assert not model.bbox_head.use_l1
    hook.before_train_epoch(runner(loader, 6, model))
    assert numbers(loader) == [0, 2, 4, 6]
    assert model.bbox_head.use_l1


def test_yolox_needs_a_dataset_that_mixes() -> None:
    with pytest.raises(ConfigError, match="MultiImageMixDataset"):
        YOLOXModeSwitchHook().before_train_epoch(runner(loader_of(Numbers(pipeline=[])), 9))


def test_a_model_is_told_its_epoch() -> None:
    model = nn.Module()
    told: list[int] = []
    model.set_epoch = told.append
    SetEpochInfoHook().before_train_epoch(runner(None, 4, model))
    assert told == [4]


def test_norms_of_one_process_stay() -> None:
    model = nn.BatchNorm2d(2)
    model(torch.randn(2, 2, 3, 3))
    before = model.running_mean.clone()
    SyncNormHook().before_val_epoch(runner(None, 0, model))
    torch.testing.assert_close(model.running_mean, before)


def test_heads_must_have_the_classes_of_the_data() -> None:
    model = nn.Module()
    model.rpn_head, model.bbox_head = nn.Module(), nn.Module()
    model.rpn_head.num_classes, model.bbox_head.num_classes = 1, 2
    loader = loader_of(Numbers(pipeline=[]))
    NumClassCheckHook().before_train_epoch(runner(loader, 0, model))
    model.bbox_head.num_classes = 3
    with pytest.raises(ConfigError, match="bbox_head has num_classes=3, the data have 2 classes: a, b"):
        NumClassCheckHook().before_train_epoch(runner(loader, 0, model))
