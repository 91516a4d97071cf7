"""From feature maps to feature vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.registry import MODELS
from toolkit.utils.errors import BuildError

_WHOLE: dict[int, Any] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
_WINDOWS: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
Extent = int | tuple[int, ...]


@MODELS.register_module()
class GlobalAveragePooling(nn.Module):
    """The mean over all places of a map, or over windows of it. It has no weights.

    Args:
        dim: Dimensions of the places: 1, 2 or 3.
        kernel_size: Extent of the windows; None for one that is the whole map.
        stride: Step from window to window; their extent by default.

    Raises:
        BuildError: Another number of dimensions, or a stride without windows.
    """

    def __init__(self, dim: int = 2, kernel_size: Extent | None = None, stride: Extent | None = None) -> None:
        super().__init__()
        if dim not in _WHOLE:
            raise BuildError(f"dim of GlobalAveragePooling must be 1, 2 or 3, got {dim!r}")
        if kernel_size is None and stride is not None:
            raise BuildError(f"GlobalAveragePooling got stride={stride!r}, but no kernel_size")
        self.gap = _WHOLE[dim](1) if kernel_size is None else _WINDOWS[dim](kernel_size, stride)

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W) to (N, C), or to (N, C · windows); a sequence of maps to a tuple of vectors."""
        if isinstance(inputs, Tensor):
            return self.gap(inputs).flatten(1)
        return tuple(self.gap(x).flatten(1) for x in inputs)
