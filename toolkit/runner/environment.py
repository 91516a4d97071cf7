"""Setting up the process: distribution, threads, device, seed; and the report of it all."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from toolkit.dist import (
    broadcast_object_list,
    get_backend,
    get_local_rank,
    get_rank,
    init_dist,
    is_distributed,
    sync_random_seed,
)
from toolkit.utils.errors import ConfigError
from toolkit.utils.seed import derive_seed, seed_everything
from toolkit.version import __version__

_ENV_KEYS = (
    "cudnn_benchmark",
    "mp_cfg",
    "dist_cfg",
    "resource_limit",
    "channels_last",
    "num_threads",
    "device",
)
_START_METHODS = ("fork", "spawn", "forkserver")


def setup_env(env_cfg: Mapping[str, Any], launcher: str = "none") -> None:
    """Apply `env_cfg` to this process and join the process group of the launcher.

    Args:
        env_cfg: ``cudnn_benchmark``; ``mp_cfg`` with ``mp_start_method`` and ``opencv_num_threads``;
            ``dist_cfg`` with ``backend`` and ``timeout``; ``resource_limit`` (open files); ``num_threads``
            (of torch); ``channels_last`` and ``device``, which the runner reads.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ConfigError: A key or value is unknown.
    """
    from toolkit.utils import did_you_mean

    for key in env_cfg:
        if key not in _ENV_KEYS:
            raise ConfigError(
                f"env_cfg has no {key!r}{did_you_mean(str(key), _ENV_KEYS)} It takes: {', '.join(_ENV_KEYS)}"
            )
    if env_cfg.get("cudnn_benchmark"):
        torch.backends.cudnn.benchmark = True
    if env_cfg.get("num_threads"):
        torch.set_num_threads(int(env_cfg["num_threads"]))
    _setup_processes(distributed=launcher != "none", **(env_cfg.get("mp_cfg") or {}))
    if launcher != "none" and not is_distributed():
        init_dist(launcher, **(env_cfg.get("dist_cfg") or {}))
    _raise_open_files(int(env_cfg.get("resource_limit", 4096)))


def _setup_processes(
    distributed: bool, mp_start_method: str | None = "fork", opencv_num_threads: int | None = 0
) -> None:
    """How worker processes start, and that neither they nor the ranks take all cores each."""
    if mp_start_method is not None and platform.system() != "Windows":
        if mp_start_method not in _START_METHODS:
            raise ConfigError(
                f"env_cfg.mp_cfg.mp_start_method is {mp_start_method!r}, "
                f"which is none of {', '.join(_START_METHODS)}"
            )
        torch.multiprocessing.set_start_method(mp_start_method, force=True)
    if opencv_num_threads is not None:
        import cv2

        cv2.setNumThreads(opencv_num_threads)
    if distributed:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def _raise_open_files(wanted: int) -> None:
    """Tensors travel from workers as open files, of which many systems allow 1,024 only."""
    if platform.system() == "Windows":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(wanted, soft), hard), hard))


def choose_device(name: str | None = None) -> torch.device:
    """The device to train on: as named, otherwise the best at hand (cuda, mps, cpu).

    Raises:
        ConfigError: It does not exist, or is not usable here.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda", get_local_rank() if is_distributed() else torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {name!r} can't be used: {reason} Leave it out to have one chosen."
        ) from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def choose_seed(seed: int | None) -> int:
    """The seed as given, or one drawn from the system's entropy, the same on every rank.

    Raises:
        ConfigError: It is negative or no integer.
    """
    if seed is None:
        return sync_random_seed()
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"randomness.seed must be a non-negative integer or None, got {seed!r}")
    return seed


def apply_seed(seed: int, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
    """Seed this process's generators; with `diff_rank_seed` every rank draws a stream of its own."""
    seed_everything(derive_seed(seed, get_rank()) if diff_rank_seed and get_rank() else seed, deterministic)


def make_work_dir(path: str) -> str:
    """Create the work dir and make sure that it can be written.

    Raises:
        ConfigError: It can't.
    """
    folder = os.path.abspath(os.path.expanduser(path))
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"work_dir {path!r} can't be written: {error.strerror or error}; choose another one with "
            "--work-dir or work_dir="
        ) from error
    return folder


def make_timestamp(work_dir: str) -> str:
    """The time as ``20260131_235959``, the same on every rank; with a suffix if that log folder exists."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    unique, count = stamp, 1
    while os.path.exists(os.path.join(work_dir, unique)):
        unique, count = f"{stamp}_{count}", count + 1
    shared = [unique]
    broadcast_object_list(shared)
    return shared[0]


def describe_env(runtime: Mapping[str, Any]) -> str:
    """A report of the system, and of what `runtime` says about the run."""
    system: dict[str, Any] = {
        "platform": platform.platform(),
        "python": sys.version.split()[0],
        "CPU cores": os.cpu_count(),
        "threads of torch": torch.get_num_threads(),
        "CUDA available": torch.cuda.is_available(),
    }
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        system["GPU"] = ", ".join(names)
        system["CUDA"] = torch.version.cuda
        system["cuDNN"] = torch.backends.cudnn.version()
    system["torch"] = torch.__version__
    for package in ("torchvision", "numpy", "cv2"):
        system[package] = getattr(sys.modules.get(package), "__version__", "not imported")
    system["toolkit"] = __version__
    if is_distributed():
        runtime = {**runtime, "backend": get_backend()}
    rule = "-" * 60
    return f"\n{rule}\nSystem environment:{_table(system)}\n\nRuntime environment:{_table(runtime)}\n{rule}\n"


def _table(items: Mapping[str, Any]) -> str:
    return "".join(f"\n    {key}: {value}" for key, value in items.items())


def default_work_dir(config_file: str | Path | None) -> str:
    """``./work_dirs/NAME`` for a config called NAME.py, ``./work_dirs/run`` without a file."""
    return os.path.join(".", "work_dirs", Path(config_file).stem if config_file else "run")
