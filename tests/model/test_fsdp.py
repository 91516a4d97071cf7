"""The arguments of `MMFullyShardedDataParallel`, in one process over gloo; `runner/test_fsdp.py` has two."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecision
from torch.distributed.fsdp.wrap import size_based_auto_wrap_policy

from toolkit.dist import is_sharded, whole
from toolkit.model import BaseModel, MMFullyShardedDataParallel, is_model_wrapper
from toolkit.model.fsdp_options import named_function, precision_of, units_of
from toolkit.registry import FUNCTIONS, MODEL_WRAPPERS
from toolkit.utils import ConfigError

BY_CLASS = {"type": "transformer_auto_wrap_policy"}
BY_SIZE = {"type": "size_based_auto_wrap_policy"}


class Block(nn.Sequential):
    pass


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(Block(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)) for _ in range(2))
        self.head = nn.Linear(4, 2)
        self.register_buffer("mean", torch.ones(4))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        x = inputs + self.mean
        for block in self.blocks:
            x = block(x)
        out = self.head(x)
        return {"loss": out.square().mean()} if mode == "loss" else out


@pytest.fixture(autouse=True)
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def names(model: nn.Module, units: list[nn.Module]) -> list[str]:
    known = {module: name for name, module in model.named_modules()}
    return [known[unit] for unit in units]


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (None, []),
        ({**BY_CLASS, "transformer_layer_cls": [Block]}, ["blocks.0", "blocks.1"]),
        ({**BY_CLASS, "transformer_layer_cls": ["GELU", "Block"]}, ["blocks.0", "blocks.1"]),
        ({**BY_SIZE, "min_num_params": 76}, ["blocks.0", "blocks.1"]),
        ({**BY_SIZE, "min_num_params": 77}, []),
        # The second layer of a block is too small, and what is left of the block then is, too.
        ({**BY_SIZE, "min_num_params": 40}, ["blocks.0.0", "blocks.1.0"]),
        (
            "always_wrap_policy",
            ["blocks.0.0", "blocks.0.2", "blocks.1.0", "blocks.1.2", "head"],
        ),
        (partial(size_based_auto_wrap_policy, min_num_params=76), ["blocks.0", "blocks.1"]),
    ],
)  # fmt: skip
def test_policies(policy: Any, wanted: list[str]) -> None:
    model = Net()
    units = units_of(model, named_function("auto_wrap_policy", policy), set())
    assert names(model, units) == wanted
    wrapped = MMFullyShardedDataParallel(model, auto_wrap_policy=policy, forward_prefetch=True)
    assert names(model, wrapped.units) == [*wanted, ""]
    plain = Net()
    inputs = torch.rand(3, 4)
    assert torch.equal(wrapped(inputs), plain(inputs))
    wrapped(inputs, mode="loss")["loss"].backward()
    plain(inputs, mode="loss")["loss"].backward()
    for (name, param), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert is_sharded(param), name
        torch.testing.assert_close(whole(param.grad), other.grad)


def test_a_policy_is_refused_by_name() -> None:
    assert named_function("x", "always_wrap_policy") is FUNCTIONS.get("always_wrap_policy")
    with pytest.raises(ConfigError, match="did you mean 'size_based_auto_wrap_policy'"):
        MMFullyShardedDataParallel(Net(), auto_wrap_policy="size_based_auto_wrap_polic")
    with pytest.raises(ConfigError, match="auto_wrap_policy must be a function"):
        MMFullyShardedDataParallel(Net(), auto_wrap_policy=3)


def test_precision() -> None:
    found = precision_of(
        {"param_dtype": "bfloat16", "reduce_dtype": torch.float32, "buffer_dtype": "float16"}
    )
    assert found == ({"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32}, torch.float16)
    theirs = MixedPrecision(param_dtype=torch.float16, cast_forward_inputs=True)
    assert precision_of(theirs) == ({"param_dtype": torch.float16, "cast_forward_inputs": True}, None)
    assert precision_of(None) == ({}, None)
    with pytest.raises(ConfigError, match="did you mean 'param_dtype'"):
        precision_of({"param_dtyp": "float16"})
    with pytest.raises(ConfigError, match="must be a type such as 'bfloat16', got 'half_float'"):
        precision_of({"param_dtype": "half_float"})
    with pytest.raises(ConfigError, match="keep_low_precision_grads=True"):
        precision_of({"keep_low_precision_grads": True})
    model = MMFullyShardedDataParallel(
        Net(), mixed_precision={"param_dtype": "bfloat16", "buffer_dtype": "bfloat16"}
    )
    with torch.no_grad():
        assert model(torch.rand(1, 4)).dtype == torch.bfloat16
    assert model.module.mean.dtype == torch.bfloat16
    assert model.module.head.weight.dtype == torch.float32


@pytest.mark.parametrize(
    "name", ["FULL_SHARD", "SHARD_GRAD_OP", "NO_SHARD", "HYBRID_SHARD", "_HYBRID_SHARD_ZERO2"]
)
def test_strategies(name: str) -> None:
    model = MMFullyShardedDataParallel(Net(), sharding_strategy=name, backward_prefetch="BACKWARD_POST")
    model.train_step([torch.rand(2, 4)], Optim(model))
    assert model.module.head.weight.device_mesh.ndim == (1 if name in ("FULL_SHARD", "SHARD_GRAD_OP") else 2)


class Optim:
    """Only the gradients."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def optim_context(self, model: nn.Module) -> Any:
        assert model is self.model
        return torch.enable_grad()

    def update_params(self, loss: Tensor) -> None:
        loss.backward()


