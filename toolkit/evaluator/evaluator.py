"""`Evaluator`: several metrics over the same data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from toolkit.evaluator.base_metric import BaseMetric
from toolkit.registry import EVALUATOR, METRICS
from toolkit.structures import BaseDataElement
from toolkit.utils import ConfigError, did_you_mean

_END = object()


@EVALUATOR.register_module()
class Evaluator:
    """Runs one or several metrics over the same data.

    Args:
        metrics: A metric, a config of one, or a sequence of either.

    Raises:
        ConfigError: One is neither.
    """

    def __init__(self, metrics: Mapping[str, Any] | BaseMetric | Sequence[Any]) -> None:
        self._dataset_meta: dict[str, Any] | None = None
        if isinstance(metrics, (Mapping, BaseMetric)):
            metrics = [metrics]
        self.metrics: list[BaseMetric] = [
            METRICS.build(dict(metric)) if isinstance(metric, Mapping) else metric for metric in metrics
        ]
        for metric in self.metrics:
            if not hasattr(metric, "process"):
                raise ConfigError(f"a metric must be a BaseMetric or a dict, got {metric!r}")

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Facts about the dataset; setting them reaches every metric."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta
        for metric in self.metrics:
            metric.dataset_meta = dataset_meta

    def process(
        self, data_samples: Sequence[BaseDataElement | dict[str, Any]], data_batch: Any = None
    ) -> None:
        """Give a batch to every metric.

        Args:
            data_samples: The model's outputs, one a sample.
            data_batch: The batch that they are of.
        """
        samples = [one.to_dict() if isinstance(one, BaseDataElement) else one for one in data_samples]
        for metric in self.metrics:
            metric.process(data_batch, samples)

    def evaluate(self, size: int) -> dict[str, Any]:
        """The numbers of all metrics over the whole dataset.

        Args:
            size: Length of the dataset; see `BaseMetric.evaluate`.

        Raises:
            ConfigError: Two metrics give a number of the same name.
        """
        numbers: dict[str, Any] = {}
        owner: dict[str, str] = {}
        for metric in self.metrics:
            for name, value in metric.evaluate(size).items():
                if name in numbers:
                    raise ConfigError(
                        f"{owner[name]} and {type(metric).__name__} both give {name!r}: "
                        "give one of them another prefix"
                    )
                numbers[name] = value
                owner[name] = type(metric).__name__
        return numbers

    def offline_evaluate(
        self,
        data_samples: Iterable[BaseDataElement | dict[str, Any]],
        data: Iterable[Any] | None = None,
        chunk_size: int = 1,
    ) -> dict[str, Any]:
        """The numbers over predictions that were made earlier.

        Args:
            data_samples: Predictions, one a sample.
            data: The samples that they are of, in the same order; None where the metrics don't read them.
            chunk_size: How many are given to the metrics at once.

        Raises:
            ValueError: `data` and `data_samples` are not of the same length.
        """
        size = 0
        inputs = None if data is None else iter(data)
        for chunk in _chunks(iter(data_samples), chunk_size):
            batch = None if inputs is None else list(islice(inputs, len(chunk)))
            if batch is not None and len(batch) != len(chunk):
                raise ValueError(
                    f"data has {size + len(batch)} samples, fewer than there are in data_samples"
                )
            size += len(chunk)
            self.process(chunk, batch)
        if inputs is not None and next(inputs, _END) is not _END:
            raise ValueError(f"data has more samples than the {size} in data_samples")
        return self.evaluate(size)


def _chunks(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while chunk := list(islice(items, size)):
        yield chunk


def get_metric_value(indicator: str, metrics: Mapping[str, Any]) -> Any:
    """The number that a name stands for.

    Args:
        indicator: A full name (``pascal_voc/mAP``), or its last part where only one number has it.
        metrics: Numbers by full name.

    Raises:
        ValueError: There is no such number, or several.
    """
    if indicator in metrics:
        return metrics[indicator]
    found = [] if "/" in indicator else [name for name in metrics if name.rpartition("/")[2] == indicator]
    if len(found) == 1:
        return metrics[found[0]]
    if found:
        raise ValueError(f"{indicator!r} may be {' or '.join(map(repr, found))}: write the full name")
    near = did_you_mean(indicator, [*metrics, *(name.rpartition("/")[2] for name in metrics)])
    raise ValueError(f"there is no metric {indicator!r}{near}; there are {', '.join(metrics) or 'none'}")
