"""Transforms: in a dataset's pipeline, by hand, and of one's own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from toolkit.dataset import BaseDataset, Compose
from toolkit.registry import TRANSFORMS
from toolkit.transforms import BaseTransform


@TRANSFORMS.register_module(force=True)
class MyFlip(BaseTransform):
    """The transform of the tutorial."""

    def __init__(self, direction: str = "horizontal") -> None:
        self.direction = direction

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results["img"] = np.flip(results["img"], 1 if self.direction == "horizontal" else 0)
        return results


@TRANSFORMS.register_module(force=True)
class ShapeOf(BaseTransform):
    """Writes down a shape."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        if results["img"].shape[0] < 3:
            return None
        results["shape"] = results["img"].shape
        return results


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 6, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    return tmp_path / "a.png"


def test_a_transform_by_hand() -> None:
    picture = np.arange(6).reshape(1, 2, 3)
    flipped = MyFlip("horizontal")({"img": picture})
    assert flipped is not None
    assert flipped["img"].tolist() == picture[:, ::-1].tolist()
    built = TRANSFORMS.build({"type": "MyFlip", "direction": "vertical"})
    assert built.direction == "vertical"


def test_a_pipeline(image: Path) -> None:
    pipeline = Compose(
        [{"type": "LoadImageFromFile"}, {"type": "MyFlip"}, ShapeOf(), lambda x: {**x, "end": 1}]
    )
    results = pipeline({"img_path": str(image)})
    assert results is not None
    np.testing.assert_array_equal(results["img"], cv2.imread(str(image))[:, ::-1])
    assert (results["shape"], results["end"]) == ((8, 6, 3), 1)


def test_none_ends_a_pipeline() -> None:
    def fail(results: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("not called after None")

    assert Compose([ShapeOf(), fail])({"img": np.zeros((2, 2, 3))}) is None


def test_in_a_dataset(image: Path, tmp_path: Path) -> None:
    (tmp_path / "ann.yaml").write_text("metainfo: {}\ndata_list: [{img_path: a.png}]\n")
    data = BaseDataset(
        ann_file="ann.yaml",
        data_root=str(tmp_path),
        pipeline=[
            {"type": "LoadImageFromFile"},
            {"type": "mmdet.Resize", "scale": (3, 4), "keep_ratio": False},
            {"type": "MyFlip"},
        ],
    )
    assert data[0]["img"].shape == (4, 3, 3)
    assert data[0]["img_path"] == str(image)


def test_random_parts() -> None:
    random.seed(0)
    np.random.seed(0)
    steps = {"type": "RandomApply", "transforms": [{"type": "MyFlip"}], "prob": 0.5}
    pipeline = Compose([steps])
    picture = np.arange(6).reshape(1, 2, 3)
    drawn = [bool((pipeline({"img": picture})["img"] == picture).all()) for _ in range(60)]  # type: ignore[index]
    assert 15 < sum(drawn) < 45
    choice = Compose([{"type": "RandomChoice", "transforms": [[{"type": "MyFlip"}], [{"type": "ShapeOf"}]]}])
    shaped = ["shape" in choice({"img": np.zeros((4, 4, 3))}) for _ in range(60)]  # type: ignore[operator]
    assert 15 < sum(shaped) < 45


def test_keys_are_mapped() -> None:
    mapper = {
        "type": "KeyMapper",
        "mapping": {"img": "gt_img"},
        "auto_remap": True,
        "transforms": [{"type": "MyFlip", "direction": "vertical"}],
    }
    picture = np.arange(6).reshape(2, 1, 3)
    results = Compose([mapper])({"gt_img": picture})
    assert results is not None
    np.testing.assert_array_equal(results["gt_img"], picture[::-1])
    assert "img" not in results
