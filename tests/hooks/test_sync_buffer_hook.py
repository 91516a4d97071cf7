from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.multiprocessing as mp
from torch import nn

from toolkit.hooks import SyncBuffersHook


def _run(rank: int, store: str, path: list[str]) -> None:
    sys.path[:] = path
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    model = nn.BatchNorm1d(2)
    model.running_mean.fill_(rank + 1.0)
    model.num_batches_tracked.fill_(7)
    runner = SimpleNamespace(model=model)
    hook = SyncBuffersHook()
    hook.before_train_epoch(runner)
    hook.after_train_epoch(runner)
    assert model.running_mean.tolist() == [1.5, 1.5]
    assert int(model.num_batches_tracked) == 7
    model.running_mean.fill_(float(rank))
    hook.before_val_epoch(runner)  # just averaged: not again
    assert model.running_mean.tolist() == [float(rank)] * 2
    hook.before_val_epoch(runner)  # within an epoch
    assert model.running_mean.tolist() == [0.5, 0.5]


def test_buffers_are_averaged_over_two_processes(tmp_path: Path) -> None:
    mp.start_processes(_run, args=(str(tmp_path / "store"), sys.path), nprocs=2, start_method="fork")


def test_one_process_is_left_alone() -> None:
    model = nn.BatchNorm1d(2)
    SyncBuffersHook().after_train_epoch(SimpleNamespace(model=model))
    assert model.running_mean.tolist() == [0, 0]
