"""Which device is at hand."""

from __future__ import annotations

import torch

__all__ = ["get_device", "get_max_cuda_memory", "is_cuda_available", "is_mps_available"]


def get_device() -> str:
    """The best device at hand: ``cuda``, ``mps`` or ``cpu``."""
    if is_cuda_available():
        return "cuda"
    return "mps" if is_mps_available() else "cpu"


def is_cuda_available() -> bool:
    """Whether there is a GPU that CUDA (or ROCm) can use."""
    return torch.cuda.is_available()


def is_mps_available() -> bool:
    """Whether there is a GPU that Apple's Metal can use."""
    return torch.backends.mps.is_available()


def get_max_cuda_memory(device: torch.device | None = None) -> int:
    """The most GPU memory that tensors took since the last call, in MiB; counting starts anew."""
    most = torch.cuda.max_memory_allocated(device=device)
    torch.cuda.reset_peak_memory_stats(device=device)
    return most // (1024 * 1024)
