"""From feature maps to feature vectors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from toolkit.classification.registry import MODELS
from toolkit.utils.errors import BuildError

_POOLS = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


@MODELS.register_module()
class GlobalAveragePooling(nn.Module):
    """The mean over all places of a map. It has no weights.

    Args:
        dim: Dimensions of the places: 1, 2 or 3.
    """

    def __init__(self, dim: int = 2) -> None:
        super().__init__()
        if dim not in _POOLS:
            raise BuildError(f"dim of GlobalAveragePooling must be 1, 2 or 3, got {dim!r}")
        self.gap = _POOLS[dim](1)

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W) to (N, C); a sequence of maps to a tuple of vectors."""
        if isinstance(inputs, Tensor):
            return self.gap(inputs).flatten(1)
        return tuple(self.gap(x).flatten(1) for x in inputs)
