"""Test-time augmentation: several views of a sample, one prediction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import nn

from toolkit.model.base_model import BaseModel
from toolkit.registry import MODELS
from toolkit.utils import ConfigError, DataError


class BaseTTAModel(BaseModel):
    """Predicts every view of a batch with a model and merges the predictions.

    Args:
        module: The trained model, or its config.
        data_preprocessor: Takes the place of the model's own, where `module` is a config.
    """

    def __init__(
        self,
        module: dict[str, Any] | nn.Module,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
    ) -> None:
        super().__init__()
        if isinstance(module, dict):
            args = {} if data_preprocessor is None else {"data_preprocessor": data_preprocessor}
            module = MODELS.build({**module, **args})
        if not hasattr(module, "test_step"):
            raise ConfigError(
                f"{type(self).__name__} wraps a model with a test_step, got {type(module).__name__}"
            )
        self.module: Any = module

    @abstractmethod
    def merge_preds(self, data_samples_list: list[Any]) -> list[Any]:
        """Merge predictions.

        Args:
            data_samples_list: One item a sample of the batch: a tuple of its predictions, one a view.

        Returns:
            One prediction a sample.
        """

    def test_step(self, data: Any) -> list[Any]:
        """Merged predictions of a batch whose every field holds one item a view: ``data['inputs'][view]``."""
        views: list[Any]
        if isinstance(data, Mapping):
            count = len(next(iter(data.values())))
            views = [{key: value[index] for key, value in data.items()} for index in range(count)]
        elif isinstance(data, (list, tuple)):
            views = [list(fields) for fields in zip(*data, strict=True)]
        else:
            raise DataError(
                f"a batch for {type(self).__name__} must be a dict, list or tuple, got {type(data).__name__}"
            )
        predictions = [self.module.test_step(view) for view in views]
        return self.merge_preds(list(zip(*predictions, strict=True)))

    def val_step(self, data: Any) -> list[Any]:
        """The same as `test_step`."""
        return self.test_step(data)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """The wrapped model's forward, without augmentation."""
        return self.module(inputs, data_samples, mode=mode)
