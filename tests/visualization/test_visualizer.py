from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from toolkit.registry import VISBACKENDS, VISUALIZERS
from toolkit.utils import ConfigError
from toolkit.visualization import BaseVisBackend, LocalVisBackend, TensorboardVisBackend, Visualizer


class Recorder(BaseVisBackend):
    def __init__(self) -> None:
        super().__init__("")
        self.calls: list[tuple[Any, ...]] = []

    def add_config(self, config, **kwargs):
        self.calls.append(("config", config))

    def add_graph(self, model, data_batch, **kwargs):
        self.calls.append(("graph", model, data_batch))

    def add_image(self, name, image, step=0, **kwargs):
        self.calls.append(("image", name, image.shape, step))

    def add_scalar(self, name, value, step=0, **kwargs):
        self.calls.append(("scalar", name, value, step))

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        self.calls.append(("scalars", scalar_dict, step, file_path))

    def close(self):
        self.calls.append(("close",))


class SecondRecorder(Recorder):
    pass


def test_everything_is_handed_to_every_backend() -> None:
    first, second = Recorder(), SecondRecorder()
    visualizer = Visualizer("v", vis_backends=[first, second])
    visualizer.add_config("cfg")
    visualizer.add_graph("model", "batch")
    visualizer.add_image("a", np.zeros((2, 3)), 4)
    visualizer.add_scalar("b", 1.0, 5)
    visualizer.add_scalars({"c": 2}, 6, "own.json")
    visualizer.add_datasample("d", np.zeros((2, 3, 3)), step=7)
    visualizer.close()
    assert first.calls == second.calls
    assert first.calls == [
        ("config", "cfg"),
        ("graph", "model", "batch"),
        ("image", "a", (2, 3, 3), 4),
        ("scalar", "b", 1.0, 5),
        ("scalars", {"c": 2}, 6, "own.json"),
        ("image", "d", (2, 3, 3), 7),
        ("close",),
    ]


def test_from_a_config(tmp_path: Path) -> None:
    cfg = {
        "type": "Visualizer",
        "name": "from a config",
        "vis_backends": [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend", "name": "tb"}],
        "save_dir": str(tmp_path),
    }
    visualizer = VISUALIZERS.build(cfg)
    assert isinstance(visualizer.get_backend("LocalVisBackend"), LocalVisBackend)
    assert isinstance(visualizer.get_backend("tb"), TensorboardVisBackend)
    visualizer.add_scalar("a", 1, 2)
    visualizer.close()
    assert json.loads((tmp_path / "vis_data" / "scalars.json").read_text()) == {"a": 1, "step": 2}
    assert list((tmp_path / "vis_data").glob("events.*"))
    with pytest.raises(KeyError, match="did you mean 'tb'"):
        visualizer.get_backend("tbb")
    assert VISBACKENDS.get("LocalVisBackend") is LocalVisBackend


def test_backends_that_clash_or_have_no_folder(tmp_path: Path) -> None:
    local = {"type": "LocalVisBackend"}
    with pytest.raises(ConfigError, match="two backends"):
        Visualizer("v", vis_backends=[local, local], save_dir=tmp_path)
    with pytest.raises(ConfigError, match="no save_dir"):
        Visualizer("v", vis_backends=local)


def test_named_instances_however_they_are_made() -> None:
    class Special(Visualizer):
        pass

    special = Special("special")
    assert Visualizer.get_current_instance() is special
    assert Visualizer.get_instance("special") is special
    assert Special.get_instance("special") is special
    plain = Visualizer.get_instance("plain")
    assert Visualizer.get_current_instance() is plain
    assert Special.get_current_instance() is special


def test_dataset_meta() -> None:
    visualizer = Visualizer("meta")
    assert visualizer.dataset_meta is None
    visualizer.dataset_meta = {"classes": ("a",)}
    assert visualizer.dataset_meta == {"classes": ("a",)}
    assert Visualizer("other").dataset_meta is None


def test_show_without_a_display(caplog: pytest.LogCaptureFixture) -> None:
    matplotlib.use("agg")
    visualizer = Visualizer("show", image=np.zeros((4, 4, 3), np.uint8))
    visualizer.show(win_name="cat")
    assert "cat can't be shown" in caplog.text
    with pytest.raises(ConfigError, match="neither"):
        visualizer.show(backend="tk")


def test_window_of_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot as plt

    matplotlib.use("agg")
    shown: list[np.ndarray] = []
    monkeypatch.setattr(plt, "get_backend", lambda: "qtagg")
    monkeypatch.setattr(plt, "show", lambda **kwargs: shown.append(plt.gcf().axes[0].images[0].get_array()))
    visualizer = Visualizer("window", fig_show_cfg={"figsize": (2, 2)})
    image = np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    visualizer.show(image, win_name="w")
    np.testing.assert_array_equal(shown[0], image)
    plt.close("all")
