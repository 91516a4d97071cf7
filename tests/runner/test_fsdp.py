"""Two processes that share a model train it as one process does, and their checkpoints are those of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import Dataset

from toolkit.dist import get_rank, is_sharded, whole
from toolkit.evaluator import BaseMetric
from toolkit.hooks import EMAHook, Hook
from toolkit.model import BaseModel, MMFullyShardedDataParallel
from toolkit.runner import Runner, get_state_dict, load_checkpoint
from toolkit.testing import run_processes
from toolkit.utils import ConfigError

WORLD = 2
SGD = {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
ADAM = {"type": "AdamW", "lr": 0.02, "weight_decay": 0.1}
CLIP = {"max_norm": 1.0}
ACCUMULATING = {"optim_wrapper": {"optimizer": ADAM, "accumulative_counts": 4, "clip_grad": CLIP}}
BY_VALUE = {"optim_wrapper": {"optimizer": SGD, "clip_grad": {"type": "value", "clip_value": 0.05}}}
# The block and the rest of the model are a unit each.
WRAPPER = {
    "type": "MMFullyShardedDataParallel",
    "auto_wrap_policy": {"type": "transformer_auto_wrap_policy", "transformer_layer_cls": ["Block"]},
}


class Points(Dataset):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = torch.tensor([index / 16, 1 - index / 8])
        return x, (3 * x).sin().sum()


class Block(nn.Sequential):
    pass


class Net(BaseModel):
    """With a parameter of no dimension, as the heads of FCOS have, and weights that `init_weights` draws."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.block = Block(nn.Linear(2, 15), nn.LayerNorm(15), nn.GELU(), nn.Dropout(dropout))
        self.fc = nn.Linear(15, 1)
        self.scale = nn.Parameter(torch.tensor(1.3))
        self.register_buffer("calls", torch.tensor(0))

    def init_weights(self) -> None:
        for layer in (self.block[0], self.fc):
            nn.init.normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        out = self.fc(self.block(inputs))[:, 0] * self.scale
        if mode == "loss":
            self.calls += 1
            return {"loss": (out - data_samples).square().mean()}
        return list(out)


