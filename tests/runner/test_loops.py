from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from toolkit.hooks import Hook
from toolkit.registry import LOOPS
from toolkit.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner, TestLoop, ValLoop
from toolkit.structures import BaseDataElement
from toolkit.utils.errors import BuildError, ConfigError, DataError, TrainingError

Make = Callable[..., Runner]


class Recorder(Hook):
    """The counts at each validation."""

    def __init__(self) -> None:
        self.validated: list[int] = []

    def before_val(self, runner: Any) -> None:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        self.validated.append(runner.epoch if by_epoch else runner.iter)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"val_interval": 3}, [3, 6, 7]),
        ({"val_begin": 4, "val_interval": 3}, [6, 7]),
        ({"val_begin": 100}, []),
        ({"val_interval": 5, "dynamic_intervals": [(4, 1)]}, [3, 4, 5, 6, 7]),
        ({"val_interval": 1, "dynamic_intervals": [(3, 2), (6, 10)]}, [1, 2, 4, 7]),
    ],
)
@pytest.mark.parametrize("by_epoch", [True, False])
def test_when_validations_run(
    make: Make, settings: dict[str, Any], wanted: list[int], by_epoch: bool
) -> None:
    """In either unit; the last one is always followed by one, unless `val_begin` lies behind it."""
    length = {"max_epochs": 7} if by_epoch else {"max_iters": 7, "val_interval": 1}
    recorder = Recorder()
    make(train_cfg={"by_epoch": by_epoch, **length, **settings}, custom_hooks=[recorder]).train()
    assert recorder.validated == wanted


def test_modes_and_gradients(make: Make) -> None:
    """Validation runs in eval mode without gradients, and training goes on in train mode."""
    runner = make()
    runner.train()
    flags = [(mode, training, grad) for mode, training, grad, _ in runner.model.seen]
    epoch = [("loss", True, True)] * 4 + [("predict", False, False)] * 2
    assert flags == epoch * 2
    assert runner.model.training
    runner.model.eval()
    runner.test()
    assert not runner.model.training


def test_iterations_go_round_a_finite_loader(make: Make) -> None:
    runner = make(train_cfg={"by_epoch": False, "max_iters": 6, "val_interval": 100, "val_begin": 100})
    runner.train()
    seen = [numbers for *_, numbers in runner.model.seen]
    assert seen == [[0, 1], [2, 3], [4, 5], [6, 7], [0, 1], [2, 3]]
    assert (runner.epoch, runner.iter, runner.max_epochs) == (0, 6, 1)


def test_each_epoch_has_its_own_order(make: Make, parts: Any) -> None:
    runner = make(
        train_dataloader=parts.loader(shuffle=True), val_dataloader=None, val_cfg=None, val_evaluator=None
    )
    runner.train()
    seen = [number for *_, numbers in runner.model.seen for number in numbers]
    assert sorted(seen[:8]) == sorted(seen[8:]) == list(range(8))
    assert seen[:8] != seen[8:]


@pytest.mark.parametrize(
    ("point", "train_cfg", "done"),
    [
        ("after_train_epoch", {"by_epoch": True, "max_epochs": 9}, 4),
        ("after_train_iter", {"by_epoch": True, "max_epochs": 9}, 4),  # the epoch is finished first
        ("after_train_iter", {"by_epoch": False, "max_iters": 9}, 1),
    ],
)
def test_a_hook_stops_training(make: Make, point: str, train_cfg: dict[str, Any], done: int) -> None:
    def stop(runner: Any, **_: Any) -> None:
        runner.train_loop.stop_training = True

    hook = Hook()
    setattr(hook, point, stop)
    runner = make(train_cfg=train_cfg, custom_hooks=[hook])
    runner.train()
    assert runner.iter == done


def test_a_loss_that_is_not_finite_names_the_samples(make: Make, parts: Any) -> None:
    class Sample(BaseDataElement):
        pass

    def collate(batch: list[Any]) -> dict[str, Any]:
        samples = [
            Sample(metainfo={"img_path": f"img_{int(x[0])}.png", "img_id": int(x[0])}) for x, _ in batch
        ]
        points = torch.stack([x for x, _ in batch])
        labels = torch.tensor([label for _, label in batch])
        return {
            "inputs": points * (float("nan") if 4 in points[:, 0] else 1),
            "data_samples": (samples, labels),
        }

    class Broken(type(make().model)):  # type: ignore[misc]
        def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
            return super().forward(inputs, data_samples[1], mode)

    from torch.utils.data import DataLoader

    loader = DataLoader(parts.Numbers(), 2, collate_fn=collate)
    runner = make(model=Broken(), train_dataloader=loader)
    with pytest.raises(TrainingError) as caught:
        runner.train()
    message = str(caught.value)
    assert "loss is nan" in message
    assert "(epoch 1, iteration 3)" in message
    assert all(bool(param.isfinite().all()) for param in runner.model.parameters())


def test_fp16_runs_under_autocast(make: Make) -> None:
    runner = make(test_cfg={"fp16": True})
    kinds: list[torch.dtype] = []
    runner.model.fc.register_forward_hook(lambda _m, _i, out: kinds.append(out.dtype))
    assert runner.test() == {"count": 5.0}
    assert set(kinds) == {torch.bfloat16}


