"""Making the process group under the launchers that people use: torchrun, SLURM and MPI."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shutil
import subprocess
from datetime import timedelta
from typing import Any

from toolkit.dist.world import is_distributed
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

_DEFAULT_PORT = 29500


def infer_launcher() -> str:
    """The launcher that started this process, judged by its environment: pytorch, slurm, mpi or none."""
    if "WORLD_SIZE" in os.environ:
        return "pytorch"
    if "SLURM_NTASKS" in os.environ:
        return "slurm"
    if "OMPI_COMM_WORLD_LOCAL_RANK" in os.environ:
        return "mpi"
    return "none"


def init_dist(launcher: str, backend: str = "nccl", init_backend: str = "torch", **kwargs: Any) -> None:
    """Make the default process group from what the launcher says; once made, it is kept.

    Args:
        launcher: ``pytorch`` (torchrun), ``slurm`` or ``mpi``.
        backend: ``nccl``, or ``gloo``; without a CUDA device ``nccl`` becomes ``gloo``, and says so.
        init_backend: Who makes the group; ``torch`` alone is known.
        **kwargs: ``timeout`` in seconds and what `torch.distributed.init_process_group` takes;
            ``port`` for slurm and mpi, which wins over ``MASTER_PORT``.

    Raises:
        ConfigError: The launcher is unknown, or its environment variables are missing.
    """
    setups = {"pytorch": _from_torchrun, "slurm": _from_slurm, "mpi": _from_mpi}
    if launcher not in setups:
        raise ConfigError(
            f"launcher is {launcher!r}, which is none of {', '.join(setups)}{did_you_mean(launcher, setups)}"
        )
    if init_backend != "torch":
        raise ConfigError(f"init_backend is {init_backend!r}; the process group is made by 'torch' alone")
    if is_distributed():
        return
    import torch
    import torch.distributed as torch_dist

    port = kwargs.pop("port", None)
    try:
        setups[launcher](port)
    except KeyError as error:
        raise ConfigError(
            f"launcher={launcher!r} needs the environment variable {error.args[0]}, which is not set; "
            f"start the run through {'torchrun' if launcher == 'pytorch' else launcher}, or use "
            "launcher='none'"
        ) from error
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    elif backend == "nccl":
        backend = "gloo"
    if isinstance(kwargs.get("timeout"), int | float):
        kwargs["timeout"] = timedelta(seconds=kwargs["timeout"])
    torch_dist.init_process_group(backend=backend, **kwargs)
    atexit.register(leave_dist)


def leave_dist() -> None:
    """Leave the process group, if there is one; processes that `init_dist` set up do so when they end.

    A thread of gloo's that gives back a tensor while the interpreter shuts down aborts the process. So the
    group has to be gone by then, and with it what holds on to it: wrapped models, often in circles.
    """
    if not is_distributed():
        return
    import torch.distributed as torch_dist

    gc.collect()
    torch_dist.destroy_process_group()


def _from_torchrun(_port: int | None) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        os.environ[name]
    os.environ.setdefault("LOCAL_RANK", "0")
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(_DEFAULT_PORT))


def _from_mpi(port: int | None) -> None:
    os.environ["RANK"] = os.environ["OMPI_COMM_WORLD_RANK"]
    os.environ["WORLD_SIZE"] = os.environ["OMPI_COMM_WORLD_SIZE"]
    os.environ["LOCAL_RANK"] = os.environ["OMPI_COMM_WORLD_LOCAL_RANK"]
    os.environ["MASTER_ADDR"]  # only the user can know it
    _set_port(port)


def _from_slurm(port: int | None) -> None:
    os.environ["RANK"] = os.environ["SLURM_PROCID"]
    os.environ["WORLD_SIZE"] = os.environ["SLURM_NTASKS"]
    os.environ["LOCAL_RANK"] = os.environ.get("SLURM_LOCALID") or _local_rank(int(os.environ["RANK"]))
    tasks = os.environ.get("SLURM_NTASKS_PER_NODE", os.environ.get("SLURM_TASKS_PER_NODE", "1"))
    os.environ.setdefault("LOCAL_WORLD_SIZE", re.split(r"\D", tasks)[0])
    os.environ.setdefault("MASTER_ADDR", _first_host(os.environ["SLURM_NODELIST"]))
    _set_port(port)


def _local_rank(rank: int) -> str:
    """The place on its host of a process that isn't told: nodes are filled one after the other."""
    import torch

    return str(rank % max(torch.cuda.device_count(), 1))


def _set_port(port: int | None) -> None:
    """The port as given, else that of the environment, else torch's own."""
    if port is not None:
        os.environ["MASTER_PORT"] = str(port)
    os.environ.setdefault("MASTER_PORT", str(_DEFAULT_PORT))


def _first_host(nodelist: str) -> str:
    """The first of the hosts that SLURM abbreviates as ``gpu[01-03,7],login``."""
    if shutil.which("scontrol"):
        shown = subprocess.run(
            ["scontrol", "show", "hostname", nodelist], capture_output=True, text=True, check=True
        )
        return shown.stdout.splitlines()[0]
    match = re.match(r"([^\[,]+)(?:\[(\w+))?", nodelist)
    return "".join(part or "" for part in match.groups()) if match else nodelist
