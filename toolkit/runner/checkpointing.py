"""Loading, resuming and saving: the part of the runner that deals with checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.dist import broadcast_object_list, is_main_process
from toolkit.fileio import join_path
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.runner import start, state
from toolkit.runner.base_loop import BaseLoop
from toolkit.runner.building import RunnerBuilding
from toolkit.runner.checkpoint.latest import read_latest_checkpoint
from toolkit.runner.checkpoint.weights import load_weights
from toolkit.runner.checkpoint.writing import mark_latest, save_checkpoint
from toolkit.utils.errors import CheckpointError


class RunnerCheckpoints(RunnerBuilding):
    """The methods of `Runner` that read and write checkpoints."""

    _load_from: str | None
    _resume: bool
    _trusted: bool
    _has_loaded: bool
    _to_resume: tuple[str, dict[str, Any]] | None

    def load_or_resume(self) -> None:
        """Resume from or load a checkpoint, as `resume` and `load_from` say; only the first call does."""
        if self._has_loaded:
            return
        training = isinstance(self._train_loop, BaseLoop)
        if training and self._to_resume is not None:
            path, checkpoint = self._to_resume
            self._to_resume = None
            self._resume_from(path, checkpoint)
        elif self._load_from is not None:
            # What is validated or tested must be all there; a training may start from a part.
            self.load_checkpoint(self._load_from, strict=False if training else "complete")
        elif self._resume and not training:
            found = self._agreed_checkpoint(None)
            if found is not None:
                self._load(*found, strict="complete")

    def _find_resumed(self) -> None:
        """Read the checkpoint to resume, before anything is built: its seed is that of the whole run."""
        if not self._resume or self._has_loaded:
            return
        self._to_resume = self._agreed_checkpoint(self._load_from)
        if self._to_resume is None:
            self.logger.info(
                f"resume: there is no checkpoint in {self._work_dir} yet, training starts afresh"
            )
        if self._to_resume is not None:
            self._take_seed(self._to_resume[1])

    def _agreed_checkpoint(self, path: str | None) -> tuple[str, dict[str, Any]] | None:
        """The checkpoint at `path`, or the newest good one, which rank 0 chooses for all."""
        if path is not None:
            return path, read_checkpoint(path, trusted=self._trusted)
        found, problem = None, None
        if self.rank == 0:
            try:
                found = read_latest_checkpoint(self._work_dir, self.logger.warning, trusted=self._trusted)
            except CheckpointError as error:
                problem = str(error)
        agreed: list[Any] = [found and found[0], problem]
        broadcast_object_list(agreed)
        if agreed[1] is not None:
            raise CheckpointError(agreed[1])
        if self.rank == 0 or agreed[0] is None:
            return found
        return agreed[0], read_checkpoint(agreed[0], trusted=self._trusted)

    def _take_seed(self, checkpoint: Mapping[str, Any]) -> None:
        seed = (checkpoint.get("meta") or {}).get("seed")
        if seed is None or seed == self._seed:
            return
        if self._randomness.get("seed") is not None:
            self.logger.warning(
                f"the seed of the checkpoint, {seed}, is used; randomness.seed={self._seed} is not"
            )
        self.set_randomness(**{**self._randomness, "seed": int(seed)})
        start.note_seed(self)

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "cpu",
    ) -> None:
        """Put the run into the state of a checkpoint: weights, optimizer, schedulers, hooks, position,
        random numbers.

        Args:
            filename: The checkpoint.
            resume_optimizer: Whether to take the optimizer's state.
            resume_param_scheduler: Whether to take the schedulers' state.
            map_location: As for `torch.load`; state moves to where it belongs in any case.

        Raises:
            CheckpointError: It can't be read, or is none of this run.
        """
        self._resume = True
        where = "cpu" if map_location == "default" else map_location
        checkpoint = read_checkpoint(filename, where, trusted=self._trusted)
        self._resume_from(filename, checkpoint, resume_optimizer, resume_param_scheduler)

    def _resume_from(
        self, path: str, checkpoint: dict[str, Any], optimizer: bool = True, scheduler: bool = True
    ) -> None:
        start.report_changes(self.cfg, checkpoint, self.logger)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        state.restore(self, checkpoint, path, optimizer, scheduler)
        if optimizer:
            self.strategy.load(path)
        self._has_loaded = True
        self.logger.info(f"resumed from {path}: epoch {self.epoch}, iteration {self.iter}")

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool | str = False,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> dict[str, Any]:
        """Load the weights of a checkpoint into the model; see `toolkit.runner.load_checkpoint`.

        Returns:
            The checkpoint.

        Raises:
            CheckpointError: It can't be read, or doesn't fit.
        """
        checkpoint = read_checkpoint(filename, map_location, trusted=self._trusted)
        self._load(filename, checkpoint, strict, revise_keys)
        return checkpoint

    def _load(
        self,
        path: str,
        checkpoint: dict[str, Any],
        strict: bool | str,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> None:
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        load_weights(self.model, checkpoint, strict, self.logger, revise_keys, source=path)
        self._has_loaded = True
        self.logger.info(f"loaded the weights of {path}")

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: Mapping[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: Mapping[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the state of the run. All ranks call it, since each adds its random generators; rank 0
        writes.

        Args:
            out_dir: A folder, or a URL.
            filename: Name of the file in it.
            file_client_args: The former name of `backend_args`.
            save_optimizer: Whether to write the optimizer's state.
            save_param_scheduler: Whether to write the schedulers' state.
            meta: Further facts.
            by_epoch: Whether an epoch has just ended, not an iteration.
            backend_args: Options of the file system of a URL.

        Raises:
            CheckpointError: It can't be written, or a part has state that can't be stored.
        """
        path = join_path(out_dir, filename)
        if save_optimizer:
            self.strategy.save(path)
        checkpoint = state.collect(self, save_optimizer, save_param_scheduler, meta, by_epoch)
        if is_main_process():
            self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
            save_checkpoint(checkpoint, path, file_client_args, backend_args)
            if save_optimizer:  # otherwise it is none to resume from
                mark_latest(path, self.work_dir)
