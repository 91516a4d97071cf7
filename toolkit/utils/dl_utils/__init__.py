"""Small parts around torch: timing, norms, images of tensors, the environment."""

from toolkit.utils.dl_utils.environment import TORCH_VERSION, collect_env, set_multi_processing
from toolkit.utils.dl_utils.tensors import (
    has_batch_norm,
    is_jit_tracing,
    is_norm,
    load_url,
    mmcv_full_available,
    tensor2imgs,
    torch_meshgrid,
)
from toolkit.utils.dl_utils.time_counter import TimeCounter

__all__ = [
    "TORCH_VERSION",
    "TimeCounter",
    "collect_env",
    "has_batch_norm",
    "is_jit_tracing",
    "is_norm",
    "load_url",
    "mmcv_full_available",
    "set_multi_processing",
    "tensor2imgs",
    "torch_meshgrid",
]
