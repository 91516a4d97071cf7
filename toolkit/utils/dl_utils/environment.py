"""What a run stands on: versions, devices, settings of processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
import warnings
from typing import Any

import numpy as np
import torch

from toolkit.version import __version__

TORCH_VERSION = torch.__version__

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def collect_env() -> dict[str, Any]:
    """Versions and devices, by the names that MMEngine's reports have."""
    env: dict[str, Any] = {
        "sys.platform": sys.platform,
        "Python": sys.version.replace("\n", ""),
        "CUDA available": torch.cuda.is_available(),
        "numpy_random_seed": np.random.get_state()[1][0],  # type: ignore[index]
    }
    if torch.cuda.is_available():
        env.update(_cuda())
    env["GCC"] = _first_line(
        os.path.basename((sysconfig.get_config_var("CC") or "cc").split()[0]), "--version"
    )
    env["PyTorch"] = TORCH_VERSION
    env["PyTorch compiling details"] = torch.__config__.show()
    for title, module in (("TorchVision", "torchvision"), ("OpenCV", "cv2")):
        try:
            env[title] = __import__(module).__version__
        except ImportError:
            env[title] = "n/a"
    env["toolkit"] = __version__
    return env


def _cuda() -> dict[str, Any]:
    from torch.utils.cpp_extension import CUDA_HOME

    devices: dict[str, list[str]] = {}
    for index in range(torch.cuda.device_count()):
        devices.setdefault(torch.cuda.get_device_name(index), []).append(str(index))
    found: dict[str, Any] = {f"GPU {','.join(indices)}": name for name, indices in devices.items()}
    found["CUDA_HOME"] = CUDA_HOME
    if CUDA_HOME is not None:
        found["NVCC"] = _first_line(os.path.join(CUDA_HOME, "bin", "nvcc"), "-V")
    return found


def _first_line(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "n/a"


def set_multi_processing(
    mp_start_method: str = "fork", opencv_num_threads: int = 0, distributed: bool = False
) -> None:
    """Settings of child processes and threads; a Runner makes them from ``env_cfg``.

    Args:
        mp_start_method: How child processes start: ``fork``, ``spawn`` or ``forkserver``.
        opencv_num_threads: Threads of OpenCV; 0 works in the caller's thread.
        distributed: One OMP and MKL thread for each process, where the environment says nothing.
    """
    import torch.multiprocessing as mp

    if platform.system() != "Windows":
        current = mp.get_start_method(allow_none=True)
        if current not in (None, mp_start_method):
            warnings.warn(
                f"child processes start by {mp_start_method!r}, no longer {current!r}", stacklevel=2
            )
        mp.set_start_method(mp_start_method, force=True)
    try:
        import cv2
    except ImportError:
        pass
    else:
        cv2.setNumThreads(opencv_num_threads)
    for variable in _THREAD_VARIABLES if distributed else ():
        if variable not in os.environ:
            warnings.warn(
                f"{variable} is set to 1 for each process; set it yourself to change it", stacklevel=2
            )
            os.environ[variable] = "1"
