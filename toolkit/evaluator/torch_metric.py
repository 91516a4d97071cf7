"""`TorchMetric`: any metric of torchmetrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from toolkit.evaluator.base_metric import BaseMetric
from toolkit.registry import METRICS
from toolkit.structures import BaseDataElement
from toolkit.utils import BuildError, ConfigError, DataError, did_you_mean

Fields = str | Mapping[str, str]


@METRICS.register_module()
class TorchMetric(BaseMetric):
    """A metric of torchmetrics, over fields of the data samples.

    The fields of each sample are collected from all processes, samples that a sampler repeated are dropped,
    and the metric sees the rest in the order of the dataset. So the number is that of one process.

    Args:
        metric: ``dict(type='torchmetrics.classification.MulticlassAccuracy', num_classes=10)``; the type may
            leave ``torchmetrics.`` out. Or a name such as ``'MeanSquaredError'``; or a `torchmetrics.Metric`.
        pred: Where a sample holds the prediction, as a dotted field such as ``'pred_instances.scores'``. For
            metrics that take a dict a sample, a dict of fields by the metric's name, such as
            ``dict(boxes='pred_instances.bboxes', scores='pred_instances.scores', labels=...)``.
        target: Where a sample holds the truth, likewise.
        name: Name of the number; by default the metric's class. What a metric that gives a dict calls its
            numbers stays.
        batch_size: How many samples the metric sees at once.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
        collect_dir: See `BaseMetric`.

    Raises:
        BuildError: There is no such metric in torchmetrics, its arguments don't fit, or torchmetrics is not
            installed.
        ConfigError: One of `pred` and `target` is a dict, the other is none.
    """

    # What is below this key belongs to another package; the checks before a run leave it alone.
    foreign_keys = ("metric",)

    def __init__(
        self,
        metric: str | Mapping[str, Any] | Any,
        pred: Fields = "pred_label",
        target: Fields = "gt_label",
        name: str | None = None,
        batch_size: int = 256,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        if isinstance(pred, Mapping) != isinstance(target, Mapping):
            raise ConfigError(
                f"TorchMetric: pred and target are both a field or both a dict of fields; got "
                f"pred={pred!r} and target={target!r}"
            )
        if batch_size < 1:
            raise ConfigError(f"TorchMetric: batch_size is at least 1, got {batch_size}")
        self.metric = _made(metric)
        self.name = name or type(self.metric).__name__
        self.pred, self.target = pred, target
        self.batch_size = batch_size

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep the fields of a batch, on the CPU.

        Raises:
            DataError: A sample doesn't have a field.
        """
        for sample in data_samples:
            self.results.append((_fields(sample, self.pred), _fields(sample, self.target)))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Give all samples to the metric, and take its numbers.

        Raises:
            DataError: The metric refuses them.
        """
        self.metric.reset()
        for chunk in self._chunks(results):
            preds, targets = zip(*chunk, strict=True)
            try:
                self.metric.update(_batch(preds), _batch(targets))
            except (ValueError, TypeError, RuntimeError) as error:
                raise DataError(
                    f"{self.name} refuses {self.pred!r} of shape {_shape(preds[0])} with {self.target!r} of "
                    f"shape {_shape(targets[0])}: {error}"
                ) from error
        found = self.metric.compute()
        self.metric.reset()
        if isinstance(found, Mapping):
            return {str(key): _plain(value) for key, value in found.items()}
        return {self.name: _plain(found)}

    def _chunks(self, results: list[Any]) -> Iterator[list[Any]]:
        """Neighbours whose tensors can be stacked, at most `batch_size` of them."""
        for _, same in groupby(results, key=lambda pair: (_shape(pair[0]), _shape(pair[1]))):
            run = list(same)
            for start in range(0, len(run), self.batch_size):
                yield run[start : start + self.batch_size]


def _made(metric: Any) -> Any:
    try:
        import torchmetrics
    except ImportError as error:
        raise BuildError(
            "TorchMetric needs the package torchmetrics, which can't be imported "
            f"({error}): pip install torchmetrics"
        ) from error
    if isinstance(metric, torchmetrics.Metric):
        return metric
    arguments = {"type": metric} if isinstance(metric, str) else dict(metric)
    path = arguments.pop("type", None)
    if not isinstance(path, str):
        raise BuildError(f"TorchMetric: metric names no type of torchmetrics; got {metric!r}")
    kind = _found(torchmetrics, path.removeprefix("torchmetrics."))
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise BuildError(f"TorchMetric: {path} doesn't take {arguments}: {error}") from error


def _found(torchmetrics: Any, path: str) -> Any:
    """The class at a path inside of torchmetrics; nothing else is ever imported."""
    from importlib import import_module

    module, _, name = path.rpartition(".")
    try:
        home = import_module(f"torchmetrics.{module}") if module else torchmetrics
    except ImportError as error:
        raise BuildError(f"TorchMetric: there is no module torchmetrics.{module} ({error})") from error
    kind = getattr(home, name, None)
    if not (isinstance(kind, type) and issubclass(kind, torchmetrics.Metric)):
        known = [each for each in dir(home) if isinstance(getattr(home, each, None), type)]
        raise BuildError(f"TorchMetric: {home.__name__} has no metric {name!r}{did_you_mean(name, known)}")
    return kind


def _fields(sample: Any, fields: Fields) -> Any:
    if isinstance(fields, Mapping):
        return {key: _field(sample, path) for key, path in fields.items()}
    return _field(sample, fields)


def _field(sample: Any, path: str) -> Tensor:
    value = sample
    for depth, part in enumerate(path.split(".")):
        if isinstance(value, BaseDataElement):
            value = {key: getattr(value, key) for key in (*value.keys(), *value.metainfo_keys())}
        if not isinstance(value, Mapping) or part not in value:
            where = ".".join(path.split(".")[:depth]) or "a data sample"
            known = [str(key) for key in value] if isinstance(value, Mapping) else []
            raise DataError(
                f"TorchMetric: {where} has no {part!r} (of the field {path!r}){did_you_mean(part, known)}; "
                f"it has {', '.join(known) or 'no fields'}"
            )
        value = value[part]
    return torch.as_tensor(value).detach().cpu()


def _shape(value: Any) -> Any:
    return "dict" if isinstance(value, dict) else tuple(value.shape)


def _batch(values: Sequence[Any]) -> Any:
    if isinstance(values[0], dict):
        return list(values)
    stacked = torch.stack(tuple(values))
    # A label of one sample often is a tensor of one item.
    return stacked.squeeze(1) if stacked.dim() == 2 and stacked.shape[1] == 1 else stacked


def _plain(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.item() if value.numel() == 1 else value.tolist()
