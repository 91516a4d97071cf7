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
from toolkit.structures import BaseDataElement
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import DataLoader

    from toolkit.runner.runner import Runner


class EvaluationLoop(BaseLoop):
    """Goes once through a dataset, hands the predictions to the evaluator and returns its metrics.

    The model is in eval mode meanwhile, and afterwards in the mode that it was in.

    Args:
        runner: The runner that the loop belongs to.
        dataloader: A DataLoader, or the config of one.
        evaluator: An `Evaluator`, a metric or a list of metrics, built or as configs.
        fp16: Run the model under autocast: float16 on an accelerator, bfloat16 on the CPU.
        loss: Compute the losses too, with a second forward pass, and report their means beside the metrics.
            The samples must carry their ground truth (load annotations in the pipeline).

    Raises:
        ConfigError: `loss` is set, and the model has no `loss_step` (that of `BaseModel`).
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        evaluator: Evaluator | Mapping[str, Any] | Sequence[Any],
        fp16: bool = False,
        loss: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        self.evaluator: Evaluator = runner.build_evaluator(evaluator)
        if self.metainfo is not None:
            self.evaluator.dataset_meta = self.metainfo
        self.fp16, self.loss = fp16, loss
        model = unwrapped(runner.model)
        if loss and not hasattr(model, "loss_step"):
            raise ConfigError(
                f"{self.role}_cfg.loss=True needs a model with loss_step(), as toolkit.model.BaseModel has; "
                f"{type(model).__name__} has none"
            )
        self._losses: dict[str, list[Tensor]] = {}

    def run(self) -> dict[str, float]:
        """Evaluate; returns the metrics by name."""
        runner, role = self.runner, self.role
        was_training = runner.model.training
        runner.call_hook(f"before_{role}")
        runner.call_hook(f"before_{role}_epoch")
        runner.model.eval()
        self._losses.clear()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        metrics = self.evaluator.evaluate(len(self.dataset))
        metrics.update(self._mean_losses())
        runner.call_hook(f"after_{role}_epoch", metrics=metrics)
        runner.call_hook(f"after_{role}")
        if was_training:
            runner.model.train()
        return metrics

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
