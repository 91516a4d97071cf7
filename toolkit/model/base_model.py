"""`BaseModel`: what the loops ask of a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.model.data_preprocessor import BaseDataPreprocessor
from toolkit.model.steps import run_forward, take_step
from toolkit.registry import MODELS
from toolkit.utils import ConfigError, TrainingError


class BaseModel(BaseModule):
    """Base of all models that a runner trains.

    A subclass implements `forward`; preprocessing, the sum of the losses and the optimisation step are here.

    Args:
        data_preprocessor: Moves a batch to the model's device and shapes it for `forward`: a module, or the
            config of one. Defaults to `BaseDataPreprocessor`, which only moves it.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self, data_preprocessor: dict[str, Any] | nn.Module | None = None, init_cfg: InitCfg = None
    ) -> None:
        super().__init__(init_cfg)
        if data_preprocessor is None:
            data_preprocessor = BaseDataPreprocessor()
        elif isinstance(data_preprocessor, dict):
            data_preprocessor = MODELS.build(data_preprocessor)
        if not isinstance(data_preprocessor, nn.Module):
            raise ConfigError(
                f"data_preprocessor of {type(self).__name__} must be a dict or a torch.nn.Module, "
                f"got {type(data_preprocessor).__name__}"
            )
        self.data_preprocessor = data_preprocessor

    @abstractmethod
    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Losses, predictions or raw output of a preprocessed batch.

        Args:
            inputs: The batch, usually a tensor (N, C, H, W).
            data_samples: Annotations and meta information, one item a sample.
            mode: 'loss' for a dict of losses (tensors or lists of tensors), 'predict' for a list of
                predictions, one a sample, 'tensor' for whatever the network itself gives.
        """

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One optimisation step: preprocess, forward, sum the losses, update the weights.

        Args:
            data: A batch as the dataloader gives it: a dict (unpacked by name) or a sequence (by place).
            optim_wrapper: An `OptimWrapper` of this model's parameters.

        Returns:
            What is to be logged: `loss` and each part of it, as detached tensors on the model's device.
        """
        return take_step(self, self, data, optim_wrapper)[1]

    def val_step(self, data: Any) -> Any:
        """Predictions of a batch as the dataloader gives it."""
        return self._run_forward(self.data_preprocessor(data, False), mode="predict")

    def test_step(self, data: Any) -> Any:
        """Predictions of a batch as the dataloader gives it."""
        return self._run_forward(self.data_preprocessor(data, False), mode="predict")

    def loss_step(self, data: Any) -> dict[str, Tensor]:
        """Losses of a batch as the dataloader gives it, without training on it; `loss` is their sum.

        Raises:
            TrainingError: See `parse_losses`.
        """
        losses = self._run_forward(self.data_preprocessor(data, False), mode="loss")
        return self.parse_losses(losses)[1]

    def _run_forward(self, data: Any, mode: str) -> Any:
        return run_forward(self, data, mode)

    def parse_losses(self, losses: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum what `forward(mode='loss')` gave.

        Args:
            losses: Tensors, averaged, or lists of tensors, averaged one by one and summed. The entries whose
                key contains 'loss' are summed to the loss; the others are only logged.

        Returns:
            The loss (0-dimensional, with its graph), and the values to log: `loss` first, all detached.

        Raises:
            TrainingError: An entry is neither a tensor nor a list of tensors, or no key contains 'loss'.
        """
        total: Tensor | None = None
        log_vars: dict[str, Tensor] = {}
        for key, value in losses.items():
            if not isinstance(value, Tensor):
                value = _summed(key, value)
            elif value.dim():
                value = value.mean()
            if "loss" in key:
                total = value if total is None else total + value
            if key != "loss":
                log_vars[key] = value.detach()
        if total is None:
            raise TrainingError(
                f"{type(self).__name__} gave no loss to minimise: of its values {list(losses)} none has a "
                "key that contains 'loss'; rename those that are to be summed"
            )
        return total, {"loss": total.detach(), **log_vars}


def _summed(key: str, values: Any) -> Tensor:
    """The sum of the means of a list of tensors."""
    if (
        not isinstance(values, (list, tuple))
        or not all(isinstance(item, Tensor) for item in values)
        or not values
    ):
        raise TrainingError(
            f"loss {key!r} must be a tensor or a list of tensors, got {type(values).__name__}: {values!r}"
        )
    first, *rest = (item.mean() if item.dim() else item for item in values)
    return sum(rest, start=first)
