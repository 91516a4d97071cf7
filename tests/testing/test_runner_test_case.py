"""RunnerTestCase: its runs, and that nothing of it stays."""

from __future__ import annotations

import os

from toolkit.dist import is_distributed
from toolkit.registry import MODELS
from toolkit.testing import RunnerTestCase


class TestRuns(RunnerTestCase):
    def test_by_epochs(self) -> None:
        runner = self.build_runner(self.epoch_based_cfg)
        runner.train()
        assert (runner.epoch, runner.iter) == (2, 8)
        assert runner.test() == {"acc": 1.0}
        assert os.path.isfile(os.path.join(self.temp_dir.name, "epoch_2.pth"))
        self.clear_work_dir()
        assert os.listdir(self.temp_dir.name) == []

    def test_by_iterations(self) -> None:
        self.iter_based_cfg.train_cfg.max_iters = 4
        runner = self.build_runner(self.iter_based_cfg)
        runner.train()
        assert runner.iter == 4

    def test_names_differ(self) -> None:
        names = {self.build_runner(self.epoch_based_cfg).experiment_name for _ in range(2)}
        assert len(names) == 2
        assert self.epoch_based_cfg.experiment_name == "test1"

    def test_in_a_process_group(self) -> None:
        self.setup_dist_env()
        self.epoch_based_cfg.launcher = "pytorch"
        self.epoch_based_cfg.env_cfg = {"dist_cfg": {"backend": "gloo"}}
        self.build_runner(self.epoch_based_cfg)
        assert is_distributed()


def test_nothing_stays() -> None:
    @MODELS.register_module(name="ToyModel", force=True)
    class Mine:
        pass

    before = dict(os.environ)
    case = TestRuns("test_in_a_process_group")
    case.setUp()
    assert MODELS.get("ToyModel") is not Mine
    folder = case.temp_dir.name
    case.test_in_a_process_group()
    case.tearDown()
    assert MODELS.get("ToyModel") is Mine
    assert not is_distributed()
    assert dict(os.environ) == before
    assert not os.path.exists(folder)
    MODELS.module_dict.pop("ToyModel")
