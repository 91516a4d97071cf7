"""FPN that drops blocks of its maps while training."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from toolkit.detection.models.necks.fpn import FPN, Cfg
from toolkit.detection.registry import MODELS

_DROP_BLOCK = {"type": "DropBlock", "drop_prob": 0.3, "block_size": 3, "warmup_iters": 0}


@MODELS.register_module()
class FPN_DropBlock(FPN):
    """An `FPN` with a layer behind each sum, by default `DropBlock` (Ghiasi et al. 2018).

    Args:
        *args: Those of `FPN`.
        plugin: Config of the layer; None for none.
        **kwargs: Those of `FPN`.
    """

    def __init__(self, *args: Any, plugin: Cfg | None = _DROP_BLOCK, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plugin = None if plugin is None else MODELS.build(dict(plugin))

    def _merged(self, lateral: Tensor) -> Tensor:
        return lateral if self.plugin is None else self.plugin(lateral)
