"""TestTimeAug and MultiScaleFlipAug."""

from __future__ import annotations

import numpy as np
import pytest

import toolkit.detection.transforms  # noqa: F401, registers what the configs below name
from toolkit.registry import DefaultScope
from toolkit.transforms import BaseTransform, MultiScaleFlipAug, TestTimeAug
from toolkit.utils.errors import ConfigError, DataError


def test_every_combination_in_order_and_shared_steps_once():
    calls = []

    def step(name: str):
        def change(results: dict) -> dict:
            calls.append(name)
            results["path"].append(name)  # in place, as transforms may
            return results

        return change

    augment = TestTimeAug([[step("a"), step("b")], [step("x"), step("y"), step("z")], [step("end")]])
    results = augment({"path": []})
    assert results == {"path": [[one, two, "end"] for one in "ab" for two in "xyz"]}
    assert calls.count("a") == 1
    assert calls.count("end") == 6


def test_sizes_and_flips_of_a_config():
    with DefaultScope.overwrite_default_scope("mmdet"):
        augment = TestTimeAug(
            [
                [{"type": "Resize", "scale": scale, "keep_ratio": True} for scale in ((40, 40), (80, 80))],
                [{"type": "RandomFlip", "prob": prob} for prob in (1.0, 0.0)],
                [{"type": "PackDetInputs", "meta_keys": ("img_shape", "flip", "flip_direction")}],
            ]
        )
    image = np.arange(20 * 40 * 3, dtype=np.uint8).reshape(20, 40, 3)
    results = augment({"img": image})
    assert [tuple(one.shape) for one in results["inputs"]] == [(3, 20, 40)] * 2 + [(3, 40, 80)] * 2
    assert [one.flip for one in results["data_samples"]] == [True, False, True, False]
    assert results["data_samples"][0].flip_direction == "horizontal"
    assert (results["inputs"][0].flip(-1) == results["inputs"][1]).all()


class Note(BaseTransform):
    """Says how a sample came out."""

    def transform(self, results):
        return {"inputs": (results["img_shape"], results["flip_direction"])}


UP, ACROSS, DOWN = None, "horizontal", "vertical"


# what MMCV 2.1.0 gives for an image of 4 x 5
@pytest.mark.parametrize(
    ("given", "versions"),
    [
        ({"scales": (10, 8)}, [((8, 10), UP)]),
        ({"scales": [(10, 8), (20, 16)]}, [((8, 10), UP), ((16, 20), UP)]),
        (
            {"scales": [(10, 8), (20, 16)], "allow_flip": True, "flip_direction": [ACROSS, DOWN]},
            [(size, way) for size in ((8, 10), (16, 20)) for way in (UP, ACROSS, DOWN)],
        ),
        ({"scale_factor": 2.0, "flip_direction": DOWN}, [((8, 10), UP)]),
        (
            {"scale_factor": [1.0, 2.0], "allow_flip": True},
            [(size, way) for size in ((4, 5), (8, 10)) for way in (UP, ACROSS)],
        ),
        ({"scale_factor": [1.0, 2.0], "scales": (3, 3)}, [((2, 3), UP)]),
        ({}, [((4, 5), UP)]),
        ({"scales": (10, 10), "resize_cfg": {"type": "Resize"}}, [((10, 10), UP)]),
        (
            {"scales": (10, 8), "allow_flip": True, "flip_cfg": {"type": "RandomFlip", "prob": 0.5}},
            [((8, 10), UP), ((8, 10), ACROSS)],
        ),
    ],
)
def test_scales_and_flips(given, versions):
    with DefaultScope.overwrite_default_scope("mmdet"):
        augment = MultiScaleFlipAug(transforms=[Note()], **given)
    image = np.zeros((4, 5, 3), np.uint8)
    assert augment({"img": image, "img_shape": (4, 5)}) == {"inputs": versions}


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="list of alternatives"):
        TestTimeAug([{"type": "Resize"}])
    with pytest.raises(ConfigError, match="a transform or its config"):
        TestTimeAug([[3]])
    with pytest.raises(DataError, match="drops a sample"):
        TestTimeAug([[lambda results: None]])({})