def test_what_is_ignored_stays_whole() -> None:
    model = MMFullyShardedDataParallel(
        Net(), ignored_modules=["blocks.0"], ignored_parameters=["head.bias"], cpu_offload=True
    )
    plain = {name for name, param in model.module.named_parameters() if not is_sharded(param)}
    assert plain == {
        "head.bias",
        *(f"blocks.0.{part}" for part in ("0.weight", "0.bias", "2.weight", "2.bias")),
    }
    assert [name for name, _ in model.module.named_parameters()] == [
        name for name, _ in Net().named_parameters()
    ]
    other = Net()
    states = MMFullyShardedDataParallel(other, ignored_states=[other.head, other.blocks[0][0].bias])
    plain = {name for name, param in states.module.named_parameters() if not is_sharded(param)}
    assert plain == {"head.weight", "head.bias", "blocks.0.0.bias"}
    with pytest.raises(ConfigError, match="the model has no 'hed'; did you mean 'head'"):
        MMFullyShardedDataParallel(Net(), ignored_modules=["hed"])


def test_groups() -> None:
    mesh = init_device_mesh("cpu", (1,))
    assert MMFullyShardedDataParallel(Net(), device_mesh=mesh).module.head.weight.device_mesh == mesh
    named = MMFullyShardedDataParallel(Net(), process_group={"ranks": [0]})
    given = MMFullyShardedDataParallel(Net(), process_group=dist.new_group([0]))
    for model in (named, given):
        assert model.module.head.weight.device_mesh.size() == 1
    with pytest.raises(ConfigError, match="not both"):
        MMFullyShardedDataParallel(Net(), process_group={"ranks": [0]}, device_mesh=mesh)
    with pytest.raises(ConfigError, match="takes no process_group"):
        MMFullyShardedDataParallel(Net(), process_group={"ranks": [0]}, sharding_strategy="HYBRID_SHARD")


def test_wrong_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'FULL_SHARD'"):
        MMFullyShardedDataParallel(Net(), sharding_strategy="FULL_SHAR")
    with pytest.raises(ConfigError, match="none of BACKWARD_PRE, BACKWARD_POST"):
        MMFullyShardedDataParallel(Net(), backward_prefetch="NEVER")


def test_weights_on_the_meta_device() -> None:
    def fill(module: nn.Module) -> None:
        module.to_empty(device="cpu", recurse=False)
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            tensor.data.fill_(2)

    with torch.device("meta"):
        model, other, third = Net(), Net().blocks[0], Net()
    filled = MMFullyShardedDataParallel(model, param_init_fn=fill, auto_wrap_policy="always_wrap_policy")
    assert all(torch.equal(value, torch.full_like(value, 2)) for value in map(whole, filled.parameters()))
    reset = MMFullyShardedDataParallel(other)
    assert (
        0 < whole(reset.module[0].weight).abs().max() <= 0.5
    )  # bound of a uniform distribution, 1 / sqrt(4)
    with pytest.raises(ConfigError, match="Net is on the meta device and has no reset_parameters"):
        MMFullyShardedDataParallel(third)


def test_whole_parameters_may_be_edited() -> None:
    model = MMFullyShardedDataParallel(Net(), auto_wrap_policy="always_wrap_policy")
    params = list(model.parameters())
    with torch.no_grad():
        model(torch.rand(1, 4))
    with model.whole_parameters() as module:
        assert not any(map(is_sharded, module.parameters()))
        nn.init.constant_(module.head.weight, 3.0)
    assert all(one is other for one, other in zip(model.parameters(), params, strict=True))
    assert torch.equal(whole(model.module.head.weight), torch.full((2, 4), 3.0))


def test_is_a_wrapper() -> None:
    model = MODEL_WRAPPERS.build({"type": "mmengine.MMFullyShardedDataParallel", "module": Net()})
    assert is_model_wrapper(model)
    assert model.val_step([torch.rand(2, 4)]).shape == (2, 2)
    assert model.test_step([torch.rand(2, 4)]).shape == (2, 2)
