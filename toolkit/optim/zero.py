"""ZeRO: each process keeps the optimizer state of its share of the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch.distributed as torch_dist
from torch import optim

from toolkit.dist import is_distributed, is_main_process
from toolkit.registry import OPTIMIZERS
from toolkit.utils import BuildError, did_you_mean

_Base: Any = optim.Optimizer
if torch_dist.is_available():
    from torch.distributed.optim import ZeroRedundancyOptimizer as _Base


@OPTIMIZERS.register_module()
class ZeroRedundancyOptimizer(_Base):  # type: ignore[misc]
    """torch's `ZeroRedundancyOptimizer`, with the optimizer's type as a name.

    The steps are those of the optimizer itself; its state takes a share of the memory in each process. Goes
    with `DistributedDataParallel`.

    Args:
        params: Parameters or parameter groups.
        optimizer_type: Name of a registered optimizer, such as 'AdamW'.
        **kwargs: Arguments of the optimizer, such as `lr`, and of torch's class.

    Raises:
        BuildError: The type is unknown, or there is no distributed run.
    """

    def __init__(self, params: Iterable[Any], optimizer_type: str, **kwargs: Any) -> None:
        kind = OPTIMIZERS.get(optimizer_type)
        if kind is None:
            known = [name for name in vars(optim) if name[:1].isupper()]
            raise BuildError(
                f"ZeroRedundancyOptimizer: there is no optimizer {optimizer_type!r}"
                f"{did_you_mean(optimizer_type, known)}"
            )
        if not is_distributed():
            raise BuildError(
                "ZeroRedundancyOptimizer shares an optimizer's state between processes, but this run has "
                f"one: start it with a launcher, or use type={optimizer_type!r}"
            )
        super().__init__(list(params), kind, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """The whole state on rank 0, nothing on the others. All processes must call it."""
        self.consolidate_state_dict()
        state: dict[str, Any] = super().state_dict() if is_main_process() else {}
        return state
