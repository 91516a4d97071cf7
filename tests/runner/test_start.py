"""Switches of a config that change how the model runs: checkpointing, folding, compiling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit.config import Config
from toolkit.model import BaseModel
from toolkit.registry import MODELS
from toolkit.runner import Runner
from toolkit.runner.preflight import PreflightError, check
from toolkit.utils.errors import ConfigError

Make = Callable[..., Runner]


class SwitchNet(BaseModel):
    """Two convolutions with batch norms over points as pictures of 1x2, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        )
        self.fc = nn.Linear(8, 2)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        logits = self.fc(self.body(inputs[:, None, None]).flatten(1))
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits, data_samples)}
        return [{"label": int(row.argmax())} for row in logits]


def trained(make: Make, **cfg: Any) -> dict[str, Tensor]:
    torch.manual_seed(0)
    runner = make(model=SwitchNet(), cfg=cfg)
    runner.train()
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def test_recomputing_trains_to_the_same_weights(make: Make) -> None:
    plain, saving = trained(make), trained(make, activation_checkpointing=["body"])
    assert list(plain) == list(saving)
    assert all(torch.equal(value, saving[name]) for name, value in plain.items())


def test_folding_in_eval_mode_trains_to_the_same_weights(make: Make) -> None:
    """The norms are frozen, so that they are in eval mode."""
    frozen = {"freeze": ["body.1", "body.4"]}
    plain, folded = trained(make, **frozen), trained(make, efficient_conv_bn_eval="body", **frozen)
    assert list(plain) == list(folded)
    for name, value in plain.items():
        torch.testing.assert_close(folded[name], value)


def test_both_together(make: Make) -> None:
    plain = trained(make)
    both = trained(make, activation_checkpointing=["body"], efficient_conv_bn_eval=["body"])
    for name, value in plain.items():
        torch.testing.assert_close(both[name], value)


@pytest.mark.parametrize("switch", ["activation_checkpointing", "efficient_conv_bn_eval"])
def test_a_name_that_fits_nothing(make: Make, switch: str) -> None:
    with pytest.raises(
        ConfigError, match=f"{switch}: no module of SwitchNet is called 'bdoy'; did you mean 'body'?"
    ):
        make(model=SwitchNet(), cfg={switch: ["bdoy"]})


def test_preflight_knows_the_switches(tmp_path: Path) -> None:
    MODELS.register_module(module=SwitchNet, force=True)
    file = tmp_path / "net.py"
    file.write_text("model = dict(type='SwitchNet')\n")
    names = ("activation_checkpointing", "efficient_conv_bn_eval", "report_unused_parameters")
    cfg = Config.fromfile(str(file), overrides=dict.fromkeys(names, "body"))
    check(cfg, "infer")
    cfg = Config.fromfile(str(file), overrides={"activation_chekpointing": "body"})
    with pytest.raises(PreflightError, match=r"did you mean 'activation_checkpointing'\?"):
        check(cfg, "infer")


def test_a_step_that_was_compiled_trains_to_the_same_weights(make: Make) -> None:
    """By dynamo and autograd's graph, without the compiler of the backend, which takes half a minute."""
    plain, compiled = trained(make), trained(make, compile={"backend": "aot_eager"})
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value)


def test_compiling_what_is_recomputed(make: Make) -> None:
    plain = trained(make)
    both = trained(make, compile={"backend": "aot_eager"}, activation_checkpointing="body")
    for name, value in plain.items():
        torch.testing.assert_close(both[name], value)


@pytest.mark.long
def test_compile_true_trains_to_the_same_weights(make: Make) -> None:
    plain, compiled = trained(make), trained(make, compile=True)
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ({"backend": "indutcor"}, "no backend 'indutcor'; did you mean 'inductor'?"),
        ({"mode": "max-speed"}, "torch.compile refuses that"),
        ({"bakend": "inductor"}, "torch.compile refuses that"),
    ],
)
def test_what_compile_does_not_take(make: Make, switch: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(cfg={"compile": switch}).train()


def test_compiling_on_the_cpu_needs_a_compiler(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        make(cfg={"compile": True}, env_cfg={"device": "cpu"}).train()


@pytest.mark.parametrize(
    ("scheduler", "by_epoch", "message"),
    [
        (
            {"type": "MultiStepLR", "milestones": [1], "begin": 2, "end": 9},
            True,
            "begins after 2 epochs, and training ends after 2",
        ),
        ({"type": "LinearLR", "begin": 8, "end": 9, "by_epoch": False}, True, "begins after 8 iterations"),
        (
            {"type": "StepLR", "step_size": 1},
            False,
            "StepLR counts epochs, but this training counts iterations",
        ),
        ({"type": "StepLR", "step_size": 1, "begin": 1}, True, None),
        ({"type": "StepLR", "step_size": 1, "by_epoch": False}, False, None),
        ({"type": "ReduceOnPlateauLR", "monitor": "count", "rule": "greater"}, False, None),
    ],
)
def test_a_scheduler_that_never_takes_effect(
    make: Make, scheduler: dict[str, Any], by_epoch: bool, message: str | None
) -> None:
    length = {"max_epochs": 2} if by_epoch else {"max_iters": 8, "val_interval": 4}
    runner = make(param_scheduler=[scheduler], train_cfg={"by_epoch": by_epoch, **length})
    runner.train()
    text = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert (message in text) if message else ("the parameter scheduler" not in text)