class MeanOutput(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [float(out) for out in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"mean": sum(results) / len(results), "count": float(len(results))}


class Kill(Hook):
    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == 7:
            raise KeyboardInterrupt


def make(folder: str, processes: int, wrapper: Any = WRAPPER, dropout: float = 0.0, **changes: Any) -> Runner:
    loader = {"dataset": Points(), "batch_size": 4 // processes, "collate_fn": {"type": "default_collate"}}
    arguments: dict[str, Any] = {
        "model": Net(dropout),
        "work_dir": folder,
        "train_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "train_cfg": {"by_epoch": True, "max_epochs": 4},
        "val_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}},
        "val_cfg": {},
        "val_evaluator": MeanOutput(),
        "optim_wrapper": {
            "optimizer": SGD,
            "paramwise_cfg": {"norm_decay_mult": 0.0},
            "clip_grad": CLIP,
        },
        "param_scheduler": {"type": "MultiStepLR", "milestones": [2]},
        "default_hooks": {"checkpoint": {"interval": 7, "by_epoch": False}},
        "randomness": {"seed": 1},
        "launcher": "none" if processes == 1 else "pytorch",
        "env_cfg": {"dist_cfg": {"backend": "gloo"}, "device": "cpu"},
        "log_level": "ERROR",
        "cfg": {} if processes == 1 else {"model_wrapper_cfg": wrapper},
    }
    return Runner(**{**arguments, **changes})


def fit(folder: str, processes: int, **changes: Any) -> Runner:
    runner = make(folder, processes, **changes)
    runner.train()
    return runner


def cut(folder: str, **changes: Any) -> dict[str, Tensor]:
    """The weights of a run that was killed and resumed."""
    with pytest.raises(KeyboardInterrupt):
        fit(folder, WORLD, custom_hooks=[Kill()], **changes)
    return get_state_dict(fit(folder, WORLD, resume=True, **changes).model)


def _overflow(runner: Runner) -> tuple[float, float]:
    """The scale, and how far weights move, after a gradient overflowed on one process alone."""
    wrapper = runner.optim_wrapper
    scaler, optimizer = wrapper.loss_scaler, wrapper.optimizer
    before = whole(runner.model.module.fc.bias).clone()
    runner.model(torch.ones(2, 2), torch.ones(2), mode="loss")["loss"].backward()
    weight = runner.model.module.block[0].weight
    if get_rank() == 1:
        weight.grad.to_local().fill_(torch.inf)
    scaler.step(optimizer)
    scaler.update()
    return scaler.get_scale(), float((whole(runner.model.module.fc.bias) - before).abs().max())


def _process(folder: str) -> dict[str, Any]:
    sgd = fit(f"{folder}/sgd", WORLD)
    model = sgd.model
    found: dict[str, Any] = {
        "metrics": sgd.val(),
        "norm": sgd.message_hub.get_scalar("train/grad_norm").current(),
        "kind": (type(model).__name__, sgd.model_name, len(model.units)),
        "held": sum(p.to_local().numel() if is_sharded(p) else 1 for p in model.parameters()),
        "sgd": get_state_dict(model),
    }
    fit(f"{folder}/adam", WORLD, optim_wrapper={"optimizer": ADAM})
    environment = {"dist_cfg": {"backend": "gloo"}, "device": "cpu", "channels_last": True}
    fit(f"{folder}/value", WORLD, **BY_VALUE, env_cfg=environment)
    for name in ("SHARD_GRAD_OP", "NO_SHARD"):
        fit(f"{folder}/{name}", WORLD, wrapper={**WRAPPER, "sharding_strategy": name})
    noise = {"dropout": 0.4, "randomness": {"seed": 1, "diff_rank_seed": True}}
    found["whole"] = get_state_dict(fit(f"{folder}/whole", WORLD, **noise).model)
    found["resumed"] = cut(f"{folder}/cut", **noise)
    found["accumulated"] = get_state_dict(fit(f"{folder}/accumulated", WORLD, **ACCUMULATING).model)
    found["accumulated and resumed"] = cut(f"{folder}/accumulated_cut", **ACCUMULATING)
    # What one process has made goes on in two.
    found["taken over"] = get_state_dict(fit(f"{folder}/one", WORLD, resume=True).model)
    half = {**WRAPPER, "mixed_precision": {"param_dtype": "bfloat16", "reduce_dtype": "float32"}}
    found["half"] = get_state_dict(fit(f"{folder}/half", WORLD, wrapper=half).model)
    amp = {"type": "AmpOptimWrapper", "dtype": "float16", "use_fsdp": True, "loss_scale": 16.0}
    amp = {**amp, "optimizer": SGD, "paramwise_cfg": {"norm_decay_mult": 0.0}, "clip_grad": CLIP}
    scaled = fit(f"{folder}/amp", WORLD, optim_wrapper=amp)
    found["amp"] = get_state_dict(scaled.model)
    found["overflow"] = _overflow(scaled)
    with pytest.raises(ConfigError, match="average of a sharded model"):
        fit(f"{folder}/ema", WORLD, custom_hooks=[EMAHook()])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fsdp")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    with pytest.raises(KeyboardInterrupt):
        fit(str(folder / "one"), 1, custom_hooks=[Kill()])
    return run_processes(_process, folder)


@pytest.fixture(scope="module")
def one(folder: Path) -> Runner:
    """The run of one process, with twice the batch."""
    return fit(str(folder / "sgd_of_one"), 1)


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / name / "iter_16.pth", weights_only=True)


def test_trains_as_one_process_with_twice_the_batch(two: list[dict[str, Any]], one: Runner) -> None:
    for rank in two:
        assert_close(rank["sgd"], one.model.state_dict(), rtol=0, atol=1e-6)
        assert rank["metrics"] == pytest.approx(one.val(), abs=1e-6)
    torch.manual_seed(1)
    start = Net()
    start.init_weights()
    assert (one.model.fc.weight - start.fc.weight).abs().max() > 0.1


def test_each_process_holds_a_part(two: list[dict[str, Any]]) -> None:
    numbers = sum(param.numel() for param in Net().parameters())
    held = [rank["held"] for rank in two]
    assert sum(held) == numbers + 1  # both have the one of no dimension
    assert max(held) < 0.65 * numbers  # they are cut along the first dimension
    assert two[0]["kind"] == ("MMFullyShardedDataParallel", "Net", 2)


def test_clips_by_the_norm_of_the_whole_gradient(two: list[dict[str, Any]], one: Runner) -> None:
    wanted = one.message_hub.get_scalar("train/grad_norm").current()
    assert [rank["norm"] for rank in two] == pytest.approx([wanted] * WORLD, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam", "value", "SHARD_GRAD_OP", "NO_SHARD"])
def test_a_checkpoint_is_that_of_one_process(two: list[dict[str, Any]], folder: Path, name: str) -> None:
    changes = {"adam": {"optim_wrapper": {"optimizer": ADAM}}, "value": BY_VALUE}
    fit(str(folder / f"{name}_alone"), 1, **changes.get(name, {}))
    wanted, found = checkpoint(folder, f"{name}_alone"), checkpoint(folder, name)
    assert set(found) == set(wanted)
    assert list(found["state_dict"]) == list(wanted["state_dict"])
    assert_close(found["state_dict"], wanted["state_dict"], rtol=0, atol=1e-6)
    assert found["state_dict"]._metadata == wanted["state_dict"]._metadata
    assert found["optimizer"]["param_groups"] == wanted["optimizer"]["param_groups"]
    assert set(found["optimizer"]["state"]) == set(wanted["optimizer"]["state"])
    for number, state in wanted["optimizer"]["state"].items():
        assert_close(found["optimizer"]["state"][number], state, rtol=0, atol=1e-6)


def test_a_checkpoint_loads_into_a_plain_model(two: list[dict[str, Any]], folder: Path) -> None:
    model = Net()
    load_checkpoint(model, folder / "sgd" / "iter_16.pth", strict=True)
    assert_close(model.state_dict(), two[0]["sgd"], rtol=0, atol=0)


def test_one_process_goes_on_with_a_checkpoint_of_two(
    two: list[dict[str, Any]], folder: Path, one: Runner
) -> None:
    alone = fit(str(folder / "handed_over"), 1, resume=True, load_from=str(folder / "sgd" / "iter_7.pth"))
    assert_close(alone.model.state_dict(), one.model.state_dict(), rtol=0, atol=1e-6)


def test_two_go_on_with_a_checkpoint_of_one(two: list[dict[str, Any]], one: Runner) -> None:
    assert_close(two[0]["taken over"], one.model.state_dict(), rtol=0, atol=1e-6)


def test_a_killed_run_resumes_exactly(two: list[dict[str, Any]]) -> None:
    for rank in two:
        assert_close(rank["resumed"], rank["whole"], rtol=0, atol=0)
        assert_close(rank["whole"], two[0]["whole"], rtol=0, atol=0)


def test_so_does_one_killed_within_an_accumulation(two: list[dict[str, Any]], folder: Path) -> None:
    alone = fit(str(folder / "accumulated_alone"), 1, **ACCUMULATING)
    for rank in two:
        assert_close(rank["accumulated and resumed"], rank["accumulated"], rtol=0, atol=0)
        assert_close(rank["accumulated"], alone.model.state_dict(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["half", "amp"])
def test_computes_in_half_precision(two: list[dict[str, Any]], one: Runner, name: str) -> None:
    weight = two[0][name]["fc.weight"]
    difference = (weight - one.model.fc.weight).abs().max()
    assert weight.dtype == torch.float32
    assert 1e-6 < difference < 0.3


def test_all_skip_a_step_that_overflows_on_one(two: list[dict[str, Any]]) -> None:
    assert [rank["overflow"] for rank in two] == [(8.0, 0.0)] * WORLD


def test_whole_leaves_plain_tensors_alone() -> None:
    tensor = torch.ones(2)
    assert whole(tensor) is tensor
    assert not is_sharded(tensor)


def test_needs_several_processes() -> None:
    with pytest.raises(ValueError, match="start it with a launcher"):
        MMFullyShardedDataParallel(Net())
