"""The runner's arguments, its environment, and the messages about what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from toolkit.config import Config
from toolkit.evaluator import Evaluator
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.hooks import Hook
from toolkit.optim import MultiStepLR, OptimWrapper, OptimWrapperDict
from toolkit.registry import MODELS
from toolkit.runner import Runner, build_runner, environment, set_random_seed
from toolkit.runner.build import build_evaluator, build_model, build_optim_wrapper, build_param_scheduler
from toolkit.runner.samples import sample_names
from toolkit.structures import BaseDataElement
from toolkit.utils.errors import BuildError, CheckpointError, ConfigError, ToolkitError

Make = Callable[..., Runner]


def log_of(runner: Runner) -> str:
    return next(Path(runner.log_dir).glob("*.log")).read_text()


def test_the_environment_is_set_up_by_a_method(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    setup_env = Runner.setup_env

    def noted(self: Runner, env_cfg: Any) -> None:
        seen.append(dict(env_cfg))
        setup_env(self, env_cfg)

    monkeypatch.setattr(Runner, "setup_env", noted)
    env_cfg = {"mp_cfg": {"mp_start_method": "fork"}}
    runner = make(env_cfg=env_cfg)
    assert seen == [env_cfg]
    assert runner.build_message_hub() is runner.message_hub
    assert runner.build_message_hub({"name": "of the test"}).instance_name == "of the test"


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"train_cfg": None},
                "train_dataloader, train_cfg, optim_wrapper belong together: train_cfg missing",
            ),
            ({"val_evaluator": None}, "val_evaluator missing"),
            ({"test_cfg": None}, "test_cfg missing"),
            ({"cfg": 3}, "cfg must be a Config or a dict"),
            ({"env_cfg": {"cudnn_bench": True}}, "did you mean 'cudnn_benchmark'"),
            ({"env_cfg": {"mp_cfg": {"mp_start_method": "frok"}}}, "mp_start_method is 'frok'"),
            ({"env_cfg": {"device": "cuda:77"}}, "device 'cuda:77' can't be used"),
            ({"env_cfg": {"device": "toaster"}}, "device 'toaster' can't be used"),
            ({"launcher": "pytroch"}, "did you mean 'pytorch'"),
            ({"randomness": {"seed": -1}}, "must be a non-negative integer"),
            ({"model": 3}, "model must be a torch.nn.Module or a dict"),
            ({"optim_wrapper": {}}, "optim_wrapper has no 'optimizer'"),
        ],
    )
    def test_what_is_wrong_is_told(self, make: Make, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ToolkitError, match=message):
            make(**changes).train()

    def test_schedulers_need_an_optimizer(self, make: Make) -> None:
        with pytest.raises(ConfigError, match="without an optim_wrapper"):
            make(
                train_dataloader=None, train_cfg=None, optim_wrapper=None, param_scheduler={"type": "StepLR"}
            )

    def test_what_was_not_given_cannot_run(self, make: Make) -> None:
        runner = make(train_dataloader=None, train_cfg=None, optim_wrapper=None)
        with pytest.raises(ConfigError, match="can't train: it was given no train_dataloader"):
            runner.train()
        with pytest.raises(ConfigError, match=r"Linear has no test_step\(\)"):
            make(model=nn.Linear(2, 2)).test()

    def test_a_work_dir_that_cannot_be_written(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(ConfigError, match=r"work_dir .*file/x' can't be written: Not a directory"):
            make(work_dir=str(tmp_path / "file" / "x"))

    def test_the_work_dir_is_named_after_the_config(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert environment.default_work_dir("configs/x/net.py") == "./work_dirs/net"
        assert environment.default_work_dir(None) == "./work_dirs/run"

    def test_two_runs_in_one_second_do_not_meet(self, make: Make) -> None:
        one, other = make(), make()
        assert one.experiment_name != other.experiment_name
        assert one.log_dir != other.log_dir
        assert one.message_hub is not other.message_hub


class TestChoices:
    def test_a_drawn_seed_is_printed_and_saved(self, make: Make) -> None:
        runner = make(randomness={}, log_level="INFO", cfg={"model": {}})
        assert f"seed: {runner.seed} (drawn)" in log_of(runner)
        (saved,) = Path(runner.work_dir).glob("*.py")
        assert Config.fromfile(str(saved))["randomness"]["seed"] == runner.seed
        assert make(randomness={}).seed != runner.seed

    def test_the_device_is_printed_and_saved(self, make: Make) -> None:
        runner = make(log_level="INFO", cfg={"device": "cpu"})
        assert runner.device == torch.device("cpu")
        assert "device: cpu" in log_of(runner)
        assert runner.cfg["device"] == "cpu"

    def test_the_users_config_is_left_alone(self, make: Make) -> None:
        cfg = Config({"model": {"type": "x"}})
        make(cfg=cfg)
        assert dict(cfg) == {"model": {"type": "x"}}

    def test_channels_last(self, make: Make) -> None:
        model = nn.Sequential(nn.Conv2d(4, 4, 3))
        make(model=model, env_cfg={"channels_last": True})
        assert model[0].weight.is_contiguous(memory_format=torch.channels_last)

    def test_threads(self, make: Make) -> None:
        before = torch.get_num_threads()
        try:
            make(env_cfg={"num_threads": before + 1})
            assert torch.get_num_threads() == before + 1
        finally:
            torch.set_num_threads(before)

    def test_the_seed_decides_all(self, make: Make) -> None:
        def weights() -> list[float]:
            random.seed(), np.random.seed(), torch.seed()
            runner = make(randomness={"seed": 5})
            runner.model.fc.reset_parameters()
            return runner.model.fc.weight.flatten().tolist()

        assert weights() == weights()

    def test_set_random_seed(self) -> None:
        assert set_random_seed(3) == 3
        first = torch.rand(1)
        set_random_seed(3)
        assert torch.equal(torch.rand(1), first)
        assert set_random_seed(None) >= 0


class TestBuilding:
    def test_a_preprocessor_joins_a_model_that_names_none(self) -> None:
        @MODELS.register_module(force=True)
        class Holder(nn.Module):
            def __init__(self, data_preprocessor: Any = None) -> None:
                super().__init__()
                self.given = data_preprocessor

        given = {"type": "BaseDataPreprocessor"}
        assert build_model({"type": "Holder"}, given).given == given
        assert build_model({"type": "Holder", "data_preprocessor": 1}, given).given == 1

    def test_optim_wrappers(self) -> None:
        model = nn.Linear(2, 2)
        sgd = torch.optim.SGD(model.parameters(), lr=0.3)
        assert build_optim_wrapper(model, {"optimizer": sgd}).optimizer is sgd
        wrapper = OptimWrapper(sgd)
        assert build_optim_wrapper(model, wrapper) is wrapper
        several = build_optim_wrapper(model, {"a": wrapper, "b": wrapper})
        assert isinstance(several, OptimWrapperDict)
        with pytest.raises(BuildError, match="It has: a, b"):
            build_optim_wrapper(model, {"a": wrapper, "b": 3})

    def test_schedulers_end_with_training(self) -> None:
        wrapper = OptimWrapper(torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0))
        cfg = [{"type": "LinearLR"}, {"type": "LinearLR", "by_epoch": False}, {"type": "LinearLR", "end": 3}]
        built = build_param_scheduler(cfg, wrapper, 12, 120, 10)
        assert [one.end for one in built] == [12, 120, 3]
        (converted,) = build_param_scheduler(
            {"type": "MultiStepLR", "milestones": [2, 4], "convert_to_iter_based": True}, wrapper, 12, 120, 10
        )
        assert sorted(converted.milestones) == [20, 40]
        with pytest.raises(BuildError, match="schedulers and dicts"):
            build_param_scheduler([3], wrapper, 1, 1, 1)

    def test_schedulers_of_several_optimizers(self) -> None:
        def wrapper() -> OptimWrapper:
            return OptimWrapper(torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0))

        several = OptimWrapperDict(a=wrapper(), b=wrapper())
        step = {"type": "StepLR", "step_size": 1}
        both = build_param_scheduler(step, several, 3, 9, 3)
        assert {name: len(each) for name, each in both.items()} == {"a": 1, "b": 1}
        named = build_param_scheduler({"a": step, "b": [step, step]}, several, 3, 9, 3)
        assert {name: len(each) for name, each in named.items()} == {"a": 1, "b": 2}
        with pytest.raises(BuildError, match="the optimizers are a, b"):
            build_param_scheduler({"c": step}, several, 3, 9, 3)

    def test_evaluators(self, parts: Any) -> None:
        metric = parts.Count()
        evaluator = Evaluator([metric])
        assert build_evaluator(evaluator) is evaluator
        assert build_evaluator(metric).metrics == [metric]
        assert build_evaluator([metric, metric]).metrics == [metric, metric]
        assert build_evaluator({"metrics": [metric]}).metrics == [metric]
        with pytest.raises(BuildError, match="an evaluator must be"):
            build_evaluator("accuracy")

    def test_learning_rates_scale_with_the_batch(self, make: Make) -> None:
        runner = make(auto_scale_lr={"base_batch_size": 16, "enable": True})
        runner.train()
        assert runner.optim_wrapper.get_lr()["lr"] == [pytest.approx(0.1 * 2 / 16)]
        with pytest.raises(ConfigError, match="needs base_batch_size"):
            make(auto_scale_lr={"enable": True}).train()
        wrapper = OptimWrapper(torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0))
        scheduler = MultiStepLR(wrapper, milestones=[1])
        with pytest.raises(ConfigError, match="built schedulers"):
            make(
                optim_wrapper=wrapper,
                param_scheduler=[scheduler],
                auto_scale_lr={"base_batch_size": 16, "enable": True},
            ).train()


class TestLoading:
    def train(self, make: Make) -> Path:
        runner = make()
        runner.train()
        return Path(runner.work_dir, "epoch_2.pth")

    def test_a_missing_checkpoint(self, make: Make) -> None:
        self.train(make)
        with pytest.raises(CheckpointError, match=r"there is no checkpoint .*epoch_3.*epoch_2\.pth"):
            make(load_from=str(Path(make().work_dir, "epoch_3.pth"))).train()

    def test_training_starts_from_what_fits(self, make: Make, parts: Any) -> None:
        class Wider(parts.Line):
            def __init__(self) -> None:
                super().__init__()
                self.extra = nn.Linear(2, 3)

        path = self.train(make)
        runner = make(model=Wider(), load_from=str(path))
        runner.train()
        assert runner.iter == 8
        assert "2 missing in the checkpoint:\n  extra.weight" in log_of(runner)

    def test_a_test_needs_all_weights(self, make: Make, parts: Any) -> None:
        class Wider(parts.Line):
            def __init__(self) -> None:
                super().__init__()
                self.extra = nn.Linear(2, 3)

        path = self.train(make)
        with pytest.raises(
            CheckpointError, match=r"doesn't fit Wider.*\n.*2 keys fit\n2 missing|extra\.weight"
        ):
            make(model=Wider(), load_from=str(path)).test()

    @pytest.mark.parametrize("resume", [False, True])
    def test_a_checkpoint_of_another_model(self, make: Make, parts: Any, resume: bool) -> None:
        class Other(parts.Line):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
                self.fc = nn.Sequential(nn.Identity(), nn.Linear(2, 2))

        path = self.train(make)
        with pytest.raises(CheckpointError, match="another model"):
            make(model=Other(), load_from=str(path), resume=resume).train()

    def test_resuming_weights_alone_is_refused(self, make: Make, tmp_path: Path) -> None:
        torch.save({"state_dict": make().model.state_dict()}, tmp_path / "weights.pth")
        with pytest.raises(CheckpointError, match="weights but no state of a run"):
            make(load_from=str(tmp_path / "weights.pth"), resume=True).train()

    def test_resuming_where_nothing_is_starts_afresh(self, make: Make) -> None:
        runner = make(resume=True, log_level="INFO")
        runner.train()
        assert "there is no checkpoint" in log_of(runner)
        assert runner.iter == 8

    def test_resuming_what_is_finished_adds_nothing(self, make: Make) -> None:
        path = self.train(make)
        wanted = read_checkpoint(path)["state_dict"]["fc.weight"]
        runner = make(resume=True)
        runner.train()
        assert (runner.epoch, runner.iter) == (2, 8)
        assert torch.equal(runner.model.fc.weight, wanted)

    def test_a_longer_training_goes_on(self, make: Make) -> None:
        self.train(make)
        runner = make(resume=True, train_cfg={"by_epoch": True, "max_epochs": 3})
        runner.train()
        assert runner.iter == 12

    def test_a_checkpoint_of_mmengine_is_resumed(self, make: Make, tmp_path: Path) -> None:
        content = read_checkpoint(self.train(make))
        for key in ("loop", "rng", "hooks"):
            del content[key]
        content["meta"] |= {"epoch": 1, "iter": 4}
        torch.save(content, tmp_path / "old.pth")
        runner = make(load_from=str(tmp_path / "old.pth"), resume=True)
        runner.train()
        assert runner.iter == 8
        assert len([1 for mode, *_ in runner.model.seen if mode == "loss"]) == 4

    def test_another_seed_gives_way_to_the_checkpoints(self, make: Make) -> None:
        self.train(make)
        runner = make(resume=True, randomness={"seed": 9})
        runner.train()
        assert runner.seed == 0
        assert "the seed of the checkpoint, 0, is used" in log_of(runner)

    def test_an_epoch_of_another_length_is_begun_anew(self, make: Make, parts: Any) -> None:
        class Kill(Hook):
            def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
                if runner.iter == 6:
                    raise KeyboardInterrupt

        hooks = {"checkpoint": {"interval": 1, "by_epoch": False}}
        with pytest.raises(KeyboardInterrupt):
            make(custom_hooks=[Kill()], default_hooks=hooks).train()
        runner = make(resume=True, train_dataloader=parts.loader(8, 4), default_hooks=hooks)
        runner.train()
        assert "made with 4 iterations an epoch, there are 2 now" in log_of(runner)
        assert runner.iter == 4

    def test_saving_needs_plain_state(self, make: Make) -> None:
        class Odd(Hook):
            def state_dict(self) -> dict[str, Any]:
                return {"thing": nn.Linear(1, 1)}

        with pytest.raises(CheckpointError, match=r"checkpoint\.hooks\.Odd\.thing is a"):
            make(custom_hooks=[Odd()]).train()


def test_build_runner_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="model"):
        build_runner(Config({"work_dir": str(tmp_path)}))


def test_samples_are_named() -> None:
    element = BaseDataElement(metainfo={"img_path": "a.png", "img_id": 3, "other": 1})
    assert sample_names({"data_samples": [element, {"sample_idx": 4}, object()]}) == [
        "img_path=a.png img_id=3",
        "sample_idx=4",
    ]
    assert sample_names((1, [element])) == ["img_path=a.png img_id=3"]
    assert sample_names(torch.ones(2)) == []


def test_frozen_parts_do_not_train_and_a_table_says_so(make: Make) -> None:
    runner = make(cfg={"freeze": ["fc.bias"]}, log_level="INFO")
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    after = runner.model.state_dict()
    assert torch.equal(after["fc.bias"], before["fc.bias"])
    assert not torch.equal(after["fc.weight"], before["fc.weight"])
    assert "frozen: fc.bias" in Path(runner.logger.log_file).read_text()


def test_a_pattern_to_freeze_that_fits_nothing_stops_the_run(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"'fd\.weight'"):
        make(cfg={"freeze": ["fd.weight"]})


def test_resuming_with_another_config_shows_what_differs(make: Make, tmp_path: Path) -> None:
    cfg = {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}}, "work_dir": "a"}
    make(cfg=cfg).train()
    changed = {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.2}}, "work_dir": "b"}
    runner = make(cfg=changed, resume=True, train_cfg={"by_epoch": True, "max_epochs": 3})
    runner.train()
    log = log_of(runner)
    assert "- optim_wrapper.optimizer.lr = 0.1\n" in log
    assert "+ optim_wrapper.optimizer.lr = 0.2\n" in log
    assert "- work_dir" not in log


def test_resuming_with_the_same_config_says_nothing(make: Make) -> None:
    cfg = {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}}}
    make(cfg=cfg).train()
    runner = make(cfg=cfg, resume=True, train_cfg={"by_epoch": True, "max_epochs": 3})
    runner.train()
    assert "differs" not in log_of(runner)
