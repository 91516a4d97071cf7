"""Makes the norms of all processes equal."""

from __future__ import annotations

from torch.nn.modules.batchnorm import _NormBase

from toolkit.detection.registry import HOOKS
from toolkit.dist import all_reduce_params, is_distributed
from toolkit.hooks import Hook
from toolkit.hooks.hook import Runner


@HOOKS.register_module()
class SyncNormHook(Hook):
    """Averages weights and statistics of batch norms over all processes before each validation."""

    def before_val_epoch(self, runner: Runner) -> None:
        """Average."""
        if is_distributed():
            norms = (module for module in runner.model.modules() if isinstance(module, _NormBase))
            values = (value for norm in norms for value in norm.state_dict().values())
            all_reduce_params((value for value in values if value.is_floating_point()), op="mean")
