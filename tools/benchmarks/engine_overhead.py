"""What the engine costs an iteration: the same model and data in a bare loop and under the Runner.

Both run in one process, in alternating chunks of iterations, on batches from equal DataLoaders (no workers)
over batches that are ready in memory. The bare loop does forward, backward, `optimizer.step` and `zero_grad`,
and nothing else, on the same model. The Runner has all its default hooks, with a log point every `--interval`
iterations as in `configs/_base_/default_runtime.py`. The figures are differences of the medians over the
chunks: by the wall clock, and by the time that the thread was computing, which other programs on the machine
disturb less.

    python tools/benchmarks/engine_overhead.py [--iters 20000] [--interval 50] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import io
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from toolkit.model import BaseModel
from toolkit.runner import Runner

BUDGET = 20.0  # µs
Times = tuple[float, float]


class ReadyBatches(Dataset):
    """Batches that were collated beforehand; calls `turn` before each `chunk` of them."""

    def __init__(self, batches: int, chunk: int, turn: Callable[[], None] = lambda: None) -> None:
        self.batches, self.chunk, self.turn = batches, chunk, turn
        self.points = torch.rand(64, 8, 4)
        self.labels = (self.points.sum(2) > 2).long()

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index % self.chunk == 0:
            self.turn()
        return self.points[index % 64], self.labels[index % 64]


class Tiny(BaseModel):
    """Two layers: so little to compute that the engine shows."""

    def __init__(self) -> None:
        super().__init__(data_preprocessor=Untouched())
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        logits = self.net(inputs)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits, data_samples)}
        return logits


class Untouched(nn.Module):
    """Gives the batch on: the bare loop moves none either."""

    def forward(self, data: Any, training: bool = False) -> Any:
        return data


def loader(batches: ReadyBatches) -> DataLoader[Any]:
    """Without automatic batching: a sample is a batch."""
    return DataLoader(batches, batch_size=None, shuffle=False, num_workers=0)


def clock() -> Times:
    """Seconds by the wall clock, and computed by this thread."""
    return time.perf_counter(), time.thread_time()


def since(start: Times, count: int) -> Times:
    """µs an iteration by both clocks."""
    now = clock()
    return (now[0] - start[0]) / count * 1e6, (now[1] - start[1]) / count * 1e6


def bare_loop(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterator[Any], count: int) -> None:
    """The loop that anyone would write."""
    for _ in range(count):
        points, labels = next(batches)
        loss = model(points, labels, mode="loss")["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


class Turns:
    """Times chunks of the Runner's iterations, and runs a chunk of the bare loop after each.

    Both loops ask their dataset for batches, and the dataset ends a chunk: the same work for both.
    """

    def __init__(self, chunk: int, total: int) -> None:
        torch.manual_seed(0)
        self.model = Tiny()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.batches = iter(loader(ReadyBatches(2 * total, chunk)))
        self.chunk = chunk
        self.bare: list[Times] = []
        self.engine: list[Times] = []
        self.started: Times | None = None

    def take(self) -> None:
        """Ends a chunk of the Runner's, where one was begun."""
        if self.started is not None:
            self.engine.append(since(self.started, self.chunk))
            start = clock()
            bare_loop(self.model, self.optimizer, self.batches, self.chunk)
            self.bare.append(since(start, self.chunk))
        self.started = clock()


def run(iters: int, chunk: int, interval: int) -> Turns:
    """Train for `iters` iterations under the Runner, with the bare loop in between."""
    turns = Turns(chunk, iters)
    with tempfile.TemporaryDirectory() as work_dir, redirect_stdout(io.StringIO()):
        torch.manual_seed(0)
        runner = Runner(
            model=Tiny(),
            work_dir=work_dir,
            train_dataloader=loader(ReadyBatches(iters, chunk, turns.take)),
            train_cfg={"by_epoch": True, "max_epochs": 1},
            optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
            param_scheduler={"type": "LinearLR", "start_factor": 0.1, "end": 500, "by_epoch": False},
            default_hooks={"logger": {"interval": interval}},
            env_cfg={"num_threads": 1},
            randomness={"seed": 0},
        )
        runner.train()
    return turns


def report(timing: Turns) -> None:
    """Print the medians by both clocks; the first tenth of the chunks is warming up."""
    warm = len(timing.bare) // 10
    for place, name in enumerate(("wall clock", "computing")):
        bare = [chunk[place] for chunk in timing.bare[warm:]]
        engine = [chunk[place] for chunk in timing.engine[warm:]]
        low, _, high = statistics.quantiles([e - b for e, b in zip(engine, bare, strict=True)], n=4)
        extra = statistics.median(engine) - statistics.median(bare)
        print(
            f"{name}: bare {statistics.median(bare):6.1f}, Runner {statistics.median(engine):6.1f}, "
            f"overhead {extra:5.1f} µs an iteration (quartiles {low:.1f} to {high:.1f}; budget {BUDGET:.0f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iters", type=int, default=20_000, help="iterations of each loop")
    parser.add_argument(
        "--chunk", type=int, default=200, help="iterations before the other loop takes its turn"
    )
    parser.add_argument("--interval", type=int, default=50, help="iterations from one log point to the next")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    options = parser.parse_args()
    gc.collect()
    if options.profile:
        with cProfile.Profile() as profile:
            run(options.iters, options.chunk, options.interval)
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    report(run(options.iters, options.chunk, options.interval))


if __name__ == "__main__":
    main()
