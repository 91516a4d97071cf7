"""Values of samples as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_array(values: Any, shape: int | tuple[int, ...]) -> np.ndarray:
    """Values of a tensor, array or sequence as a NumPy array of a shape, in main memory."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        # NumPy has no bfloat16
        values = (values.float() if values.is_floating_point() else values).numpy()
    return np.asarray(values).reshape(shape)
