"""maskrcnn-benchmark's trainer against a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from toolkit.runner.legacy import (
    DetectronCheckpointer,
    MetricLogger,
    SmoothedValue,
    WarmupMultiStepLR,
    do_train,
)
from toolkit.utils import ConfigError


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fc = nn.Linear(2, 2)

    def forward(self, images: Any, targets: Any) -> dict[str, Any]:
        out = self.fc(torch.stack(images))
        labels = torch.stack(targets)
        return {"loss_cls": nn.functional.cross_entropy(out, labels), "loss_reg": out.square().mean()}


def collate(batch: Any) -> Any:
    images, targets, ids = zip(*batch, strict=True)
    return list(images), list(targets), ids


def batches(start: int = 0, count: int = 8) -> Any:
    class FromStart:
        """As `IterationBasedBatchSampler`: the length is the whole, what comes is the rest."""

        def __iter__(self) -> Any:
            return iter([[2 * i, 2 * i + 1] for i in range(start, count)])

        def __len__(self) -> int:
            return count

    samples = [(torch.tensor([i / 8, 1.0]), torch.tensor(i % 2), i) for i in range(16)]
    return DataLoader(samples, batch_sampler=FromStart(), collate_fn=collate)  # type: ignore[arg-type]


def parts(folder: str) -> tuple[Any, Any, Any, Any]:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    scheduler = WarmupMultiStepLR(optimizer, [5], warmup_iters=3)
    return model, optimizer, scheduler, DetectronCheckpointer(None, model, optimizer, scheduler, folder, True)


def rate(done: int) -> float:
    """0.1, from a third over 3 iterations, a tenth from 5 on."""
    share = 1 / 3 + (1 - 1 / 3) * done / 3 if done < 3 else 1.0
    return 0.1 * share * (0.1 if done >= 5 else 1.0)


def plain() -> nn.Module:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for done, (images, targets, _) in enumerate(batches(), 1):
        optimizer.param_groups[0]["lr"] = rate(done)
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()
    return model


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(a, b, atol=1e-7) for a, b in pairs)


def test_it_trains_as_a_plain_loop_does(tmp_path: Path) -> None:
    model, optimizer, scheduler, checkpointer = parts(str(tmp_path / "out"))
    arguments = {"iteration": 0}
    do_train(model, batches(), optimizer, scheduler, checkpointer, "cpu", 3, arguments)
    assert same(model, plain())
    assert arguments == {"iteration": 8}
    saved = sorted(path.stem for path in (tmp_path / "out").glob("*.pth"))
    assert saved == ["model_0000003", "model_0000006", "model_final"]
    assert (tmp_path / "out" / "last_checkpoint").read_text().endswith("model_final.pth")


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    model, optimizer, scheduler, checkpointer = parts(str(tmp_path / "first"))
    do_train(model, batches(), optimizer, scheduler, checkpointer, "cpu", 3, {"iteration": 0})
    model, optimizer, scheduler, checkpointer = parts(str(tmp_path / "second"))
    arguments = checkpointer.load(str(tmp_path / "first" / "model_0000003.pth"))
    assert arguments == {"iteration": 3}
    do_train(model, batches(3), optimizer, scheduler, checkpointer, "cpu", 3, arguments)
    assert same(model, plain())
    assert arguments == {"iteration": 8}


def test_the_newest_checkpoint_has_precedence(tmp_path: Path) -> None:
    model, _, _, checkpointer = parts(str(tmp_path))
    assert checkpointer.load() == {}
    checkpointer.save("model_0000001", iteration=1)
    with torch.no_grad():
        model.fc.weight.zero_()
    checkpointer.save("model_0000002", iteration=2)
    fresh, _, _, other = parts(str(tmp_path))
    assert other.load(str(tmp_path / "model_0000001.pth")) == {"iteration": 2}
    assert not fresh.fc.weight.any()
    assert other.load(str(tmp_path / "model_0000001.pth"), use_latest=False) == {"iteration": 1}
    assert fresh.fc.weight.any()


@pytest.mark.parametrize("method", ["linear", "constant"])
def test_schedule(method: str) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    scheduler = WarmupMultiStepLR(optimizer, [5], warmup_iters=3, warmup_method=method)
    for done in range(8):
        expected = 0.1 / 3 if method == "constant" and done < 3 else rate(done)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        scheduler.step()
    with pytest.raises(ConfigError, match=r"increase"):
        WarmupMultiStepLR(optimizer, [5, 2])


def test_numbers_are_smoothed() -> None:
    value = SmoothedValue(window_size=3)
    for number in (100.0, 1.0, 5.0, 3.0):
        value.update(number)
    assert (value.median, value.avg, value.global_avg) == (3.0, 3.0, 109 / 4)
    meters = MetricLogger(delimiter=" | ")
    meters.update(loss=torch.tensor(2.0), time=1)
    meters.update(loss=4.0)
    assert str(meters) == "loss: 2.0000 (3.0000) | time: 1.0000 (1.0000)"
    assert meters.loss.count == 2
    with pytest.raises(AttributeError, match=r"no series 'lose'"):
        _ = meters.lose
