"""The loops of the legacy runners: the present training loops, led by a workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, dropwhile, islice, repeat
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from toolkit.runner.loops import EpochBasedTrainLoop, IterBasedTrainLoop, TrainLoop
from toolkit.runner.stream import BatchStream
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.runner.legacy.runner import BaseRunner

Flow = tuple[str, int]
_MODES = ("train", "val")


def checked_workflow(loaders: Sequence[Any], workflow: Sequence[Sequence[Any]]) -> list[Flow]:
    """A workflow as ``(mode, count)`` pairs, one for each dataloader.

    Raises:
        ConfigError: It is malformed, doesn't fit the loaders, or trains nothing.
    """
    flows: list[Flow] = []
    for flow in workflow:
        if len(flow) != 2 or flow[0] not in _MODES or not isinstance(flow[1], int) or flow[1] < 1:
            raise ConfigError(
                "a workflow is a list of (mode, count), mode 'train' or 'val' and count at least 1, such as "
                f"[('train', 1), ('val', 1)]; got {flow!r}"
            )
        flows.append((flow[0], flow[1]))
    if len(loaders) != len(flows):
        raise ConfigError(f"a workflow has a dataloader for each entry: {len(loaders)} for {len(flows)}")
    if all(mode != "train" for mode, _ in flows):
        raise ConfigError(f"the workflow {flows} never trains and would not end; add ('train', 1)")
    return flows


class LegacyIteration(TrainLoop):
    """What the two loops share: the workflow, and an iteration that leaves the step to a hook.

    Args:
        runner: The runner that the loop belongs to.
        loaders: A dataloader for each entry of the workflow.
        workflow: What `checked_workflow` gave.
        **length: ``max_epochs`` or ``max_iters``.
    """

    _runner: BaseRunner

    def __init__(
        self, runner: BaseRunner, loaders: Sequence[Any], workflow: Sequence[Flow], **length: int
    ) -> None:
        first = next(i for i, (mode, _) in enumerate(workflow) if mode == "train")
        super().__init__(runner, loaders[first], **length)  # type: ignore[arg-type]
        self.workflow = list(workflow)
        self.loaders = list(loaders)

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """One iteration: hooks, the forward pass, hooks; one of the latter is `OptimizerHook`."""
        runner = self._runner
        runner.begin_iter("train", idx, data_batch)
        for hook in runner.hook_manager.callbacks("before_train_iter"):
            hook(runner, batch_idx=idx, data_batch=data_batch)
        log_vars = runner.forward_batch(data_batch, train_mode=True)
        self._steps += 1
        self._batch = idx + 1
        for hook in runner.hook_manager.callbacks("after_train_iter"):
            hook(runner, batch_idx=idx, data_batch=data_batch, outputs=log_vars)
        runner.data_batch = None
        self._iter += 1

    def val_iter(self, idx: int, data_batch: Any) -> None:
        """One batch of a validation flow."""
        runner = self._runner
        runner.begin_iter("val", idx, data_batch)
        runner.call_hook("before_val_iter", batch_idx=idx, data_batch=data_batch)
        with torch.no_grad():
            runner.forward_batch(data_batch, train_mode=False)
        runner.call_hook("after_val_iter", batch_idx=idx, data_batch=data_batch, outputs=None)
        runner.data_batch = None

    def plan(self, done: int) -> Iterator[tuple[str, int]]:
        """The workflow's modes and the places of their loaders, from `done` epochs (iterations) on."""
        cycle = [(mode, place) for place, (mode, _) in enumerate(self.workflow)]
        counts = [count for _, count in self.workflow]
        length = sum(count for mode, count in self.workflow if mode == "train")

        def endless() -> Iterator[tuple[str, int]]:
            while True:
                yield from chain.from_iterable(repeat(one, n) for one, n in zip(cycle, counts, strict=True))

        entries = endless()
        past = (done - 1) % length + 1 if done else 0
        for _ in range(past):
            next(entry for entry in entries if entry[0] == "train")
        if (done or self._batch) and not self._val_due:
            return dropwhile(lambda entry: entry[0] == "val", entries)
        return entries


