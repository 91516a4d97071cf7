"""`autocast`: mixed precision in code of one's own."""

from __future__ import annotations

import torch

from toolkit.device import get_device


def autocast(
    device_type: str | None = None,
    dtype: torch.dtype | None = None,
    enabled: bool = True,
    cache_enabled: bool | None = None,
) -> torch.autocast:
    """`torch.autocast` on the device at hand.

    Args:
        device_type: ``cuda``, ``cpu`` or ``mps``; the best at hand if None.
        dtype: Of the operations that gain by it; autocast's own for the device if None.
        enabled: Whether it does anything.
        cache_enabled: Whether weights are cast once, not at each use; autocast's own choice if None.
    """
    kind = get_device() if device_type is None else device_type
    return torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)
