"""`DeepSpeedStrategy` over the real package, in two processes on the CPU, where it is installed."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import Dataset

from toolkit.evaluator import BaseMetric
from toolkit.hooks import Hook
from toolkit.model import BaseModel
from toolkit.optim import OptimWrapper
from toolkit.registry import OPTIMIZERS
from toolkit.runner import FlexibleRunner, Runner, load_checkpoint
from toolkit.runner.strategy import DeepSpeedOptimWrapper, DeepSpeedStrategy
from toolkit.testing import run_processes
from toolkit.utils import BuildError, ConfigError, TrainingError

WORLD = 2
installed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed"
)


class Points(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.tensor([index / 8, 1 - index / 4]), torch.tensor(index / 10)


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 1))
        self.frozen = nn.Linear(1, 1).requires_grad_(False)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        out = self.frozen(self.net(inputs)).float()[:, 0]
        return {"loss": (out - data_samples).square().mean()} if mode == "loss" else list(out)


class Count(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [float(out) for out in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"count": float(len(results)), "sum": sum(results)}


class Kill(Hook):
    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == 3:
            raise KeyboardInterrupt


def arguments(folder: str, processes: int) -> dict[str, Any]:
    loader = {"dataset": Points(), "batch_size": 4 // processes, "collate_fn": {"type": "default_collate"}}
    return {
        "work_dir": folder,
        "train_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "train_cfg": {"by_epoch": True, "max_epochs": 3},
        "val_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}},
        "val_cfg": {},
        "val_evaluator": Count(),
        "param_scheduler": {"type": "ExponentialLR", "gamma": 0.9},
        "default_hooks": {"checkpoint": {"interval": 1, "by_epoch": False, "max_keep_ckpts": 2}},
        "randomness": {"seed": 1},
        "env_cfg": {"dist_cfg": {"backend": "gloo"}, "device": "cpu"},
        "log_level": "ERROR",
    }


ADAM = {"type": "AdamW", "lr": 0.02, "weight_decay": 0.1}


def make(folder: str, stage: int, **changes: Any) -> FlexibleRunner:
    strategy = {
        "type": "DeepSpeedStrategy",
        "zero_optimization": {"stage": stage},
        "gradient_clipping": 0.5,
        **changes.pop("strategy", {}),
    }
    wrapper = {
        "type": "DeepSpeedOptimWrapper",
        "optimizer": ADAM,
        "paramwise_cfg": {"norm_decay_mult": 0.0},
    }
    return FlexibleRunner(
        Net(), strategy=strategy, **{**arguments(folder, WORLD), "optim_wrapper": wrapper, **changes}
    )


def whole_and_cut(folder: str, stage: int, **strategy: Any) -> dict[str, Any]:
    whole = make(f"{folder}/whole", stage, strategy=strategy)
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        make(f"{folder}/cut", stage, strategy=strategy, custom_hooks=[Kill()]).train()
    resumed = make(f"{folder}/cut", stage, strategy=strategy, resume=True)
    resumed.train()
    state = resumed.strategy.model_state(resumed.model)
    return {
        "whole": whole.strategy.model_state(whole.model),
        "resumed": state,
        "metrics": [whole.val(), resumed.val()],
        "norm": float(whole.optim_wrapper.log_vars.get("grad_norm", torch.nan)),
        "type": str(next(resumed.model.parameters()).dtype),
    }


def _process(folder: str) -> dict[str, Any]:
    os.environ["DS_ACCELERATOR"] = "cpu"
    found: dict[str, Any] = {str(stage): whole_and_cut(f"{folder}/{stage}", stage) for stage in (0, 1, 2, 3)}
    half = {"bf16": {"enabled": True}, "inputs_to_half": [0]}
    found["half"] = whole_and_cut(f"{folder}/half", 2, **half)
    evaluated = make(
        f"{folder}/eval",
        3,
        load_from=f"{folder}/3/whole/iter_6.pth",
        **dict.fromkeys(("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler")),
    )
    found["evaluated"] = evaluated.val()
    with pytest.raises(ConfigError, match="needs optim_wrapper=dict"):
        make(f"{folder}/wrong", 1, optim_wrapper={"optimizer": ADAM}).train()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deepspeed")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    return run_processes(_process, folder)


@pytest.fixture(scope="module")
def one(folder: Path) -> Runner:
    """The run of one process without DeepSpeed, with twice the batch."""
    wrapper = {"optimizer": ADAM, "paramwise_cfg": {"norm_decay_mult": 0.0}, "clip_grad": {"max_norm": 0.5}}
    runner = Runner(Net(), **arguments(str(folder / "one"), 1), optim_wrapper=wrapper)
    runner.train()
    return runner


@installed
@pytest.mark.parametrize("stage", ["0", "1", "2", "3"])
def test_trains_as_one_process_and_resumes(two: list[dict[str, Any]], one: Runner, stage: str) -> None:
    found = two[0][stage]
    assert_close(found["whole"], one.model.state_dict(), rtol=0, atol=1e-6)
    assert_close(found["resumed"], found["whole"], rtol=0, atol=0)
    assert found["metrics"][0] == found["metrics"][1]
    assert found["metrics"][0] == pytest.approx(one.val(), abs=1e-5)
    if stage != "0":
        assert found["norm"] == pytest.approx(
            one.message_hub.get_scalar("train/grad_norm").current(), rel=1e-4
        )


@installed
def test_trains_in_half_precision(two: list[dict[str, Any]], one: Runner) -> None:
    found = two[0]["half"]
    assert found["type"] == "torch.bfloat16"
    assert_close(found["resumed"], found["whole"], rtol=0, atol=0)
    assert_close(found["whole"], one.model.state_dict(), rtol=0, atol=0.05)
    assert found["whole"]["net.0.weight"].dtype == torch.float32


@installed
@pytest.mark.parametrize("stage", ["1", "3"])
def test_a_checkpoint_is_whole(two: list[dict[str, Any]], folder: Path, stage: str) -> None:
    model = Net()
    load_checkpoint(model, folder / stage / "whole" / "iter_6.pth", strict=True)
    assert_close(model.state_dict(), two[0][stage]["whole"], rtol=0, atol=0)
    kept = sorted(path.name for path in (folder / stage / "whole").glob("iter_*"))
    assert kept == [
        f"iter_{count}.pth{suffix}" for count in (5, 6) for suffix in ("", ".deepspeed", ".sha256")
    ]


@installed
def test_evaluates_alone(two: list[dict[str, Any]]) -> None:
    assert two[0]["evaluated"] == pytest.approx(two[0]["3"]["metrics"][0], abs=1e-5)


@installed
def test_reading_its_files_runs_no_code(tmp_path: Path) -> None:
    from toolkit.runner.strategy.deepspeed import _load_without_code

    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"state": Harm()}, tmp_path / "x.pt")
    with pytest.raises(pickle.UnpicklingError):
        _load_without_code(str(tmp_path / "x.pt"))
    assert not (tmp_path / "harm").exists()


@installed
def test_a_config_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        DeepSpeedStrategy(config=str(tmp_path / "none.json"))


@installed
@pytest.mark.parametrize("name", ["DeepSpeedCPUAdam", "FusedAdam", "FusedLamb"])
def test_its_optimizers_have_names(name: str) -> None:
    assert issubclass(OPTIMIZERS.get(name), torch.optim.Optimizer)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    monkeypatch.setitem(sys.modules, "deepspeed.ops.adam", None)
    with pytest.raises(BuildError, match="FusedAdam is one of DeepSpeed's"):
        OPTIMIZERS.get("FusedAdam")
    with pytest.raises(ConfigError, match=r"pip install 'toolkit\[deepspeed\]'"):
        DeepSpeedStrategy(zero_optimization={"stage": 2})


def test_the_wrapper_needs_the_strategy() -> None:
    wrapper = DeepSpeedOptimWrapper(torch.optim.SGD(Net().parameters(), lr=0.1))
    assert not isinstance(wrapper, OptimWrapper)
    with pytest.raises(TrainingError, match="strategy=dict"):
        wrapper.update_params(torch.ones(()))
