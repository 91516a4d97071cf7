"""Backends of tracking services, against the real packages where these are installed."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import toolkit.visualization as visualization
from toolkit.config import Config
from toolkit.utils import BuildError, ConfigError
from toolkit.visualization import MLflowVisBackend, Visualizer, WandbVisBackend
from toolkit.visualization.trackers.secrets import published, published_text

PACKAGES = {
    "WandbVisBackend": "wandb",
    "MLflowVisBackend": "mlflow",
    "ClearMLVisBackend": "clearml",
    "NeptuneVisBackend": "neptune",
    "DVCLiveVisBackend": "dvclive",
    "AimVisBackend": "aim",
}
TOKEN = "t0ps3cret"
PICTURE = np.full((5, 6, 3), (200, 10, 30), np.uint8)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A config with a secret from the environment, one written down, and one in a URL."""
    monkeypatch.setenv("TRACKING_TEST_TOKEN", "from-the-environment")
    (tmp_path / "work").mkdir()
    file = tmp_path / "source.py"
    file.write_text(
        f"lr = 0.5\nwork_dir = {str(tmp_path / 'work')!r}\nfrom_env = '{{{{ $TRACKING_TEST_TOKEN:x }}}}'\n"
        f"vis = dict(init_kwargs=dict(api_token={TOKEN!r}, project='p'), steps=[1, 2], none=None)\n"
        "url = 'https://me:hunter2@host/x'\nhooks = [dict(type='A', n=1), dict(type='B')]\n"
    )
    return Config.fromfile(file)


def write_all(backend: Any, config: Config) -> None:
    backend.add_config(config)
    for step in (10, 20):
        numbers = {"loss": torch.tensor(0.5 * step), "name": "text", "table": [1, 2], "n": np.int64(step)}
        backend.add_scalars(numbers, step, file_path="x.json")
    backend.add_scalar("acc", np.float32(0.75), step=20)
    backend.add_image("val/shape", PICTURE, step=20)


def has_secret(folder: Path) -> list[str]:
    secrets = (TOKEN.encode(), b"hunter2", b"from-the-environment")
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]


