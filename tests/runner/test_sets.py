"""Several named sets of validation and test data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.config import Config
from toolkit.evaluator import BaseMetric, Evaluator
from toolkit.hooks import EarlyStoppingHook, EMAHook, Hook
from toolkit.registry import METRICS
from toolkit.runner import Runner
from toolkit.runner.preflight import PreflightError, check
from toolkit.runner.sets import NamedLoaders, is_named_evaluators, is_named_loaders
from toolkit.utils.errors import ConfigError

Make = Callable[..., Runner]


@METRICS.register_module(force=True)
class SetCount(BaseMetric):
    """How many samples there were, and the value of `epoch` in a bias that training moves."""

    default_prefix = "n"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += list(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"acc": float(len(results))}


@pytest.fixture
def named(parts: Any) -> dict[str, Any]:
    return {"clean": parts.loader(6, 4), "noisy": parts.loader(3, 1)}


class Recorder(Hook):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def before_val(self, runner: Any) -> None:
        self.calls.append("before_val")

    def before_val_epoch(self, runner: Any) -> None:
        self.calls.append("before_val_epoch")

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.calls.append((runner.val_loop.set_name, batch_idx, len(outputs)))

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.calls.append(dict(metrics))

    def after_val(self, runner: Any) -> None:
        self.calls.append("after_val")


def test_points_are_called_once_and_batches_counted_through(make: Make, named: Any) -> None:
    recorder = Recorder()
    runner = make(val_dataloader=named, val_evaluator={"type": "SetCount"}, custom_hooks=[recorder])
    metrics = runner.val()
    assert metrics == {"clean/n/acc": 6.0, "noisy/n/acc": 3.0}
    assert recorder.calls == [
        "before_val",
        "before_val_epoch",
        *[("clean", 0, 4), ("clean", 1, 2), ("noisy", 2, 1), ("noisy", 3, 1), ("noisy", 4, 1)],
        metrics,
        "after_val",
    ]
    assert len(runner.val_dataloader) == 5
    assert [len(batch[0]) for batch in runner.val_dataloader] == [4, 2, 1, 1, 1]


def test_each_set_has_an_evaluator_of_its_own(make: Make, named: Any, parts: Any) -> None:
    runner = make(
        test_dataloader=named, test_evaluator={"noisy": [parts.Count(prefix="b")], "clean": parts.Count()}
    )
    assert runner.test() == {"clean/count": 6.0, "noisy/b/count": 3.0}
    single = make(test_dataloader=named, test_evaluator=[{"type": "SetCount"}])
    evaluators = single.test_loop.evaluators
    assert list(evaluators) == ["clean", "noisy"]
    assert evaluators["clean"].metrics[0] is not evaluators["noisy"].metrics[0]
    assert evaluators["noisy"].dataset_meta == parts.Numbers.metainfo


def test_losses_are_those_of_each_set(make: Make, parts: Any) -> None:
    alone = [make(val_dataloader=parts.loader(size), val_cfg={"loss": True}) for size in (6, 2)]
    sets = {"a": parts.loader(6), "b": parts.loader(2)}
    both = make(val_dataloader=sets, val_cfg={"loss": True}, val_evaluator={"type": "SetCount"})
    for runner in alone:
        runner.model.load_state_dict(both.model.state_dict())
    metrics = both.val()
    assert [metrics["a/val_loss"], metrics["b/val_loss"]] == [runner.val()["val_loss"] for runner in alone]


def test_logs_best_checkpoint_and_results_go_by_the_names(make: Make, named: Any) -> None:
    runner = make(
        val_dataloader=named,
        val_evaluator={"type": "SetCount"},
        default_hooks={"checkpoint": {"save_best": "noisy/n/acc"}},
        custom_hooks=[EMAHook(), EarlyStoppingHook("clean/n/acc", patience=1, strict=True)],
        train_cfg={"by_epoch": True, "max_epochs": 5},
        param_scheduler={"type": "ReduceOnPlateauLR", "monitor": "noisy/n/acc", "rule": "greater"},
        log_level="INFO",
        test_dataloader=named,
        test_evaluator={"type": "SetCount"},
        test_cfg={"expected_results": {"noisy/n/acc": (3, 0)}},
    )
    runner.train()
    assert runner.epoch == 2  # the count never gets better
    assert (Path(runner.work_dir) / "best_noisy_n_acc_epoch_1.pth").is_file()
    lines = (Path(runner.log_dir) / "vis_data/scalars.json").read_text().splitlines()
    logged = [line for line in map(json.loads, lines) if "clean/n/acc" in line]
    assert [(line["clean/n/acc"], line["noisy/n/acc"], line["step"]) for line in logged] == [
        (6, 3, 4),
        (6, 3, 8),
    ]
    text = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert "Epoch(val) [1][5/5]" in text
    assert "val set 'noisy': 3 samples" in text
    assert runner.test() == {"clean/n/acc": 6.0, "noisy/n/acc": 3.0}


def test_what_is_a_dict_of_sets(parts: Any) -> None:
    loader = parts.loader()
    assert is_named_loaders({"a": loader})
    assert is_named_loaders({"a": torch.utils.data.DataLoader(parts.Numbers())})
    assert is_named_loaders({"a": loader, "b": {"datset": {}}})
    for one in (
        loader,
        {},
        None,
        {"batch_size": 2},
        {"datset": {"type": "X", "dataset": {}}, "batch_size": 1},
    ):
        assert not is_named_loaders(one)
    assert is_named_evaluators({"a": parts.Count(), "b": [{"type": "X"}], "c": Evaluator([])})
    for one in ({"type": "X"}, {"metrics": []}, [], None, parts.Count()):
        assert not is_named_evaluators(one)


def test_a_chain_without_a_length_says_so(parts: Any) -> None:
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(range(3))

    loaders = NamedLoaders({"a": torch.utils.data.DataLoader(Endless())})
    with pytest.raises(TypeError):
        len(loaders)


@pytest.mark.parametrize(
    ("names", "evaluator", "message"),
    [
        (("clean", "noisy"), {"clean": {"type": "SetCount"}}, "val_evaluator lacks 'noisy'"),
        (
            ("clean", "noisy"),
            {"clean": {"type": "SetCount"}, "nosiy": {"type": "SetCount"}},
            "no dataloader 'nosiy'; did you mean 'noisy'; val_evaluator lacks 'noisy'. Both take the same",
        ),
        ((), {"clean": {"type": "SetCount"}}, "but val_dataloader is a single dataloader"),
        (("a/b",), {"type": "SetCount"}, "'a/b' can't be the name of a set"),
        (("clean", "noisy"), [SetCount()], r"can't serve the sets 'clean', 'noisy' at once"),
    ],
)
def test_names_that_differ(make: Make, parts: Any, names: Any, evaluator: Any, message: str) -> None:
    loader = {name: parts.loader() for name in names} or parts.loader()
    with pytest.raises(ConfigError, match=message):
        make(val_dataloader=loader, val_evaluator=evaluator).val()


def test_the_example_of_the_guide() -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "training.md"
    _, _, rest = guide.read_text(encoding="utf-8").partition("<!-- example: named sets -->\n```python\n")
    cfg = Config.fromstring(rest.partition("```")[0], ".py")
    assert is_named_loaders(cfg["val_dataloader"])
    assert is_named_evaluators(cfg["val_evaluator"])
    cfg["default_scope"], cfg["model"], cfg["val_cfg"] = "mmdet", {"type": "RetinaNet"}, {}
    with pytest.raises(PreflightError) as caught:
        check(cfg, "test", files=False)
    # All that it lacks is the rest of the model.
    assert {problem.path for problem in caught.value.problems} == {"model"}
