"""`FlexibleRunner` with each strategy, and a GAN whose parts exchange gradients apart, in two processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import Dataset

from toolkit.config import Config
from toolkit.dist import get_rank
from toolkit.evaluator import BaseMetric
from toolkit.hooks import Hook
from toolkit.model import BaseModel, MMDistributedDataParallel, MMSeparateDistributedDataParallel
from toolkit.optim import OptimWrapper, OptimWrapperDict
from toolkit.registry import RUNNER_CONSTRUCTORS, RUNNERS, STRATEGIES
from toolkit.runner import (
    DefaultRunnerConstructor,
    FlexibleRunner,
    Runner,
    build_runner,
    config_of,
    get_state_dict,
    load_checkpoint,
)
from toolkit.runner.preflight import check as check_config
from toolkit.runner.strategy import BaseStrategy, DDPStrategy, FSDPStrategy, SingleDeviceStrategy
from toolkit.testing import run_processes
from toolkit.utils import BuildError, ConfigError, ToolkitError

ROOT = Path(__file__).resolve().parents[3]
WORLD = 2
LAUNCH = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Points(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.tensor([index / 8, 1 - index / 4]), torch.tensor(index / 10)


class Net(BaseModel):
    """Dropout draws from each rank's own generator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 6), nn.LayerNorm(6), nn.Dropout(0.3), nn.Linear(6, 1))
        self.initialised = 0

    def init_weights(self) -> None:
        self.initialised += 1

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        out = self.net(inputs)[:, 0]
        return {"loss": (out - data_samples).square().mean()} if mode == "loss" else list(out)