def test_losses_of_validation_are_averaged(make: Make) -> None:
    class WithLoss(type(make().model)):  # type: ignore[misc]
        def val_step(self, data: Any) -> Any:
            element = BaseDataElement()
            element.loss = {"loss_a": torch.tensor(float(len(data[0]))), "other": torch.tensor(1.0)}
            return [*super().val_step(data), element]

    metrics = make(model=WithLoss()).val()  # of batches of 4 and 2
    assert metrics == {"count": 6.0, "loss_a": 3.0, "other": 1.0, "val_loss": 3.0}


def test_losses_of_validation_are_those_of_the_data_in_eval_mode(make: Make) -> None:
    runner = make(val_cfg={"loss": True})
    metrics = runner.val()
    data = [runner.val_dataloader.dataset[i] for i in range(6)]
    points, labels = torch.stack([x for x, _ in data]), torch.tensor([y for _, y in data])
    logits = runner.model.fc(points / 8)
    first, rest = (
        torch.nn.functional.cross_entropy(logits[part], labels[part]).item()
        for part in (slice(0, 4), slice(4, 6))
    )
    assert metrics["val_loss"] == pytest.approx((first + rest) / 2)
    assert metrics["count"] == 6
    assert not any(training or gradients for _, training, gradients, _ in runner.model.seen[:4])


def test_parts_of_a_validation_loss_are_reported_and_summed(make: Make) -> None:
    class TwoLosses(type(make().model)):  # type: ignore[misc]
        def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
            if mode == "loss":
                return {"loss_a": torch.tensor(1.0), "loss_b": [torch.tensor(2.0)], "acc": torch.tensor(9.0)}
            return super().forward(inputs, data_samples, mode)

    metrics = make(model=TwoLosses(), val_cfg={"loss": True}).val()
    assert metrics == {"count": 6.0, "loss_a": 1.0, "loss_b": 2.0, "acc": 9.0, "val_loss": 3.0}


def test_losses_of_validation_need_a_model_that_can_give_them(make: Make) -> None:
    class Bare(torch.nn.Module):
        def val_step(self, data: Any) -> Any:
            return [0] * len(data[0])

    runner = make(
        model=Bare(), val_cfg={"loss": True}, train_dataloader=None, train_cfg=None, optim_wrapper=None
    )
    with pytest.raises(ConfigError, match=r"val_cfg.loss=True needs .*loss_step.*Bare has none"):
        runner.val()


def test_loops_are_chosen(make: Make) -> None:
    assert type(make().train_loop) is EpochBasedTrainLoop
    assert (
        type(make(train_cfg={"type": "IterBasedTrainLoop", "max_iters": 3}).train_loop) is IterBasedTrainLoop
    )
    assert type(make().val_loop) is ValLoop
    assert type(make(test_cfg={"type": "TestLoop"}).test_loop) is TestLoop


def test_a_loop_of_ones_own(make: Make) -> None:
    @LOOPS.register_module(force=True)
    class TwiceLoop(EpochBasedTrainLoop):
        """Runs every batch twice."""

        def run_iter(self, idx: int, data_batch: Any) -> None:
            super().run_iter(idx, data_batch)
            super().run_iter(idx, data_batch)

    runner = make(train_cfg={"type": "TwiceLoop", "max_epochs": 1})
    runner.train()
    assert runner.iter == 8
    assert issubclass(TwiceLoop, BaseLoop)


@pytest.mark.parametrize(
    ("train_cfg", "error", "message"),
    [
        ({"by_epoch": True, "max_epochs": 1.5}, ConfigError, "max_epochs must be a whole number"),
        ({"by_epoch": True, "max_epochs": 1, "val_interval": 0}, ConfigError, "val_interval"),
        (
            {"by_epoch": True, "max_epochs": 1, "dynamic_intervals": [(1, 0)]},
            ConfigError,
            "dynamic_intervals must be a whole number of at least 1",
        ),
        ({"max_epochs": 1}, BuildError, "needs by_epoch=True"),
        ({"by_epoch": True, "max_epoch": 1}, BuildError, "did you mean 'max_epochs'"),
        (
            {"by_epoch": True, "type": "EpochBasedTrainLoop", "max_epochs": 1},
            BuildError,
            "both a type and by_epoch",
        ),
        (3, BuildError, "train_cfg must be a loop or a dict"),
    ],
)
def test_wrong_settings_are_told(make: Make, train_cfg: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(train_cfg=train_cfg).train()


@pytest.mark.parametrize("by_epoch", [True, False])
def test_a_loader_without_batches_is_told(make: Make, parts: Any, by_epoch: bool) -> None:
    cfg = {**parts.loader(3, 4), "drop_last": True}
    length = {"max_epochs": 1} if by_epoch else {"max_iters": 1}
    with pytest.raises(DataError, match="yields no batch: 3 samples"):
        make(train_dataloader=cfg, train_cfg={"by_epoch": by_epoch, **length}).train()
