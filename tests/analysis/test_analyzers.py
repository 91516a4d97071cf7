"""MMEngine's analyzers, on the model and with the numbers of its documentation; and on a layer by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from toolkit.analysis import ActivationAnalyzer, FlopAnalyzer, activation_count, flop_count


class Documented(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(in_features=1000, out_features=10)
        self.conv = nn.Conv2d(in_channels=3, out_channels=10, kernel_size=1)
        self.act = nn.ReLU()
        self.unused = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(self.act(self.conv(x)).flatten(1))
        return found


INPUTS = (torch.randn(1, 3, 10, 10),)


def test_flops_as_documented() -> None:
    flops = FlopAnalyzer(Documented(), INPUTS)
    assert flops.total() == 13000
    assert flops.total("fc") == 10000
    assert flops.by_operator() == Counter(addmm=10000, conv=3000)
    assert flops.by_module() == Counter({"": 13000, "fc": 10000, "conv": 3000, "act": 0, "unused": 0})
    assert flops.by_module_and_operator() == {
        "": Counter(addmm=10000, conv=3000),
        "fc": Counter(addmm=10000),
        "conv": Counter(conv=3000),
        "act": Counter(),
        "unused": Counter(),
    }


def test_activations_as_documented() -> None:
    activations = ActivationAnalyzer(Documented(), INPUTS)
    assert activations.total() == 1010
    assert activations.total("fc") == 10
    assert activations.by_operator() == Counter(conv=1000, addmm=10)


def test_what_does_not_count_and_what_is_not_called() -> None:
    flops = FlopAnalyzer(Documented(), INPUTS)
    assert flops.uncalled_modules() == {"unused"}
    assert flops.unsupported_ops("act") == Counter(relu=1)
    assert flops.unsupported_ops()["relu"] == 1
    quiet = flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    assert quiet.copy(nn.Linear(1000, 2), torch.rand(1, 1000)).total() == 2000
    with pytest.raises(KeyError, match="did you mean 'conv'"):
        flops.total("cnov")


def test_counts_in_units() -> None:
    flops, others = flop_count(Documented(), INPUTS)
    assert flops == pytest.approx({"addmm": 1e-5, "conv": 3e-6})
    assert flops["bmm"] == 0
    assert others["relu"] == 1
    activations, _ = activation_count(Documented(), INPUTS)
    assert activations == pytest.approx({"addmm": 1e-5, "conv": 1e-3})


def test_a_model_runs_once() -> None:
    class Counted(nn.Linear):
        calls = 0

        def forward(self, input: Tensor) -> Tensor:
            type(self).calls += 1
            return super().forward(input)

    flops = FlopAnalyzer(Counted(2, 3), torch.rand(5, 2))
    assert (flops.total(), flops.total(), flops.by_module()[""]) == (30, 30, 30)
    assert Counted.calls == 1
