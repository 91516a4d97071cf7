"""What the launchers say in the environment, and what is made of it."""

from __future__ import annotations

import os

import pytest
import torch

from toolkit.dist import launch

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SLURM = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_NODELIST": "gpu[07-08]", "SLURM_LOCALID": "1"}
MPI = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without a launcher, which is put back afterwards."""
    for name in [*NAMES, *SLURM, *MPI, "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE"]:
        monkeypatch.setenv(name, "")  # so that whatever is set later is undone
        monkeypatch.delenv(name)
    return


def said() -> dict[str, str]:
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def test_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SLURM, "SLURM_NTASKS_PER_NODE": "2"}.items():
        monkeypatch.setenv(name, value)
    launch._from_slurm(None)
    assert said() == dict(zip(NAMES, ("3", "4", "1", "2", "gpu07", "29500"), strict=True))


def test_slurm_without_a_local_id_counts_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_LOCALID")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    launch._from_slurm(None)
    assert os.environ["LOCAL_RANK"] == "1"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    launch._from_slurm(None)
    assert os.environ["LOCAL_RANK"] == "0"


@pytest.mark.parametrize(
    ("given", "environment", "port"), [(None, None, "29500"), (None, "3", "3"), (4, "3", "4"), (4, None, "4")]
)
@pytest.mark.parametrize("launcher", ["slurm", "mpi"])
def test_a_port_that_is_given_comes_first(
    monkeypatch: pytest.MonkeyPatch, launcher: str, given: int | None, environment: str | None, port: str
) -> None:
    for name, value in {**SLURM, **MPI, "MASTER_ADDR": "host"}.items():
        monkeypatch.setenv(name, value)
    if environment is not None:
        monkeypatch.setenv("MASTER_PORT", environment)
    getattr(launch, f"_from_{launcher}")(given)
    assert os.environ["MASTER_PORT"] == port


def test_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**MPI, "MASTER_ADDR": "host"}.items():
        monkeypatch.setenv(name, value)
    launch._from_mpi(None)
    expected = {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "host",
        "MASTER_PORT": "29500",
    }
    assert said() == expected
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(KeyError, match="MASTER_ADDR"):
        launch._from_mpi(None)
