"""Backbones, necks and plugins compute what MMDetection's compute, with weights and inputs made from names.

`parts.json` holds, for small variants of each part, what MMDetection 3.3.0 (MMPretrain 1.2.0 for ConvNeXt)
says: the number of state-dict keys, a CRC-32 of all names and shapes in order and the last five of them;
shapes and mean absolute values of the outputs; the mean of all outputs under noise (`probe`); and its
gradients: the sum of the absolute values for each input, and the norm over all parameters.
"""

from __future__ import annotations

import importlib.util
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.detection.registry import MODELS

HERE = Path(__file__).parent
RECORDS: dict[str, dict[str, Any]] = json.loads((HERE / "parts.json").read_text())

_spec = importlib.util.spec_from_file_location("parity_fixtures", HERE / "fixtures.py")
assert _spec is not None
assert _spec.loader is not None
fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fixtures)


def noise(name: str, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(fixtures.generator(name).standard_normal(tuple(shape)).astype(np.float32))


def flat(outs: Any) -> list[Tensor]:
    return [outs] if isinstance(outs, Tensor) else [tensor for one in outs for tensor in flat(one)]


@pytest.mark.parametrize("name", RECORDS)
def test_agrees_with_the_record(name: str) -> None:
    record = RECORDS[name]
    part = MODELS.build(record["cfg"])
    fixtures.set_weights(part)
    part.train(record.get("train", False))
    shapes = {key: list(value.shape) for key, value in part.state_dict().items()}
    assert dict(list(shapes.items())[-5:]) == record["last_keys"]
    assert len(shapes) == record["num_keys"]
    lines = "\n".join(f"{key} {tuple(shape)}" for key, shape in shapes.items())
    assert zlib.crc32(lines.encode()) == record["keys_crc32"]

    inputs = [noise(f"part.{i}", shape).requires_grad_() for i, shape in enumerate(record["inputs"])]
    torch.manual_seed(0)
    outs = flat(part(inputs[0] if record.get("image") else tuple(inputs)))
    assert [list(out.shape) for out in outs] == record["shapes"]
    assert [out.double().abs().mean().item() for out in outs] == pytest.approx(record["abs_mean"], rel=1e-5)
    terms = [(out * noise(f"probe.{i}", out.shape)).mean() for i, out in enumerate(outs)]
    probe = sum(terms[1:], terms[0])
    scale = sum(record["abs_mean"]) / 1000
    assert probe.item() == pytest.approx(record["probe"], rel=1e-4, abs=1e-4 * scale)
    if "grad_norm" not in record:
        return
    probe.backward()
    grads = [0.0 if x.grad is None else x.grad.double().abs().sum().item() for x in inputs]
    # weight standardisation on maps of a few pixels takes differences of nearly equal numbers
    assert grads == pytest.approx(record["input_grad"], rel=1e-3)
    norms = [param.grad.double().norm() for param in part.parameters() if param.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(record["grad_norm"], rel=1e-3)