@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_a_missing_package_is_told_when_the_backend_is_made(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as Python marks what can't be imported
    with pytest.raises(BuildError, match=f"pip install {package}") as caught:
        Visualizer(vis_backends=[{"type": name}], save_dir=tmp_path)
    assert isinstance(caught.value, ImportError) or isinstance(caught.value.__cause__, ImportError)
    assert issubclass(getattr(visualization, name), visualization.BaseVisBackend)


def test_what_is_secret_is_hidden(config: Config) -> None:
    shown = published(config)
    assert shown["vis"] == {
        "init_kwargs": {"api_token": "***", "project": "p"},
        "steps": [1, 2],
        "none": None,
    }
    assert shown["url"] == "https://***@host/x"
    assert "TRACKING_TEST_TOKEN" in shown["from_env"]
    text = published_text(config)
    assert not any(secret in text for secret in (TOKEN, "hunter2", "from-the-environment"))
    assert "lr = 0.5" in text


@pytest.mark.parametrize(
    ("key", "hidden"),
    [
        ("api_token", True),
        ("WANDB_API_KEY", True),
        ("password", True),
        ("aws_secret_access_key", True),
        ("token", True),
        ("tokenizer", False),
        ("num_tokens", False),
        ("keys", False),
        ("cls_token", False),
        ("with_cls_token", False),
    ],
)
def test_which_keys_are_secret(key: str, hidden: bool) -> None:
    assert (published({key: "x"})[key] == "***") is hidden


def test_wandb(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the backend of W&B is tested where wandb is installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    backend = WandbVisBackend(
        tmp_path / "vis", init_kwargs={"mode": "offline", "project": "p"}, define_metric_cfg={"acc": "max"}
    )
    assert not (tmp_path / "vis").exists()
    write_all(backend, config)
    backend.add_scalar("acc", 0.5, step=15)  # earlier than what is there: W&B's own step would drop it
    backend.close()
    (log,) = (tmp_path / "vis").rglob("*.wandb")
    rows, settings, summary = read_wandb(log)
    assert [(row["step"], row["loss"]) for row in rows if "loss" in row] == [(10, 5.0), (20, 10.0)]
    assert [(row["step"], row["acc"]) for row in rows if "acc" in row] == [(20, 0.75), (15, 0.5)]
    assert not any("name" in row or "table" in row for row in rows)
    (picture,) = [row for row in rows if "val/shape.height" in row]
    assert (picture["step"], picture["val/shape.height"], picture["val/shape.width"]) == (20, 5, 6)
    assert settings["lr"] == 0.5
    assert settings["vis"]["init_kwargs"]["api_token"] == "***"
    assert summary["acc"] == ["max"]
    assert not has_secret(tmp_path / "vis")


def records(log: Path) -> Iterator[bytes]:
    """The records of an offline run's file: LevelDB's log format behind a header of seven bytes."""
    content, at, block, parts = log.read_bytes(), 7, 32768, b""
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def read_wandb(log: Path) -> tuple[list[dict], dict, dict]:
    """The rows, the config and the summaries of an offline run's file."""
    from wandb.proto import wandb_internal_pb2

    rows, settings, summary = [], {}, {}
    found: list[Any] = []
    deadline = time.monotonic() + 20
    # Its service may write the last records a moment after `finish` came back.
    while not any(record.WhichOneof("record_type") == "exit" for record in found):
        assert time.monotonic() < deadline, "the run was not finished"
        time.sleep(0.05)
        found = [wandb_internal_pb2.Record.FromString(data) for data in records(log)]
    for record in found:
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = record.history.item
            rows.append(
                {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
            )
        elif kind in ("config", "run"):
            update = record.config if kind == "config" else record.run.config
            settings.update({item.key: json.loads(item.value_json) for item in update.update})
        elif kind == "metric" and record.metric.name:
            fields = record.metric.summary
            summary[record.metric.name] = [f.name for f, value in fields.ListFields() if value]
    return rows, settings, summary


def test_wandb_goes_on_after_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the backend of W&B is tested where wandb is installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    backend = WandbVisBackend(tmp_path, init_kwargs={"mode": "offline"})
    first = backend.experiment.run.id
    backend.close()
    assert backend.experiment.run.id == first
    backend.close()


def test_wandb_metrics_are_a_dict_or_a_list(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="the backend of W&B is tested where wandb is installed")
    with pytest.raises(ConfigError, match="define_metric_cfg"):
        WandbVisBackend(tmp_path, define_metric_cfg="acc")  # type: ignore[arg-type]


@pytest.mark.parametrize("store", ["sqlite", "files"])
def test_mlflow(store: str, tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="the backend of MLflow is tested where mlflow is installed")
    if store == "sqlite":
        pytest.importorskip("sqlalchemy", reason="the slim distribution of MLflow has no databases")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    folder = Path(config.work_dir, "run", "vis_data")
    uri = None if store == "sqlite" else (folder / "mlruns").as_uri()
    backend = MLflowVisBackend(
        folder, exp_name="shapes", run_name="first", tags={"a": "b"}, params={"p": 1}, tracking_uri=uri
    )
    assert not folder.exists()
    write_all(backend, config)
    Path(config.work_dir, "run", "run.log").write_text("a line\n")
    Path(config.work_dir, "leak.log").write_text(f"token={TOKEN}\n")
    backend.close()
    backend.add_scalar("acc", 0.875, step=30)  # it goes on in the same run
    backend.close()
    client = MlflowClient(uri or f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("shapes").experiment_id])
    assert run.info.run_name == "first"
    assert run.info.status == "FINISHED"
    assert run.data.tags["a"] == "b"
    curve = client.get_metric_history(run.info.run_id, "loss")
    assert [(one.step, one.value) for one in curve] == [(10, 5.0), (20, 10.0)]
    assert [one.step for one in client.get_metric_history(run.info.run_id, "acc")] == [20, 30]
    assert set(run.data.metrics) == {"loss", "n", "acc"}
    params = run.data.params
    assert (params["lr"], params["p"], params["hooks.0.type"], params["vis.steps"]) == (
        "0.5",
        "1",
        "A",
        "[1, 2]",
    )
    assert params["vis.init_kwargs.api_token"] == "***"
    kept = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert kept == {"config.py", "val", "run"}
    picture = client.download_artifacts(run.info.run_id, "val/shape_20.png", str(tmp_path))
    import cv2

    assert cv2.imread(picture)[0, 0].tolist() == [30, 10, 200]
    assert [Path(each).name for each in has_secret(Path(config.work_dir))] == ["leak.log"]
    assert not (tmp_path / "mlruns").exists()


def test_mlflow_tracks_some_keys(tmp_path: Path, config: Config) -> None:
    pytest.importorskip("mlflow", reason="the backend of MLflow is tested where mlflow is installed")
    backend = MLflowVisBackend(tmp_path, tracked_config_keys=["lrr"])
    with pytest.raises(ConfigError, match=r"'lrr'.*did you mean 'lr'"):
        backend.add_config(config)


def test_clearml(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    clearml = pytest.importorskip("clearml", reason="tested where clearml is installed")
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path))
    clearml.Task.set_offline(True)
    from toolkit.visualization import ClearMLVisBackend

    backend = ClearMLVisBackend(init_kwargs={"project_name": "p", "task_name": "t"})
    write_all(backend, config)
    folder = Path(backend._task.get_offline_mode_folder())
    backend.close()
    told = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    events = [event for line in told for event in (line if isinstance(line, list) else [line])]
    losses = [(one["iter"], one["value"]) for one in events if one.get("metric") == "loss"]
    assert losses == [(10, 5.0), (20, 10.0)]
    assert not has_secret(folder)


def test_dvclive(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dvclive", reason="tested where dvclive is installed")
    monkeypatch.chdir(tmp_path)
    from toolkit.visualization import DVCLiveVisBackend

    backend = DVCLiveVisBackend(tmp_path / "live")
    write_all(backend, config)
    backend.close()
    rows = (tmp_path / "live" / "plots" / "metrics" / "loss.tsv").read_text().split()
    assert rows == ["step", "loss", "10", "5.0", "20", "10.0"]
    assert list((tmp_path / "live").rglob("val/shape/20.png"))
    assert "lr: 0.5" in (tmp_path / "live" / "params.yaml").read_text()
    assert not has_secret(tmp_path / "live")


def test_aim(tmp_path: Path, config: Config) -> None:
    pytest.importorskip("aim", reason="tested where aim is installed")
    from toolkit.visualization import AimVisBackend

    backend = AimVisBackend(tmp_path / "a" / "b", init_kwargs={"repo": str(tmp_path)})
    write_all(backend, config)
    run = backend.experiment
    assert run["hparams", "lr"] == 0.5
    assert run["hparams", "vis", "init_kwargs", "api_token"] == "***"
    assert run.experiment == "a_b"
    metric = run.get_metric("loss", run_context())
    steps, (values, *_) = metric.data.numpy()
    assert list(zip(steps, values, strict=True)) == [(10, 5.0), (20, 10.0)]
    backend.close()


def run_context() -> Any:
    from aim.storage.context import Context

    return Context({})


def test_neptune(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("neptune", reason="tested where neptune is installed")
    monkeypatch.chdir(tmp_path)
    from toolkit.visualization import NeptuneVisBackend

    backend = NeptuneVisBackend()
    write_all(backend, config)
    backend.add_scalar("loss", float("nan"), step=30)
    backend.close()
    assert list((tmp_path / ".neptune").rglob("*")), os.listdir(tmp_path)
    assert not has_secret(tmp_path / ".neptune")