class EpochWorkflowLoop(LegacyIteration, EpochBasedTrainLoop):
    """Training counted in epochs, with whole validation epochs in between."""

    def __init__(
        self, runner: BaseRunner, loaders: Sequence[Any], workflow: Sequence[Flow], max_epochs: int
    ) -> None:
        super().__init__(runner, loaders, workflow, max_epochs=max_epochs)
        self.streams = {
            place: self.stream if loader is self.dataloader else BatchStream(loader)
            for place, (loader, (mode, _)) in enumerate(zip(self.loaders, self.workflow, strict=True))
            if mode == "train"
        }

    def run(self) -> nn.Module:
        """Train; returns the model."""
        runner = self._runner
        runner.call_hook("before_train")
        self._restore_rng(last=not self._batch)
        for mode, place in self.plan(self._epoch):
            if mode == "train":
                if self._epoch >= self._max_epochs or self.stop_training:
                    break
                self._val_due = False
                self._choose(place)
                self.run_epoch()
            else:
                self._val_due = False
                self._run_val(place)
        runner.call_hook("after_train")
        model: nn.Module = runner.model
        return model

    def run_epoch(self) -> None:
        """One epoch, or what is left of it."""
        self._runner.begin_mode("train", self.dataloader)
        super().run_epoch()

    def _run_val(self, place: int) -> None:
        runner, loader = self._runner, self.loaders[place]
        runner.begin_mode("val", loader)
        runner.model.eval()
        runner.call_hook("before_val")
        runner.call_hook("before_val_epoch")
        for idx, data_batch in enumerate(loader):
            self.val_iter(idx, data_batch)
        runner.call_hook("after_val_epoch")
        runner.call_hook("after_val")

    def _choose(self, place: int) -> None:
        self.dataloader, self.stream = self.loaders[place], self.streams[place]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position that `state_dict` gave."""
        # The stream that the position is of: that of the epoch to go on with.
        ahead = islice((place for mode, place in self.plan(int(state["epoch"])) if mode == "train"), 1)
        self._choose(next(ahead))
        super().load_state_dict(state)


class IterWorkflowLoop(LegacyIteration, IterBasedTrainLoop):
    """Training counted in iterations, with single batches of validation in between."""

    def __init__(
        self, runner: BaseRunner, loaders: Sequence[Any], workflow: Sequence[Flow], max_iters: int
    ) -> None:
        if sum(mode == "train" for mode, _ in workflow) > 1:
            raise ConfigError(
                "an iteration-based workflow trains on one dataloader; join the datasets in a ConcatDataset"
            )
        super().__init__(runner, loaders, workflow, max_iters=max_iters)
        self._val_batches: dict[int, Iterator[Any]] = {}

    @property
    def epoch(self) -> int:
        """How often the dataloader was gone through."""
        return self.stream.epoch

    def start_at(self, iteration: int) -> None:
        """Count from an iteration on; the dataloader is one that yields what is left."""
        self._iter = self._steps = self.stream.drawn = iteration

    def run(self) -> nn.Module:
        """Train; returns the model."""
        runner = self._runner
        runner.begin_mode("train", self.dataloader)
        runner.model.train()
        runner.call_hook("before_train")
        runner.call_hook("before_train_epoch")
        batches = self.stream.endless(self.stream.epoch, self.stream.batch)
        self._restore_rng(last=True)
        for mode, place in self.plan(self._iter):
            self._val_due = False
            if mode == "val":
                self._run_val(place)
            elif self._iter >= self._max_iters or self.stop_training:
                break
            else:
                self._switch("train", self.dataloader)
                self.run_iter(self._iter, next(batches))
        runner.call_hook("after_train_epoch")
        runner.call_hook("after_train")
        model: nn.Module = runner.model
        return model

    def _run_val(self, place: int) -> None:
        self._switch("val", self.loaders[place])
        if place not in self._val_batches:
            self._val_batches[place] = BatchStream(self.loaders[place]).endless(0)
        self.val_iter(self._iter, next(self._val_batches[place]))

    def _switch(self, mode: str, loader: Any) -> None:
        runner = self._runner
        if runner.mode != mode or runner.data_loader is not loader:
            runner.begin_mode(mode, loader)
            runner.model.train(mode == "train")
