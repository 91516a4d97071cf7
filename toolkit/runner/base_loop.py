"""What all loops share: the runner, the dataloader and the dataset's meta information."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from toolkit.runner.runner import Runner


class BaseLoop:
    """Base of all loops; one of your own registers in `LOOPS` and implements `run`.

    Args:
        runner: The runner that the loop belongs to.
        dataloader: A DataLoader, or the config of one.
    """

    role = "train"

    def __init__(self, runner: Runner, dataloader: DataLoader[Any] | Mapping[str, Any]) -> None:
        self._runner = runner
        self.dataloader: DataLoader[Any] = self._build_data(dataloader)
        self.metainfo = getattr(self.dataset, "metainfo", None)
        if self.metainfo is not None:
            runner.visualizer.dataset_meta = self.metainfo

    def _build_data(self, dataloader: Any) -> Any:
        return self._built_and_checked(dataloader, self.role)

    def _built_and_checked(self, dataloader: Any, role: str) -> DataLoader[Any]:
        """The dataloader, whose dataset was checked; `role` says in messages what it is for."""
        runner = self._runner
        built: DataLoader[Any] = runner.build_dataloader(
            dataloader, seed=runner.seed, diff_rank_seed=runner.diff_rank_seed
        )
        runner.check_data(getattr(built, "dataset", None), role)
        return built

    @property
    def runner(self) -> Runner:
        """The runner that the loop belongs to."""
        return self._runner

    @property
    def dataset(self) -> Any:
        """The dataloader's dataset."""
        return getattr(self.dataloader, "dataset", None)

    def run(self) -> Any:
        """Run the loop."""
        raise NotImplementedError(f"{type(self).__name__} must implement run")


def checked_count(name: str, value: Any, least: int = 0) -> int:
    """A whole number of epochs or iterations.

    Raises:
        ConfigError: It is not whole, or less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)
