"""`MMDistributedDataParallel` over gloo, on one process and on two."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from toolkit.model import BaseModel, MMDistributedDataParallel, is_model_wrapper
from toolkit.optim import OptimWrapper
from toolkit.registry import MODEL_WRAPPERS, Registry


class Toy(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(2, 1)
        self.unused = nn.Linear(1, 1)

    def forward(self, inputs: torch.Tensor, data_samples: object = None, mode: str = "tensor") -> object:
        output = self.net(inputs)
        return {"loss": output.square().mean()} if mode == "loss" else output


def join(rank: int, size: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    join(0, 1, str(tmp_path))
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_steps_equal_those_of_the_model(caplog: pytest.LogCaptureFixture) -> None:
    alone = Toy()
    wrapped = MODEL_WRAPPERS.build(
        {
            "type": "MMDistributedDataParallel",
            "module": Toy(),
            "find_unused_parameters": True,
            "detect_anomalous_params": True,
        }
    )
    assert isinstance(wrapped, MMDistributedDataParallel)
    assert is_model_wrapper(wrapped)
    batch = {"inputs": torch.ones(3, 2)}
    logged = []
    for model in (alone, wrapped):
        optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), clip_grad={"max_norm": 1.0})
        with caplog.at_level(logging.ERROR):
            logged.append(model.train_step(batch, optim_wrapper=optim_wrapper))
    assert logged[0] == logged[1]
    assert "unused.weight" in caplog.text
    assert torch.equal(alone.net.weight, wrapped.module.net.weight)
    assert torch.equal(alone.val_step(batch), wrapped.val_step(batch))
    assert torch.equal(alone.test_step(batch), wrapped.test_step(batch))


def _train(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    join(rank, 2, folder)
    model = MMDistributedDataParallel(Toy(), find_unused_parameters=True)
    optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2)
    optim_wrapper.initialize_count_status(model, 0, 4)
    generator = torch.Generator().manual_seed(rank)
    for _ in range(4):
        model.train_step({"inputs": torch.randn(5, 2, generator=generator)}, optim_wrapper)
    torch.save(model.module.net.state_dict(), os.path.join(folder, f"{rank}.pth"))
    dist.destroy_process_group()


def test_two_processes_accumulate_like_one_with_all_the_data(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(_train, (str(tmp_path),), nprocs=2, start_method="spawn")
    first, second = (torch.load(tmp_path / f"{rank}.pth", weights_only=True) for rank in range(2))
    assert torch.equal(first["weight"], second["weight"])
    model = Toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generators = [torch.Generator().manual_seed(rank) for rank in range(2)]
    for _ in range(2):
        data = torch.cat(
            [torch.randn(5, 2, generator=generator) for _ in range(2) for generator in generators]
        )
        optimizer.zero_grad()
        model(data, mode="loss")["loss"].backward()
        optimizer.step()
    assert torch.allclose(model.net.weight, first["weight"], atol=1e-6)


def test_what_a_wrapper_is() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(1, 1)

    assert not is_model_wrapper(Mine())
    assert not is_model_wrapper(nn.Linear(1, 1))
    assert is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)))
    MODEL_WRAPPERS.register_module(name="MineForTest", module=Mine, force=True)
    try:
        assert is_model_wrapper(Mine())
    finally:
        del MODEL_WRAPPERS.module_dict["MineForTest"]


def test_wrappers_of_a_registry_of_ones_own() -> None:
    mine = Registry("model_wrapper")

    @mine.register_module()
    class Mine(nn.Module):
        pass

    assert is_model_wrapper(Mine(), mine)
    assert not is_model_wrapper(Mine())
    assert not is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)), registry=mine)
    assert is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)))
