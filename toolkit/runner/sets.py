"""Several sets of data, each under a name, where validation or test may have one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeGuard

from torch.utils.data import DataLoader

from toolkit.evaluator import BaseMetric, Evaluator
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean


def is_named_loaders(dataloader: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether `dataloader` is a dict of dataloaders by name, and not the config of one.

    Its values are DataLoaders or configs of such, of which at least one has a ``dataset``.
    """
    if not isinstance(dataloader, Mapping) or not dataloader or "dataset" in dataloader:
        return False
    loaders = dataloader.values()
    return all(isinstance(one, DataLoader | Mapping) for one in loaders) and any(map(_is_loader, loaders))


def _is_loader(value: Any) -> bool:
    return isinstance(value, DataLoader) or ("dataset" in value and "type" not in value)


def is_named_evaluators(evaluator: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether `evaluator` is a dict of evaluators by name, and not the config of one."""
    if not isinstance(evaluator, Mapping) or not evaluator or {"type", "metrics"} & set(evaluator):
        return False
    kinds = (Mapping, list, tuple, Evaluator, BaseMetric)
    return all(isinstance(one, kinds) for one in evaluator.values())


def naming_problem(role: str, dataloader: Any, evaluator: Any) -> str | None:
    """What keeps named dataloaders and evaluators from being put together; None where nothing does.

    Args:
        role: ``val`` or ``test``, for the message.
        dataloader: As the runner takes it.
        evaluator: As the runner takes it.
    """
    loaders, evaluators = f"{role}_dataloader", f"{role}_evaluator"
    if not is_named_loaders(dataloader):
        if is_named_evaluators(evaluator) and dataloader is not None:
            return (
                f"{evaluators} is a dict of {_listed(evaluator)}, but {loaders} is a single dataloader: name "
                f"the dataloaders too, {loaders}=dict({next(iter(evaluator))}=dict(dataset=...), ...), or "
                f"give {evaluators} as a metric or a list of metrics"
            )
        return None
    wrong = [name for name in dataloader if not isinstance(name, str) or not name or "/" in name]
    if wrong:
        return f"{loaders}: {wrong[0]!r} can't be the name of a set, which stands before the / of a metric"
    if not is_named_evaluators(evaluator):
        return None
    lacking = [name for name in dataloader if name not in evaluator]
    surplus = [name for name in evaluator if name not in dataloader]
    if not lacking and not surplus:
        return None
    parts = [f"{loaders} has {_listed(dataloader)}, and {evaluators} has {_listed(evaluator)}"]
    if surplus:
        parts.append(f"there is no dataloader {surplus[0]!r}{did_you_mean(surplus[0], lacking).rstrip('?')}")
    if lacking:
        parts.append(f"{evaluators} lacks {_listed(lacking)}")
    return "; ".join(parts) + f". Both take the same names; a single {evaluators} serves all sets"


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(repr, names))


def paired_sets(role: str, dataloader: Any, evaluator: Any) -> dict[str, tuple[Any, Any]]:
    """Dataloader and evaluator of each set by name; a set without a name is alone, under an empty one.

    Raises:
        ConfigError: Their names differ, or one built evaluator is to serve several sets, whose results
            would mix.
    """
    problem = naming_problem(role, dataloader, evaluator)
    if problem is not None:
        raise ConfigError(problem)
    if not is_named_loaders(dataloader):
        return {"": (dataloader, evaluator)}
    if is_named_evaluators(evaluator):
        return {name: (loader, evaluator[name]) for name, loader in dataloader.items()}
    if _is_built(evaluator) and len(dataloader) > 1:
        raise ConfigError(
            f"{role}_evaluator is a built object, which can't serve the sets {_listed(dataloader)} at once; "
            "give its config, of which one is built for each, or a dict of objects by name"
        )
    return {name: (loader, evaluator) for name, loader in dataloader.items()}


def _is_built(evaluator: Any) -> bool:
    if isinstance(evaluator, Mapping):
        return _is_built(evaluator.get("metrics"))
    if isinstance(evaluator, list | tuple):
        return any(map(_is_built, evaluator))
    return isinstance(evaluator, Evaluator | BaseMetric)


class NamedLoaders:
    """Dataloaders by name, which look like one that goes through them all, in their order.

    Args:
        loaders: The dataloaders.
    """

    def __init__(self, loaders: Mapping[str, DataLoader[Any]]) -> None:
        self.loaders = dict(loaders)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.loaders.values())

    def __len__(self) -> int:
        """Batches of all together.

        Raises:
            TypeError: One of them can't say how many it has.
        """
        return sum(map(len, self.loaders.values()))

    @property
    def dataset(self) -> Any:
        """The dataset of the first."""
        return next(iter(self.loaders.values())).dataset

    @property
    def datasets(self) -> dict[str, Any]:
        """The datasets by name."""
        return {name: loader.dataset for name, loader in self.loaders.items()}
