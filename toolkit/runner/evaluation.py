"""Validation and test: one loop under two names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from toolkit.evaluator import Evaluator
from toolkit.registry import LOOPS
from toolkit.runner.base_loop import BaseLoop
from toolkit.structures import BaseDataElement

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
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        evaluator: Evaluator | Mapping[str, Any] | Sequence[Any],
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        self.evaluator: Evaluator = runner.build_evaluator(evaluator)
        if self.metainfo is not None:
            self.evaluator.dataset_meta = self.metainfo
        self.fp16 = fp16
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
        if self.fp16:
            kind = runner.device.type
            with torch.autocast(kind, torch.bfloat16 if kind == "cpu" else torch.float16):
                outputs = step(data_batch)
        else:
            outputs = step(data_batch)
        outputs = self._take_losses(outputs)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        runner.call_hook(f"after_{role}_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

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
    """Test: hooks `*_test*`, and the model's `test_step`. See `EvaluationLoop` for the arguments."""

    __test__ = False  # not a test case of pytest
    role = "test"
