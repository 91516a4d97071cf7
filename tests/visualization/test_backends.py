from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from toolkit.config import Config
from toolkit.visualization import LocalVisBackend, TensorboardVisBackend


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_local_numbers(tmp_path: Path) -> None:
    backend = LocalVisBackend(tmp_path / "vis_data")
    assert not (tmp_path / "vis_data").exists()
    backend.add_scalar("lr", torch.tensor(0.5), step=3)
    values = {
        "loss": np.float32(0.25),
        "nan": math.nan,
        "n": 2,
        "table": np.eye(2),
        "half": torch.tensor([1.5]),
    }
    backend.add_scalars(values, step=4, file_path="own.json")
    backend.close()
    backend.add_scalars({"loss": 1.0, "step": 9}, step=4)  # it goes on in the same file
    found = lines(tmp_path / "vis_data" / "scalars.json")
    assert found[0] == {"lr": 0.5, "step": 3}
    assert found[1] == {
        "loss": 0.25,
        "nan": None,
        "n": 2,
        "table": [[1, 0], [0, 1]],
        "half": [1.5],
        "step": 4,
    }
    assert found[2]["step"] == 9
    assert lines(tmp_path / "vis_data" / "own.json") == [found[1]]
    with pytest.raises(ValueError, match=r"scalars\.json"):
        backend.add_scalars({"a": 1}, file_path="scalars.json")


def test_local_numbers_are_there_at_once(tmp_path: Path) -> None:
    backend = LocalVisBackend(tmp_path)
    backend.add_scalar("a", 1)
    assert lines(tmp_path / "scalars.json") == [{"a": 1, "step": 0}]


def test_local_pictures_are_rgb(tmp_path: Path) -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    image[..., 0] = 255
    LocalVisBackend(tmp_path).add_image("val/cat", image, step=7)
    read = cv2.imread(str(tmp_path / "vis_image" / "val" / "cat_7.png"))
    assert read[0, 0].tolist() == [0, 0, 255]


def test_local_config(tmp_path: Path) -> None:
    LocalVisBackend(tmp_path / "new").add_config(Config({"a": 1, "b": {"c": [2]}}))
    assert Config.fromfile(tmp_path / "new" / "config.py").b.c == [2]


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def test_tensorboard(tmp_path: Path) -> None:
    backend = TensorboardVisBackend(tmp_path / "tb")
    assert not (tmp_path / "tb").exists()
    backend.add_config(Config({"lr": 0.5}))
    for step in (1, 2):
        backend.add_scalars({"loss": torch.tensor(0.5 / step), "name": "text", "table": [1, 2]}, step=step)
    backend.add_scalar("acc", np.float64(0.75), step=2)
    backend.add_image("shape", np.full((5, 6, 3), 128, np.uint8), step=2)
    backend.close()
    found = events(tmp_path / "tb")
    assert sorted(found.Tags()["scalars"]) == ["acc", "loss"]
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    assert found.Scalars("acc")[0].step == 2
    picture = found.Images("shape")[0]
    assert (picture.height, picture.width, picture.step) == (5, 6, 2)
    text = found.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "lr = 0.5" in text


def test_tensorboard_graph(tmp_path: Path) -> None:
    backend = TensorboardVisBackend(tmp_path)
    backend.add_graph(nn.Linear(3, 2), {"inputs": torch.zeros(1, 3)})
    backend.close()
    assert events(tmp_path).Tags()["graph"]


def test_tensorboard_may_go_on_after_close(tmp_path: Path) -> None:
    backend = TensorboardVisBackend(tmp_path)
    backend.add_scalar("a", 1.0, 1)
    backend.close()
    backend.add_scalar("a", 2.0, 2)
    backend.close()
    assert backend._writer is None
    assert len(list(tmp_path.glob("events.*"))) >= 1
