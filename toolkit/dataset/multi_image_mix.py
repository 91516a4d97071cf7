"""A dataset whose transforms see several samples at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.dataset.wrappers import WrappedDataset
from toolkit.registry import DATASETS, TRANSFORMS
from toolkit.utils.errors import DataError


@DATASETS.register_module()
class MultiImageMixDataset(WrappedDataset):
    """Runs a second pipeline whose transforms may mix in other samples, as Mosaic, MixUp and CopyPaste do.

    A transform that has a method `get_indexes(dataset)` finds under `mix_results` the samples at the indices
    that it returns. They come from the inner dataset, after its own pipeline. The inner dataset gives a new
    dict each time, as `BaseDataset` does: transforms change it in place.

    The samples to mix in are drawn from the streams that belong to (seed, epoch, index), so a run that is
    resumed mixes what the uninterrupted one does.

    Args:
        dataset: The dataset or its config.
        pipeline: Configs of transforms, or callables.
        skip_type_keys: Names of transforms that are left out, until `update_skip_type_keys` says otherwise.
        max_refetch: How often a sample that the pipeline drops is tried, each time from its start.
        lazy_init: Don't read the annotations until they are needed.

    Raises:
        TypeError: `pipeline` isn't a sequence of configs and callables.
    """

    def __init__(
        self,
        dataset: Any,
        pipeline: Sequence[Mapping[str, Any] | Callable[[dict], Any]],
        skip_type_keys: Sequence[str] | None = None,
        max_refetch: int = 15,
        lazy_init: bool = False,
    ) -> None:
        if not isinstance(pipeline, Sequence) or isinstance(pipeline, str):
            raise TypeError(f"pipeline must be a list of transforms, but got {type(pipeline).__name__}")
        self.pipeline = [TRANSFORMS.build(one) if isinstance(one, Mapping) else one for one in pipeline]
        self.pipeline_types = [_type_name(one) for one in pipeline]
        self.max_refetch = max_refetch
        self._skipped: frozenset[str] = frozenset()
        self.update_skip_type_keys(skip_type_keys)
        super().__init__(dataset, lazy_init)

    def update_skip_type_keys(self, skip_type_keys: Sequence[str] | None) -> None:
        """Choose the transforms that are left out from now on.

        Args:
            skip_type_keys: Names as `type` in the pipeline has them, with or without a scope; None for none.

        Raises:
            TypeError: It isn't a sequence of names.
        """
        keys = skip_type_keys or ()
        if isinstance(keys, str) or not all(isinstance(key, str) for key in keys):
            raise TypeError(f"skip_type_keys must be a list of names, but got {skip_type_keys!r}")
        self._skipped = frozenset(_without_scope(key) for key in keys)

    def _inner_index(self, idx: int) -> int:
        return idx

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        """A sample after both pipelines.

        Raises:
            DataError: The pipelines dropped it `max_refetch` times.
        """
        self.full_init()
        inner = self._checked(idx)
        for _ in range(self.max_refetch):
            results = self._mixed(inner)
            if results is not None:
                return results
        raise DataError(
            f"MultiImageMixDataset: the pipeline dropped sample {idx} {self.max_refetch} times "
            "(max_refetch); check that its transforms leave any object, and that images and annotations "
            "belong together"
        )

    def _mixed(self, index: int) -> Any:
        """The sample after the pipeline; None where a transform drops it or one that was to be mixed in."""
        results = self.dataset[index]
        for transform, name in zip(self.pipeline, self.pipeline_types, strict=True):
            if results is None:
                break
            if name in self._skipped:
                continue
            if hasattr(transform, "get_indexes"):
                chosen = transform.get_indexes(self.dataset)
                places = chosen if isinstance(chosen, Sequence) else [chosen]
                results["mix_results"] = [self.dataset[int(place)] for place in places]
                if any(one is None for one in results["mix_results"]):
                    return None
            results = transform(results)
            if isinstance(results, dict):
                results.pop("mix_results", None)
        return results


def _type_name(transform: Any) -> str:
    kind = transform.get("type") if isinstance(transform, Mapping) else type(transform)
    return _without_scope(kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind)))


def _without_scope(name: str) -> str:
    return name.rpartition(".")[2]
