"""Validation and test: one loop under two names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from toolkit.evaluator import Evaluator
from toolkit.registry import LOOPS
from toolkit.runner.base_loop import BaseLoop
from toolkit.runner.checkpoint.weights import unwrapped
from toolkit.runner.expectations import check_results, checked_expectations
from toolkit.runner.sets import NamedLoaders, is_named_loaders, paired_sets
from toolkit.structures import BaseDataElement
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import DataLoader

    from toolkit.runner.runner import Runner


class EvaluationLoop(BaseLoop):
    """Goes once through the data, hands the predictions to the evaluator and returns its metrics.

    The model is in eval mode meanwhile, and afterwards in the mode that it was in.

    There may be several sets of data, each under a name. They are one epoch for the hooks, whose points are
    called once, with the batches numbered through and all metrics at the end: those of the set ``noisy`` as
    ``noisy/...``.

    Args:
        runner: The runner that the loop belongs to.
        dataloader: A DataLoader, or the config of one; or a dict of either by name.
        evaluator: An `Evaluator`, a metric or a list of metrics, built or as configs; or a dict of any of
            these, with the names of the dataloaders. A single one for several sets must be a config.
        fp16: Run the model under autocast: float16 on an accelerator, bfloat16 on the CPU.
        loss: Compute the losses too, with a second forward pass, and report their means beside the metrics.
            The samples must carry their ground truth (load annotations in the pipeline).

    Attributes:
        evaluators: The evaluators by the name of their set, which is empty for a lone one.
        set_name: The set that is gone through, or was at last; empty for a lone one.

    Raises:
        ConfigError: `loss` is set, and the model has no `loss_step` (that of `BaseModel`); or the names of
            dataloaders and evaluators differ.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        evaluator: Evaluator | Mapping[str, Any] | Sequence[Any],
        fp16: bool = False,
        loss: bool = False,
    ) -> None:
        pairs = paired_sets(self.role, dataloader, evaluator)
        super().__init__(runner, dataloader)
        self.evaluators: dict[str, Evaluator] = {
            name: runner.build_evaluator(own) for name, (_, own) in pairs.items()
        }
        self.set_name = next(iter(pairs))
        for name, loader in self._loaders().items():
            metainfo = getattr(getattr(loader, "dataset", None), "metainfo", None)
            if metainfo is not None:
                self.evaluators[name].dataset_meta = metainfo
        self.fp16, self.loss = fp16, loss
        model = unwrapped(runner.model)
        if loss and not hasattr(model, "loss_step"):
            raise ConfigError(
                f"{self.role}_cfg.loss=True needs a model with loss_step(), as toolkit.model.BaseModel has; "
                f"{type(model).__name__} has none"
            )
        self._losses: dict[str, list[Tensor]] = {}

    def _build_data(self, dataloader: Any) -> Any:
        if not is_named_loaders(dataloader):
            return super()._build_data(dataloader)
        return NamedLoaders(
            {name: self._built_and_checked(one, f"{self.role} {name!r}") for name, one in dataloader.items()}
        )

    def _loaders(self) -> dict[str, Any]:
        loader: Any = self.dataloader
        return loader.loaders if isinstance(loader, NamedLoaders) else {"": loader}

    @property
    def evaluator(self) -> Evaluator:
        """The evaluator of the set that is gone through; between the runs, that of the last."""
        return self.evaluators[self.set_name]

    @evaluator.setter
    def evaluator(self, evaluator: Evaluator) -> None:
        self.evaluators[self.set_name] = evaluator

    def run(self) -> dict[str, float]:
        """Evaluate; returns the metrics by name."""
        runner, role = self.runner, self.role
        was_training = runner.model.training
        runner.call_hook(f"before_{role}")
        runner.call_hook(f"before_{role}_epoch")
        runner.model.eval()
        losses = self._run_sets()
        metrics: dict[str, float] = {}
        for name, loader in self._loaders().items():
            # Only now, that the time which it takes is not counted as waiting for the next set's data.
            found = {**self.evaluators[name].evaluate(len(loader.dataset)), **losses[name]}
            metrics.update({f"{name}/{key}": value for key, value in found.items()} if name else found)
        runner.call_hook(f"after_{role}_epoch", metrics=metrics)
        runner.call_hook(f"after_{role}")
        if was_training:
            runner.model.train()
        return metrics

    def _run_sets(self) -> dict[str, dict[str, float]]:
        """Go through the sets; returns the mean losses of each."""
        idx, losses = 0, {}
        for name, loader in self._loaders().items():
            self._enter(name, loader)
            for data_batch in loader:
                self.run_iter(idx, data_batch)
                idx += 1
            losses[name] = self._mean_losses()
        return losses

    def _enter(self, name: str, loader: Any) -> None:
        self._losses = {}
        if not name:
            return
        self.set_name = name
        self.runner.logger.info(f"{self.role} set {name!r}: {len(loader.dataset)} samples")
        metainfo = getattr(loader.dataset, "metainfo", None)
        if metainfo is not None:
            self.runner.visualizer.dataset_meta = metainfo

    # Not inference_mode: a tensor that the model makes and keeps here, such as its anchors, must serve in
    # training.
    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict one batch and collect what the metrics need of it."""
        runner, role = self.runner, self.role
        runner.call_hook(f"before_{role}_iter", batch_idx=idx, data_batch=data_batch)
        step = runner.model.val_step if role == "val" else runner.model.test_step
        with self._precision():
            outputs = self._take_losses(step(data_batch))
            if self.loss:
                model: Any = unwrapped(runner.model)
                self._add_losses(model.loss_step(data_batch))
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        runner.call_hook(f"after_{role}_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

    def _precision(self) -> AbstractContextManager[Any]:
        if not self.fp16:
            return nullcontext()
        kind = self.runner.device.type
        return torch.autocast(kind, torch.bfloat16 if kind == "cpu" else torch.float16)

    def _add_losses(self, values: dict[str, Tensor]) -> None:
        parts = {name: value for name, value in values.items() if name != "loss"}
        # The sum is made of the means of its parts in the end; a model with one loss has no parts.
        if not any("loss" in name for name in parts):
            parts["loss"] = values["loss"]
        for name, value in parts.items():
            self._losses.setdefault(name, []).append(value)

    def _take_losses(self, outputs: Any) -> Any:
        """A model may append to its predictions an element that holds nothing but its losses as `loss`."""
        if not isinstance(outputs, Sequence) or not outputs:
            return outputs
        last = outputs[-1]
        if not isinstance(last, BaseDataElement) or list(last.keys()) != ["loss"]:
            return outputs
        for name, value in last.loss.items():
            values = value if isinstance(value, list) else [value]
            self._losses.setdefault(name, []).extend(v.detach() for v in values)
        return outputs[:-1]

    def _mean_losses(self) -> dict[str, float]:
        if not self._losses:
            return {}
        means = {name: float(torch.stack(values).float().mean()) for name, values in self._losses.items()}
        total = sum(mean for name, mean in means.items() if "loss" in name)
        return {**means, f"{self.role}_loss": total}


@LOOPS.register_module()
class ValLoop(EvaluationLoop):
    """Validation: hooks `*_val*`, and the model's `val_step`. See `EvaluationLoop` for the arguments."""

    role = "val"


@LOOPS.register_module()
class TestLoop(EvaluationLoop):
    """Test: hooks `*_test*`, and the model's `test_step`.

    Args:
        expected_results: What metrics should be, and how far they may be off:
            ``{'coco/bbox_mAP': (0.374, 0.002)}``. The others are those of `EvaluationLoop`.

    Raises:
        ConfigError: An expectation isn't a pair of numbers.
    """

    __test__ = False  # not a test case of pytest
    role = "test"

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        evaluator: Evaluator | Mapping[str, Any] | Sequence[Any],
        fp16: bool = False,
        loss: bool = False,
        expected_results: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16, loss)
        self.expected_results = checked_expectations(expected_results or {})

    def run(self) -> dict[str, float]:
        """Evaluate; returns the metrics by name.

        Raises:
            ResultsError: They aren't those of `expected_results`.
        """
        metrics = super().run()
        if self.expected_results:
            check_results(metrics, self.expected_results, self.runner.logger)
        return metrics