class Count(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [float(out) for out in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"count": float(len(results)), "sum": sum(results)}


class Kill(Hook):
    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == 3:
            raise KeyboardInterrupt


def make(folder: str, strategy: Any, processes: int, **changes: Any) -> FlexibleRunner:
    loader = {"dataset": Points(), "batch_size": 4 // processes, "collate_fn": {"type": "default_collate"}}
    arguments: dict[str, Any] = {
        "work_dir": folder,
        "strategy": strategy,
        "train_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "train_cfg": {"by_epoch": True, "max_epochs": 3},
        "val_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}},
        "val_cfg": {},
        "val_evaluator": Count(),
        "test_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}},
        "test_cfg": {},
        "test_evaluator": Count(),
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        "param_scheduler": {"type": "ExponentialLR", "gamma": 0.9},
        "default_hooks": {"checkpoint": {"interval": 1, "by_epoch": False}},
        "randomness": {"seed": 1, "diff_rank_seed": True},
        "env_cfg": {"dist_cfg": {"backend": "gloo"}, "device": "cpu"},
        "log_level": "ERROR",
    }
    return FlexibleRunner(Net(), **{**arguments, **changes})


def whole_and_cut(folder: str, strategy: Any, processes: int) -> dict[str, Any]:
    """What came of a training, and of one that was killed and resumed."""
    whole = make(f"{folder}/whole", strategy, processes)
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        make(f"{folder}/cut", strategy, processes, custom_hooks=[Kill()]).train()
    resumed = make(f"{folder}/cut", strategy, processes, resume=True)
    resumed.train()
    tested = make(f"{folder}/tested", strategy, processes, load_from=f"{folder}/whole/iter_6.pth")
    return {
        "whole": get_state_dict(whole.model),
        "resumed": get_state_dict(resumed.model),
        "names": (type(whole.strategy).__name__, type(whole.model).__name__, whole.launcher),
        "counts": (resumed.epoch, resumed.iter),
        "metrics": [whole.val(), whole.test(), tested.test(), resumed.val()],
        "initialised": getattr(whole.model, "module", whole.model).initialised,
    }


class Gan(BaseModel):
    """A generator and a discriminator, which take steps in turn, and a part without parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        return list(self.generator(inputs))

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        real = self.data_preprocessor(data, True)[0]
        with optim_wrapper["discriminator"].optim_context(self.discriminator):
            fake = self.generator(self.frozen(real)).detach()
            loss_d = self.discriminator(fake).square().mean() - self.discriminator(real).mean()
        optim_wrapper["discriminator"].update_params(loss_d)
        with optim_wrapper["generator"].optim_context(self.generator):
            loss_g = (self.discriminator(self.generator(real)) - 1).square().mean()
        optim_wrapper["generator"].update_params(loss_g)
        optim_wrapper["discriminator"].zero_grad()
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach()}


def fit_gan(folder: str, processes: int, **changes: Any) -> Runner:
    model = Gan()
    optimizers = {
        name: OptimWrapper(torch.optim.SGD(getattr(model, name).parameters(), lr=0.1))
        for name in ("generator", "discriminator")
    }
    loader = {"dataset": Points(), "batch_size": 4 // processes, "collate_fn": {"type": "default_collate"}}
    runner = Runner(
        model=model,
        work_dir=folder,
        train_dataloader={**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        train_cfg={"by_epoch": True, "max_epochs": 3},
        optim_wrapper=OptimWrapperDict(**optimizers),
        randomness={"seed": 1},
        launcher="none" if processes == 1 else "pytorch",
        env_cfg={"dist_cfg": {"backend": "gloo"}, "device": "cpu"},
        cfg={"model_wrapper_cfg": {"type": "MMSeparateDistributedDataParallel"}} if processes > 1 else None,
        log_level="ERROR",
        **changes,
    )
    runner.train()
    return runner


def _no_sync(model: MMSeparateDistributedDataParallel) -> bool:
    """Whether gradients stay apart within `no_sync`, and meet outside of it."""
    apart = []
    for context in (model.no_sync, lambda: torch.enable_grad()):
        model.zero_grad()
        with context():
            model.module.discriminator(torch.full((1, 2), 1.0 + get_rank())).sum().backward()
        gradient = model.module.discriminator.module[0].weight.grad
        both = [torch.empty_like(gradient) for _ in range(WORLD)]
        torch.distributed.all_gather(both, gradient)
        apart.append(not torch.equal(*both))
    return apart == [True, False]


def _process(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ddp": whole_and_cut(f"{folder}/ddp", None, WORLD),
        "fsdp": whole_and_cut(f"{folder}/fsdp", FSDP, WORLD),
    }
    gan = fit_gan(f"{folder}/gan", WORLD)
    model = gan.model
    found["gan"] = get_state_dict(model)
    found["wrapped"] = [isinstance(child, MMDistributedDataParallel) for child in model.module.children()]
    found["no_sync"] = _no_sync(model)
    model.eval()
    found["modes"] = [model.module.generator.module.training, model.train().module.generator.module.training]
    found["steps"] = len(model.val_step([torch.ones(3, 2)])) + len(model.test_step([torch.ones(1, 2)]))
    found["gan resumed"] = get_state_dict(
        fit_gan(f"{folder}/gan2", WORLD, resume=True, load_from=f"{folder}/gan/epoch_1.pth").model
    )
    skipping = make(f"{folder}/skip", {**FSDP, "skip_init_weights": True}, WORLD)
    skipping.train()
    found["skipped"] = skipping.model.module.initialised
    with pytest.raises(ConfigError, match="runs in one process"):
        make(f"{folder}/none", SingleDeviceStrategy(), WORLD, launcher="pytorch")
    return found


FSDP = {
    "type": "FSDPStrategy",
    "model_wrapper": {"auto_wrap_policy": {"type": "size_based_auto_wrap_policy", "min_num_params": 12}},
    "activation_checkpointing": {"check_fn": lambda module: isinstance(module, nn.Sequential)},
    "state_dict_cfg": "full",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strategies")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    return run_processes(_process, folder)


def check(found: dict[str, Any]) -> None:
    assert_close(found["resumed"], found["whole"], rtol=0, atol=0)
    assert found["counts"] == (3, 6)
    first, *others = found["metrics"]
    assert first["count"] == 8
    assert all(one == pytest.approx(first, abs=1e-6) for one in others)
    assert found["initialised"] == 1


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("ddp", ("DDPStrategy", "MMDistributedDataParallel", "pytorch")),
        ("fsdp", ("FSDPStrategy", "MMFullyShardedDataParallel", "pytorch")),
    ],
)
def test_trains_validates_and_resumes(two: list[dict[str, Any]], folder: Path, key: str, names: Any) -> None:
    for rank in two:
        check(rank[key])
        assert rank[key]["names"] == names
    assert_close(two[1][key]["whole"], two[0][key]["whole"], rtol=0, atol=0)
    model = Net()
    load_checkpoint(model, folder / key / "whole" / "iter_6.pth", strict=True)
    assert_close(model.state_dict(), two[0][key]["whole"], rtol=0, atol=0)


def test_sharded_and_copied_models_train_alike(two: list[dict[str, Any]]) -> None:
    assert_close(two[0]["fsdp"]["whole"], two[0]["ddp"]["whole"], rtol=0, atol=1e-6)
    assert two[0]["skipped"] == 0


def test_one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCH:
        monkeypatch.delenv(name, raising=False)
    found = whole_and_cut(str(tmp_path), None, 1)
    check(found)
    assert found["names"] == ("SingleDeviceStrategy", "Net", "none")


def test_parts_of_a_gan_train_as_in_one_process(two: list[dict[str, Any]], tmp_path: Path) -> None:
    alone = fit_gan(str(tmp_path), 1).model
    for rank in two:
        assert_close(rank["gan"], alone.state_dict(), rtol=0, atol=1e-6)
        assert_close(rank["gan"], two[0]["gan"], rtol=0, atol=0)
        assert_close(rank["gan resumed"], rank["gan"], rtol=0, atol=0)
        assert rank["wrapped"] == [False, True, True, False]
        assert rank["no_sync"]
        assert rank["modes"] == [False, True]
        assert rank["steps"] == 4
    assert (alone.generator[0].weight - Gan().generator[0].weight).abs().max() > 1e-3


def test_its_checkpoint_is_that_of_one_process(two: list[dict[str, Any]], folder: Path) -> None:
    model = Gan()
    load_checkpoint(model, folder / "gan" / "epoch_3.pth", strict=True)
    assert_close(model.state_dict(), two[0]["gan"], rtol=0, atol=0)


def test_settings_of_a_strategy_win(tmp_path: Path) -> None:
    strategy = SingleDeviceStrategy(
        work_dir=str(tmp_path / "own"),
        experiment_name="named",
        env_kwargs={"randomness": {"seed": 7}, "num_threads": torch.get_num_threads()},
        log_kwargs={"log_level": "WARNING"},
        auto_scale_lr={"base_batch_size": 2, "enable": True},
    )
    runner = make(str(tmp_path / "other"), strategy, 1)
    assert runner.work_dir == str(tmp_path / "own")
    assert runner.experiment_name.startswith("named_")
    assert runner.seed == 7
    assert runner.logger.level == 30
    runner.train()
    # Twice the batch, twice the rate; and 0.9 of it after the first epoch and the second.
    assert runner.optim_wrapper.get_lr()["lr"] == pytest.approx([0.2 * 0.9**2])


def test_a_path_to_resume_and_compile(tmp_path: Path) -> None:
    make(str(tmp_path / "a"), None, 1, train_cfg={"by_epoch": True, "max_epochs": 1}).train()
    runner = make(
        str(tmp_path / "b"), None, 1, resume=str(tmp_path / "a" / "iter_2.pth"), compile={"backend": "eager"}
    )
    assert runner.cfg["compile"] == {"backend": "eager"}
    runner.train()
    torch._dynamo.reset()  # what it has learnt of train_step would be part of the next test's graph
    assert (runner.epoch, runner.iter) == (3, 6)


def test_from_a_whole_config(tmp_path: Path) -> None:
    made = []

    @STRATEGIES.register_module(name="CountingForTest")
    class Counting(SingleDeviceStrategy):
        def before_loop(self, runner: Any) -> None:
            made.append(runner)

    @RUNNER_CONSTRUCTORS.register_module(name="NamingForTest")
    class Naming(DefaultRunnerConstructor):
        def __call__(self) -> Any:
            assert "constructor" not in self.runner_cfg
            self.runner_cfg["experiment_name"] = "constructed"
            return super().__call__()

    cfg = Config.fromfile(ROOT / "configs" / "quickstart" / "resnet_shapes.py")
    cfg.runner_type, cfg.constructor = "FlexibleRunner", "NamingForTest"
    cfg.strategy, cfg.work_dir, cfg.log_level = {"type": "CountingForTest"}, str(tmp_path), "ERROR"
    try:
        runner = RUNNERS.build(cfg)
        cfg.strategy["work_dirs"] = "x"
        with pytest.raises(ToolkitError, match="did you mean 'work_dir'"):
            RUNNERS.build(cfg)
    finally:
        del STRATEGIES.module_dict["CountingForTest"], RUNNER_CONSTRUCTORS.module_dict["NamingForTest"]
    assert isinstance(runner, FlexibleRunner)
    assert isinstance(runner.strategy, Counting)
    assert runner.experiment_name.startswith("constructed")
    assert cfg["constructor"] == "NamingForTest"
    assert made == []


def test_one_process_tests_without_the_strategy_of_the_training(tmp_path: Path) -> None:
    cfg = Config.fromfile(ROOT / "configs" / "quickstart" / "resnet_shapes.py")
    cfg.strategy, cfg.work_dir, cfg.log_level = {"type": "FSDPStrategy"}, str(tmp_path), "ERROR"
    assert isinstance(build_runner(cfg, mode="test").strategy, SingleDeviceStrategy)
    with pytest.raises(ConfigError, match="FSDPStrategy needs a launcher"):
        build_runner(cfg, mode="train")
    assert "strategy" not in config_of({"meta": {"cfg": cfg.pretty_text}})


def test_the_guides_examples_are_right() -> None:
    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    _, _, rest = guide.partition("<!-- example: sharded -->\n```python\n")
    example = Config.fromstring(rest.partition("```")[0], ".py")
    cfg = Config.fromfile(ROOT / "configs" / "swin" / "mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py")
    cfg.merge_from_dict(dict(example))
    check_config(cfg, files=False)
    cfg.model_wrapper_cfg["auto_wrap_polic"] = 1
    with pytest.raises(ToolkitError, match="did you mean 'auto_wrap_policy'"):
        check_config(cfg, files=False)


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a launcher"):
        make(str(tmp_path), DDPStrategy(), 1, launcher="none")
    with pytest.raises(BuildError, match="must be a strategy or a dict, got int"):
        make(str(tmp_path), 3, 1)
    with pytest.raises(BuildError, match="did you mean 'FSDPStrategy'"):
        make(str(tmp_path), {"type": "FSDPStrategie"}, 1)
    with pytest.raises(ConfigError, match="it takes log_level"):
        SingleDeviceStrategy(log_kwargs={"level": "INFO"})
    with pytest.raises(ConfigError, match="none of full"):
        FSDPStrategy(state_dict_cfg="half")
    with pytest.raises(ConfigError, match="a dict with check_fn"):
        FSDPStrategy(activation_checkpointing={"policy": 1})
    with pytest.raises(NotImplementedError, match="wrap_model"):
        BaseStrategy().wrap_model(nn.Linear(1, 1), torch.device("cpu"), None)  # type: ignore[arg-type]
