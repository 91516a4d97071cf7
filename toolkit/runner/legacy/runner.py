"""MMCV 1.x runners over the present one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from toolkit.dist import is_main_process
from toolkit.fileio import is_url
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.hooks.priority import Priority
from toolkit.logging import FILE_ONLY
from toolkit.model import is_model_wrapper
from toolkit.optim import OptimWrapper, OptimWrapperDict
from toolkit.registry import RUNNERS
from toolkit.runner import state
from toolkit.runner.checkpoint.weights import load_weights, unwrapped
from toolkit.runner.hooks_manager import DEFAULT_HOOKS, HookLike
from toolkit.runner.legacy.forward import is_present, mover, run_model, share_gradients
from toolkit.runner.legacy.hook import LegacyHooks, build_hook
from toolkit.runner.legacy.log_buffer import LogBuffer
from toolkit.runner.legacy.registration import TrainingHooks
from toolkit.runner.legacy.workflow import EpochWorkflowLoop, IterWorkflowLoop, checked_workflow
from toolkit.runner.runner import Runner
from toolkit.utils.errors import CheckpointError, ConfigError


class BaseRunner(TrainingHooks, Runner):
    """What MMCV's runners share, over `toolkit.runner.Runner`: position, checkpoints and hooks are its own.

    The model stays on its device, and random generators stay as the script seeded them.

    Args:
        model: With `train_step(data, optimizer)` and `val_step`, which return
            ``dict(loss=…, log_vars={…}, num_samples=…)``; or a `toolkit.model.BaseModel`.
        batch_processor: A function ``(model, data, train_mode)`` that returns the same, in place of these.
        optimizer: An optimizer, or a dict of several.
        work_dir: Folder of logs and checkpoints; ``./work_dirs/run`` by default.
        logger: A `logging.Logger` in place of the runner's own.
        meta: Facts that go into checkpoints; `seed` and `exp_name` are known.
        max_iters: Iterations to train,
        max_epochs: or epochs.

    Attributes:
        mode: 'train' or 'val'.
        outputs: What the model returned for the last batch.
        log_buffer: See `LogBuffer`.
        data_loader: The one that is gone through now.

    Raises:
        ConfigError: `max_iters` and `max_epochs` are both given, or an argument is of a wrong kind.
    """

    counts_epochs = True

    def __init__(
        self,
        model: nn.Module,
        batch_processor: Callable[..., dict[str, Any]] | None = None,
        optimizer: Any = None,
        work_dir: str | None = None,
        logger: Any = None,
        meta: Mapping[str, Any] | None = None,
        max_iters: int | None = None,
        max_epochs: int | None = None,
    ) -> None:
        _check(model, batch_processor, max_iters, max_epochs)
        self.batch_processor = batch_processor
        self.optimizer = optimizer
        self.meta: dict[str, Any] = dict(meta or {})
        self.log_buffer = LogBuffer()
        self.mode: str | None = None
        self.outputs: Any = None
        self.data_loader: Any = None
        self.data_batch: Any = None
        self._inner_iter = 0
        self._max_iters, self._max_epochs = max_iters, max_epochs
        self._pending: tuple[str, dict[str, Any], bool] | None = None
        self._step_kwargs: dict[str, Any] = {}
        self._shares_gradients = False
        device = next((one.device for one in model.parameters()), torch.device("cpu"))
        super().__init__(
            model=model,
            work_dir=work_dir,
            default_hooks=dict.fromkeys(DEFAULT_HOOKS),
            env_cfg={
                "device": str(device),
                "mp_cfg": {"mp_start_method": None, "opencv_num_threads": None},
            },
            randomness={"seed": self.meta.get("seed")},
            default_scope=None,
            experiment_name=self.meta.get("exp_name"),
        )
        self.hook_manager = LegacyHooks(self.counts_epochs)
        self._mover = mover(device)
        if logger is not None:
            self.logger = logger

    def set_randomness(
        self, seed: int | None = None, diff_rank_seed: bool = False, deterministic: bool = False
    ) -> None:
        """Note the seed. MMCV's runners leave the generators as the script has seeded them."""
        self._randomness = {"seed": seed, "diff_rank_seed": diff_rank_seed, "deterministic": deterministic}
        self._seed = torch.initial_seed() % 2**32 if seed is None else int(seed)

    # The run.

    def run(
        self,
        data_loaders: Sequence[Any],
        workflow: Sequence[Sequence[Any]],
        max_epochs: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Train as a workflow says.

        Args:
            data_loaders: One for each entry of `workflow`.
            workflow: ``('train', n)`` and ``('val', n)`` in turn, n epochs (or iterations) each; the whole is
                repeated until the training is complete.
            max_epochs: Epochs to train, if the constructor was not told.
            **kwargs: Passed on to the model's steps.

        Raises:
            ConfigError: The workflow is wrong, or the length of the training is missing.
        """
        flows = checked_workflow(data_loaders, workflow)
        if max_epochs is not None:
            self._max_epochs = max_epochs
        self._step_kwargs = kwargs
        self._train_loop = self._make_loop(data_loaders, flows)
        self.data_loader = self._train_loop.dataloader
        self.optim_wrapper = self._plain_wrapper()
        self._share_gradients()
        self.logger.info(f"Start running, work_dir: {self.work_dir}")
        self.logger.info(f"Hooks:\n{self.get_hook_info()}", extra=FILE_ONLY)
        self.logger.info(f"workflow: {flows}, max: {self._length_text()}")
        self.call_hook("before_run")
        gradients: Mapping[str, torch.Tensor] = {}
        if self._pending is not None:
            path, checkpoint, with_optimizer = self._pending
            self._pending, self._resume = None, True
            gradients = checkpoint.get("gradients", {})
            self._resume_from(path, checkpoint, with_optimizer and self.optim_wrapper is not None)
        if self.optim_wrapper is not None:
            self.optim_wrapper.initialize_count_status(
                self.model, self._train_loop.iter, self._train_loop.max_iters
            )
        state.restore_gradients(self.model, gradients)
        self._train_loop.run()
        self.call_hook("after_run")

    def _share_gradients(self) -> None:
        """Have gradients averaged where no wrapper does it; once."""
        steps_inside = self.batch_processor is None and not is_present(self.model)
        if self._shares_gradients or self.world_size == 1:
            return
        if steps_inside or not is_model_wrapper(self.model):
            self.model = unwrapped(self.model)
            share_gradients(self.model)
            self._shares_gradients = True

    def _make_loop(self, loaders: Sequence[Any], flows: list[tuple[str, int]]) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must implement _make_loop")

    def _length_text(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} must implement _length_text")

    def _plain_wrapper(self) -> OptimWrapper | None:
        if self.optimizer is None:
            return None
        if isinstance(self.optimizer, Mapping):
            return OptimWrapperDict(**{name: OptimWrapper(one) for name, one in self.optimizer.items()})
        return OptimWrapper(self.optimizer)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """The wrapper that the hooks have chosen."""
        return optim_wrapper

    def begin_mode(self, mode: str, loader: Any) -> None:
        """Note what is gone through now."""
        self.mode, self.data_loader = mode, loader

    def begin_iter(self, mode: str, idx: int, data_batch: Any) -> None:
        """Note the batch that is at work."""
        self.mode, self._inner_iter, self.data_batch = mode, idx, data_batch

    def forward_batch(self, data_batch: Any, train_mode: bool) -> dict[str, Any]:
        """Put a batch through the model and note what it gives; returns what is to be logged."""
        context = self.optim_wrapper.optim_context(self.model) if self.optim_wrapper else nullcontext()
        batch = data_batch if is_present(self.model) else self._mover(data_batch, train_mode)
        with context:
            self.outputs = run_model(self, batch, train_mode, **self._step_kwargs)
        log_vars: dict[str, Any] = self.outputs.get("log_vars", {})
        if log_vars:
            self.log_buffer.update(log_vars, self.outputs["num_samples"])
        loss = self.outputs.get("loss")
        return {"loss": loss.detach(), **log_vars} if isinstance(loss, torch.Tensor) else dict(log_vars)

    # What hooks ask.

    @property
    def inner_iter(self) -> int:
        """Number of the batch in its epoch, from 0."""
        return self._inner_iter

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return self._pending[1]["meta"]["epoch"] if self._pending else _of(self._train_loop, "epoch")

    @property
    def iter(self) -> int:
        """Iterations trained."""
        return self._pending[1]["meta"]["iter"] if self._pending else _of(self._train_loop, "iter")

    @property
    def max_epochs(self) -> int:
        """Epochs to train; 1 where it is counted in iterations."""
        return _of(self._train_loop, "max_epochs") or self._max_epochs or 0

    @property
    def max_iters(self) -> int:
        """Iterations to train; 0 where that isn't known before `run`."""
        return _of(self._train_loop, "max_iters") or self._max_iters or 0

    @property
    def by_epoch(self) -> bool:
        """Whether training counts epochs."""
        return self.counts_epochs

    def current_lr(self) -> Any:
        """The learning rate of each group; by optimizer where there are several."""
        return self._of_groups(lambda group: group["lr"])

    def current_momentum(self) -> Any:
        """The momentum (or first beta; 0 where there is neither) of each group, as `current_lr`."""
        return self._of_groups(lambda group: group.get("momentum", group.get("betas", (0,))[0]))

    def _of_groups(self, ask: Callable[[dict[str, Any]], float]) -> Any:
        if self.optimizer is None:
            raise ConfigError("the runner has no optimizer, so there is no learning rate or momentum")
        if isinstance(self.optimizer, Mapping):
            return {name: [ask(group) for group in one.param_groups] for name, one in self.optimizer.items()}
        return [ask(group) for group in self.optimizer.param_groups]

    # Hooks.

    def register_hook(self, hook: HookLike, priority: int | str | Priority | None = None) -> None:
        """Add a hook, old or present; a number or name as `priority`, by default the hook's own."""
        super().register_hook(build_hook(hook), priority)

    def register_hook_from_cfg(self, hook_cfg: Mapping[str, Any]) -> None:
        """Add the hook of a config, where ``priority`` may stand too."""
        arguments = dict(hook_cfg)
        priority = arguments.pop("priority", None)
        self.register_hook(build_hook(arguments), priority)

    def get_hook_info(self) -> str:
        """A table of the points of a run and the hooks called there."""
        return self.get_hooks_info()

    # Checkpoints.

    def resume(  # type: ignore[override]
        self, checkpoint: str, resume_optimizer: bool = True, map_location: Any = "cpu"
    ) -> None:
        """Go on from a checkpoint, of this runner or of MMCV's; call it before `run`.

        Weights, optimizer and position are taken at once, all else when `run` is called.

        Raises:
            CheckpointError: It can't be read, or holds weights only.
        """
        where = "cpu" if map_location == "default" else map_location
        content = read_checkpoint(checkpoint, where, trusted=self._trusted)
        if "iter" not in (content.get("meta") or {}):
            raise CheckpointError(
                f"{checkpoint} holds no position of a training; use load_checkpoint for its weights"
            )
        load_weights(self.model, content, strict="exact", logger=self.logger, source=checkpoint)
        if resume_optimizer and "optimizer" in content and self.optimizer is not None:
            wrapper = self._plain_wrapper()
            assert wrapper is not None
            known = {key: value for key, value in content["optimizer"].items() if key != "loss_scaler"}
            wrapper.load_state_dict(known)
        self._pending = (checkpoint, content, resume_optimizer)

    def save_checkpoint(  # type: ignore[override]
        self,
        out_dir: str,
        filename_tmpl: str | None = None,
        save_optimizer: bool = True,
        meta: Mapping[str, Any] | None = None,
        create_symlink: bool = True,
        by_epoch: bool | None = None,
        **options: Any,
    ) -> None:
        """Write the state of the run, and make ``latest.pth`` stand for it.

        Args:
            out_dir: A folder, or a URL.
            filename_tmpl: Name of the file, with ``{}`` for the epoch or iteration that is over; by default
                ``epoch_{}.pth`` or ``iter_{}.pth``.
            save_optimizer: Whether to write the optimizer's state.
            meta: Further facts.
            create_symlink: Whether to make ``latest.pth``; a copy where links can't be made.
            by_epoch: Whether it is an epoch that is over; by default as the runner counts.
            **options: See `toolkit.runner.Runner.save_checkpoint`.
        """
        counts_epochs = self.counts_epochs if by_epoch is None else by_epoch
        number = (self.epoch if counts_epochs else self.iter) + 1
        name = (filename_tmpl or ("epoch_{}.pth" if counts_epochs else "iter_{}.pth")).format(number)
        super().save_checkpoint(
            out_dir,
            name,
            save_optimizer=save_optimizer and self.optim_wrapper is not None,
            meta={**self.meta, **(meta or {})},
            by_epoch=counts_epochs,
            **options,
        )
        if create_symlink and is_main_process() and not is_url(out_dir):
            _link(os.path.join(out_dir, name), os.path.join(out_dir, "latest.pth"))


@RUNNERS.register_module()
class EpochBasedRunner(BaseRunner):
    """Trains by epochs; see `BaseRunner`."""

    def _make_loop(self, loaders: Sequence[Any], flows: list[tuple[str, int]]) -> Any:
        if self._max_epochs is None:
            raise ConfigError("max_epochs is missing: give it to the runner, as in max_epochs=12")
        loop = EpochWorkflowLoop(self, loaders, flows, self._max_epochs)
        self._max_iters = loop.max_iters
        return loop

    def _length_text(self) -> str:
        return f"{self._max_epochs} epochs"


@RUNNERS.register_module()
class IterBasedRunner(BaseRunner):
    """Trains by iterations; see `BaseRunner`."""

    counts_epochs = False

    def _make_loop(self, loaders: Sequence[Any], flows: list[tuple[str, int]]) -> Any:
        if self._max_iters is None:
            raise ConfigError("max_iters is missing: give it to the runner, as in max_iters=90000")
        return IterWorkflowLoop(self, loaders, flows, self._max_iters)

    def _length_text(self) -> str:
        return f"{self._max_iters} iters"


def _check(model: Any, batch_processor: Any, max_iters: int | None, max_epochs: int | None) -> None:
    if max_iters is not None and max_epochs is not None:
        raise ConfigError(f"only one of max_iters={max_iters} and max_epochs={max_epochs} can be the length")
    if batch_processor is not None and not callable(batch_processor):
        raise ConfigError(f"batch_processor must be a function, got {type(batch_processor).__name__}")
    if batch_processor is None and not hasattr(model, "train_step"):
        raise ConfigError(f"{type(model).__name__} has no train_step(); add it, or give a batch_processor")


def _of(loop: Any, name: str) -> int:
    return int(getattr(loop, name, 0))


def _link(path: str, link: str) -> None:
    temporary = f"{link}.tmp"
    try:
        if os.path.lexists(temporary):
            os.remove(temporary)
        os.symlink(os.path.basename(path), temporary)
        os.replace(temporary, link)
    except OSError:  # a file system without links
        shutil.copy(path, link)
