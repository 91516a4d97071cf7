"""The Runner: sets a run up from its parts, and trains, validates and tests."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from toolkit.dist import get_dist_info, master_only
from toolkit.logging import FILE_ONLY
from toolkit.registry import RUNNERS, DefaultScope
from toolkit.runner import build, environment, options, start, state, unused
from toolkit.runner.checkpointing import RunnerCheckpoints
from toolkit.runner.hooks_manager import HookLike, HookManager
from toolkit.utils.errors import ConfigError
from toolkit.utils.seed import derive_seed

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from toolkit.hooks.priority import Priority
    from toolkit.optim import OptimWrapper


@RUNNERS.register_module()
class Runner(RunnerCheckpoints):
    """Holds the parts of a run together; each may be given built, or as its config.

    Training, validation and test each need their dataloader, their ``cfg`` and their optimizer wrapper or
    evaluator, and are built when they are first used. The model and the hooks are built at once.

    Args:
        model: A model, or its config.
        work_dir: Folder of logs and checkpoints; ``./work_dirs/NAME`` by default.
        train_dataloader: A DataLoader, or its config; so are `val_dataloader` and `test_dataloader`, which
            may also be a dict of either by name, for several sets of data (see `EvaluationLoop`).
        train_cfg: A loop, ``dict(by_epoch=True, max_epochs=...)``, ``dict(by_epoch=False, max_iters=...)``,
            or a dict with the ``type`` of a loop; with its further arguments, such as ``val_interval``.
        val_cfg: A loop, or the arguments of `ValLoop`: ``dict()``, ``dict(fp16=True)``.
        test_cfg: The same for `TestLoop`.
        auto_scale_lr: ``dict(base_batch_size=16, enable=True)`` scales learning rates to the real batch size.
        optim_wrapper: An `OptimWrapper`, its config, or a dict of several.
        param_scheduler: A scheduler, a config, or a list of these; for several optimizers a dict of them.
        val_evaluator: An `Evaluator`, a metric, a list of metrics, or their configs; or a dict of these with
            the names of the dataloaders; so is `test_evaluator`.
        default_hooks: Changes to the default hooks by name; None as a value removes one.
        custom_hooks: Further hooks, or their configs.
        data_preprocessor: For a model config that names none.
        load_from: A checkpoint to take weights from, or to resume.
        resume: Go on from `load_from`, or, where that is None, from the newest good checkpoint of `work_dir`.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        env_cfg: See `toolkit.runner.environment.setup_env`.
        log_processor: A `LogProcessor`, or its config.
        log_level: Lowest level that is logged.
        visualizer: A `Visualizer`, or its config.
        default_scope: Scope in which names in configs are looked up first.
        randomness: ``seed`` (drawn and printed if None), ``diff_rank_seed``, ``deterministic``.
        experiment_name: Name of the run; that of the config file by default.
        cfg: The whole config, which is saved beside logs and in checkpoints.
        trust_checkpoint: Unpickle whatever `load_from` holds, which may run code of whoever wrote it.
        strategy: A strategy of `toolkit.runner.strategy`, or its config; by default `SingleDeviceStrategy`,
            or `DDPStrategy` with a launcher.

    Raises:
        ToolkitError: An argument is wrong, or `work_dir` can't be written.
    """

    def __init__(
        self,
        model: nn.Module | Mapping[str, Any],
        work_dir: str | None = None,
        train_dataloader: DataLoader[Any] | Mapping[str, Any] | None = None,
        val_dataloader: DataLoader[Any] | Mapping[str, Any] | None = None,
        test_dataloader: DataLoader[Any] | Mapping[str, Any] | None = None,
        train_cfg: Any = None,
        val_cfg: Any = None,
        test_cfg: Any = None,
        auto_scale_lr: Mapping[str, Any] | None = None,
        optim_wrapper: OptimWrapper | Mapping[str, Any] | None = None,
        param_scheduler: Any = None,
        val_evaluator: Any = None,
        test_evaluator: Any = None,
        default_hooks: Mapping[str, HookLike | None] | None = None,
        custom_hooks: Sequence[HookLike] | None = None,
        data_preprocessor: nn.Module | Mapping[str, Any] | None = None,
        load_from: str | None = None,
        resume: bool = False,
        launcher: str = "none",
        env_cfg: Mapping[str, Any] | None = None,
        log_processor: Any = None,
        log_level: str = "INFO",
        visualizer: Any = None,
        default_scope: str | None = "toolkit",
        randomness: Mapping[str, Any] | None = None,
        experiment_name: str | None = None,
        cfg: Any = None,
        trust_checkpoint: bool = False,
        strategy: Any = None,
    ) -> None:
        options.check_together(
            train_dataloader=train_dataloader, train_cfg=train_cfg, optim_wrapper=optim_wrapper
        )
        options.check_together(val_dataloader=val_dataloader, val_cfg=val_cfg, val_evaluator=val_evaluator)
        options.check_together(
            test_dataloader=test_dataloader, test_cfg=test_cfg, test_evaluator=test_evaluator
        )
        if param_scheduler is not None and optim_wrapper is None:
            raise ConfigError("param_scheduler is given without an optim_wrapper that it could schedule")
        self.cfg = options.as_config(cfg)
        self._train_dataloader, self._train_loop = train_dataloader, train_cfg
        self._val_dataloader, self._val_loop, self._val_evaluator = val_dataloader, val_cfg, val_evaluator
        self._test_dataloader, self._test_loop, self._test_evaluator = (
            test_dataloader,
            test_cfg,
            test_evaluator,
        )
        self.optim_wrapper: Any = optim_wrapper
        self.param_schedulers: Any = param_scheduler
        self._load_from, self._resume, self._trusted = load_from, bool(resume), trust_checkpoint
        self._has_loaded = False
        self._to_resume: tuple[str, dict[str, Any]] | None = None
        self._switches = options.Options.of(
            {**self.cfg, "model": model if isinstance(model, Mapping) else None}
        )
        self.strategy = build.build_strategy(strategy, launcher)
        given: dict[str, Any] = {"work_dir": work_dir, "experiment_name": experiment_name}
        given |= {"launcher": launcher, "env_cfg": env_cfg, "randomness": randomness}
        chosen = self.strategy.settings({**given, "log_level": log_level, "auto_scale_lr": auto_scale_lr})
        self.auto_scale_lr, env_cfg = chosen["auto_scale_lr"], chosen["env_cfg"]
        self._start(chosen, default_scope)
        self.log_processor = self.build_log_processor(log_processor)
        self.logger = self.build_logger(chosen["log_level"])
        self.message_hub = self.build_message_hub()
        start.note_choices(self, env_cfg)
        self.visualizer = self.build_visualizer(visualizer)
        if self.cfg:
            self.visualizer.add_config(self.cfg)
        self.model = self._make_model(self.build_model(model, data_preprocessor), env_cfg)
        self.hook_manager = HookManager()
        self.register_hooks(default_hooks, custom_hooks)
        hooks = f"Hooks will be executed in the following order:\n{self.get_hooks_info()}"
        self.logger.info(hooks, extra=FILE_ONLY)
        self.dump_config()

    def _start(self, settings: Mapping[str, Any], default_scope: str | None) -> None:
        """Set up the process, and what the run is called and where it writes."""
        self._launcher = settings["launcher"]
        env_cfg = settings["env_cfg"]
        self.setup_env(env_cfg)
        self._rank, self._world_size = get_dist_info()
        self.device = environment.choose_device(env_cfg.get("device", self._switches.device))
        self._work_dir = environment.make_work_dir(
            settings["work_dir"] or environment.default_work_dir(self.cfg.filename)
        )
        self._timestamp = environment.make_timestamp(self._work_dir)
        self._log_dir = os.path.join(self._work_dir, self._timestamp)
        os.makedirs(self._log_dir, exist_ok=True)
        self.set_randomness(**(settings["randomness"] or {}))
        name = settings["experiment_name"]
        self._experiment_name = start.unique_name(name, self.cfg.filename, self._timestamp)
        self.default_scope = None
        if default_scope is not None:
            self.default_scope = DefaultScope.get_instance(self._experiment_name, scope_name=default_scope)

    def _make_model(self, model: nn.Module, env_cfg: Mapping[str, Any]) -> nn.Module:
        """The model on its device, changed and wrapped as the config says."""
        model = start.frozen(model, self._switches.freeze, self.logger)
        model = self.wrap_model(self._switches.model_wrapper_cfg, model)
        start.switch_forward(model, self._switches, self.logger)
        return start.channels_last(model, self.logger) if env_cfg.get("channels_last") else model

    def setup_env(self, env_cfg: Mapping[str, Any]) -> None:
        """Set up the process; see `toolkit.runner.environment.setup_env`."""
        self.strategy.setup_env(env_cfg, self._launcher)

    @classmethod
    def from_cfg(cls, cfg: Any, mode: str | None = None, trust_checkpoint: bool = False) -> Runner:
        """Check a whole config, and set up the run that it describes.

        Args:
            cfg: A `Config` or a dict.
            mode: ``train`` or ``test``, which says what is checked; by default ``train`` if `cfg` describes
                one.
            trust_checkpoint: See `Runner`.

        Raises:
            ToolkitError: The config is wrong; the message lists all that is, with file and line.
        """
        from toolkit.runner.preflight import check

        config = options.as_config(cfg)
        check(config, mode or options.mode_of(config))
        arguments = options.runner_arguments(config)
        if mode == "test" and arguments.get("launcher", "none") == "none":
            arguments.pop("strategy", None)  # of the training; one process tests without any
        return cls(**arguments, trust_checkpoint=trust_checkpoint)

    # Running.

    def train(self) -> nn.Module:
        """Train, with validations in between; returns the model.

        Raises:
            ToolkitError: Something of the training is missing or wrong.
        """
        start.require(
            self, "train", self._train_loop, ("train_step", *(("val_step",) if self._val_loop else ()))
        )
        self._find_resumed()
        self._train_loop = self.build_train_loop(self._train_loop)
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        self.scale_lr(self.optim_wrapper, self.auto_scale_lr)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
            start.note_idle_schedulers(self)
        if self._val_loop is not None:
            self._val_loop = self.build_val_loop(self._val_loop)
        self.call_hook("before_run")
        # Weights and training depend on the seed alone, not on what was built, or imported, before.
        environment.apply_seed(derive_seed(self._seed), self.diff_rank_seed, self.deterministic)
        if self._to_resume is None:
            self.strategy.init_weights(self.model)
        gradients = self._to_resume[1].get("gradients", {}) if self._to_resume else {}
        self.load_or_resume()
        self.strategy.before_loop(self)
        self.optim_wrapper.initialize_count_status(
            self.model, self._train_loop.iter, self._train_loop.max_iters
        )
        state.restore_gradients(self.model, gradients)
        start.compile_step(self.model, self._switches.compile, self.logger)
        if self._switches.report_unused_parameters:
            unused.report_after_first_step(self.model, self.optim_wrapper, self.logger)
        self._train_loop.run()
        self.call_hook("after_run")
        model: nn.Module = self.model
        return model

    def val(self) -> dict[str, Any]:
        """Validate the model, with the weights of `load_from` if given; returns the metrics."""
        start.require(self, "val", self._val_loop, ("val_step",))
        self._val_loop = self.build_val_loop(self._val_loop)
        return self._evaluate(self._val_loop)

    def test(self) -> dict[str, Any]:
        """Test the model, with the weights of `load_from` if given; returns the metrics."""
        start.require(self, "test", self._test_loop, ("test_step",))
        self._test_loop = self.build_test_loop(self._test_loop)
        return self._evaluate(self._test_loop)

    def _evaluate(self, loop: Any) -> dict[str, Any]:
        self.call_hook("before_run")
        self.load_or_resume()
        self.strategy.before_loop(self)
        metrics: dict[str, Any] = loop.run()
        self.call_hook("after_run")
        return metrics

    # Hooks.

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call every hook that does something at the point `fn_name`, in order."""
        for callback in self.hook_manager.callbacks(fn_name):
            callback(self, **kwargs)

    def register_hook(self, hook: HookLike, priority: int | str | Priority | None = None) -> None:
        """Add a hook; it is called after those of the same priority. See `HookManager.register`."""
        self.hook_manager.register(hook, priority)

    def register_default_hooks(self, hooks: Mapping[str, HookLike | None] | None = None) -> None:
        """Add the default hooks, changed by `hooks`. See `HookManager.register_defaults`."""
        self.hook_manager.register_defaults(hooks)

    def register_custom_hooks(self, hooks: Sequence[HookLike]) -> None:
        """Add hooks, or what their configs describe."""
        for hook in hooks:
            self.register_hook(hook)

    def register_hooks(
        self,
        default_hooks: Mapping[str, HookLike | None] | None = None,
        custom_hooks: Sequence[HookLike] | None = None,
    ) -> None:
        """Add the default hooks, then the custom ones."""
        self.register_default_hooks(default_hooks)
        self.register_custom_hooks(custom_hooks or ())

    def get_hooks_info(self) -> str:
        """A table of the points of a run and the hooks called there."""
        return self.hook_manager.describe()

    @master_only
    def dump_config(self) -> None:
        """Write the config, with what was chosen, into the work dir."""
        name = Path(self.cfg.filename).name if self.cfg.filename else f"{self._timestamp}.py"
        self.cfg.dump(os.path.join(self._work_dir, name))


def build_runner(cfg: Any, mode: str | None = None, trust_checkpoint: bool = False) -> Runner:
    """The runner of a whole config; ``runner_type`` in it names the class. See `Runner.from_cfg`."""
    runner: Runner = RUNNERS.build(cfg, default_args={"mode": mode, "trust_checkpoint": trust_checkpoint})
    return runner


def set_random_seed(
    seed: int | None = None, deterministic: bool = False, diff_rank_seed: bool = False
) -> int:
    """Seed this process for a script without a runner; returns the seed, drawn if None."""
    chosen = environment.choose_seed(seed)
    environment.apply_seed(chosen, diff_rank_seed, deterministic)
    return chosen
