from __future__ import annotations

import numpy as np
import pytest

from toolkit.registry import TRANSFORMS, DefaultScope
from toolkit.transforms import (
    BaseTransform,
    KeyMapper,
    RandomApply,
    RandomChoice,
    RandomChoiceResize,
    RandomResize,
    TransformBroadcaster,
)
from toolkit.utils.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _seeded():
    np.random.seed(0)


class Add(BaseTransform):
    """Adds to a key."""

    reads = ("x",)
    writes = ("x",)

    def __init__(self, n=1):
        self.n = n

    def transform(self, results):
        results["x"] = results["x"] + self.n
        return results


def test_base_transform():
    assert repr(Add(3)) == "Add(n=3)"
    with pytest.raises(DataError, match=r"Add needs \['x'\]"):
        Add()({})


def test_random_apply():
    counts = sum(RandomApply([Add(1), Add(1)], prob=0.3)({"x": 0})["x"] for _ in range(1000))
    assert 500 < counts < 700  # twice 300, standard deviation 29
    assert RandomApply(Add(), prob=0.0)({"x": 0}) == {"x": 0}
    assert RandomApply(lambda r: None, prob=1.0)({"x": 0}) is None
    with pytest.raises(ConfigError, match="3"):
        RandomApply(Add(), prob=3)


def test_random_choice():
    chosen = [
        RandomChoice([[Add(1)], [Add(10), Add(10)]], prob=[0.25, 0.75])({"x": 0})["x"] for _ in range(400)
    ]
    assert set(chosen) == {1, 20}
    assert 250 < chosen.count(20) < 350
    with pytest.raises(ConfigError, match="probabilities"):
        RandomChoice([[Add()]], prob=[0.5])


class TestKeyMapper:
    def test_other_key(self):
        assert KeyMapper(Add(), mapping={"x": "y"})({"y": 1, "x": 5}) == {"y": 2, "x": 5}

    def test_remapping(self):
        mapper = KeyMapper(Add(), mapping={"x": "y"}, remapping={"x": "z"})
        assert mapper({"y": 1}) == {"y": 1, "z": 2}

    def test_dropped_output(self):
        assert KeyMapper(Add(), mapping={"x": "y"}, remapping={"x": ...})({"y": 1}) == {"y": 1}

    def test_nested(self):
        def swap(results):
            results["pair"] = results["pair"][::-1]
            return results

        assert KeyMapper(swap, mapping={"pair": ["a", "b"]})({"a": 1, "b": 2}) == {"a": 2, "b": 1}

    def test_missing_keys(self):
        with pytest.raises(DataError, match="'y'"):
            KeyMapper(Add(), mapping={"x": "y"})({"z": 1})
        lenient = KeyMapper(lambda r: r, mapping={"x": "y"}, allow_nonexist_keys=True)
        assert lenient({"z": 1}) == {"z": 1}
        with pytest.raises(ConfigError, match="auto_remap"):
            KeyMapper(Add(), mapping={}, remapping={}, auto_remap=True)

    # what MMCV 2.1.0 gives
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"mapping": {"x": "y"}}, {"x": 1, "y": 11}),
            ({"mapping": {"x": "y"}, "auto_remap": False}, {"x": 11, "y": 10, "seen": ["x", "y"]}),
            ({"mapping": {"x": "y", "y": ...}, "auto_remap": False}, {"x": 11, "y": 10, "seen": ["x"]}),
            (
                {"mapping": {"x": "y"}, "remapping": {"x": "z", "seen": "keys"}},
                {"x": 1, "y": 10, "z": 11, "keys": ["x", "y"]},
            ),
            ({"remapping": {"x": "z"}}, {"x": 1, "y": 10, "z": 2}),
            ({}, {"x": 2, "y": 10, "seen": ["x", "y"]}),
            (
                {"mapping": {"x": "y", "y": "no"}, "auto_remap": False, "allow_nonexist_keys": True},
                {"x": 11, "y": 10, "seen": ["x"]},
            ),
        ],
    )
    def test_what_is_seen_and_what_comes_back(self, options, expected):
        def note(results):
            return {**results, "x": results["x"] + 1, "seen": sorted(results)}

        assert KeyMapper(note, **options)({"x": 1, "y": 10}) == expected

    def test_dropped_sample(self):
        assert KeyMapper(lambda r: None, mapping={"x": "y"})({"y": 1}) is None


class TestBroadcaster:
    def test_list_and_keys(self):
        assert TransformBroadcaster(Add(), mapping={"x": "xs"})({"xs": [1, 5]}) == {"xs": [2, 6]}
        assert TransformBroadcaster(Add(), mapping={"x": ["a", "b"]})({"a": 1, "b": 5}) == {"a": 2, "b": 6}

    def test_an_item_without_a_key(self):
        caster = TransformBroadcaster(lambda results: results, mapping={"x": ["a", ...], "y": ["b", "c"]})
        assert caster({"a": 1, "b": 2, "c": 3}) == {"a": 1, "b": 2, "c": 3}

    @pytest.mark.parametrize("shared", [True, False])
    def test_shared_draws(self, shared):
        def noise(results):
            results["x"] = results["x"] + np.random.rand()
            return results

        caster = TransformBroadcaster(noise, mapping={"x": ["a", "b"]}, share_random_params=shared)
        found = caster({"a": 0.0, "b": 0.0})
        assert (found["a"] == found["b"]) is shared

    def test_lengths(self):
        with pytest.raises(DataError, match=r"\[1, 2\]"):
            TransformBroadcaster(Add(), mapping={"x": "a", "y": "b"})({"a": [1], "b": [1, 2]})


@TRANSFORMS.register_module()
class NotedResize(BaseTransform):
    """Keeps what it was asked for."""

    def __init__(self, scale, keep_ratio=False):
        self.scale = scale
        self.keep_ratio = keep_ratio

    def transform(self, results):
        results["asked"] = (self.scale, self.keep_ratio)
        return results


class TestRandomSizes:
    def scales(self, transform, n=300):
        found = [transform({"img": None}) for _ in range(n)]
        assert all(one["asked"] == (one["scale"], True) for one in found)
        return [one["scale"] for one in found]

    def test_ratio_range(self):
        drawn = self.scales(RandomResize((100, 50), (0.5, 2.0), resize_type="NotedResize", keep_ratio=True))
        assert all(50 <= w <= 200 and abs(w - 2 * h) <= 1 for w, h in drawn)
        assert min(w for w, _ in drawn) < 60 < 190 < max(w for w, _ in drawn)

    def test_two_scales(self):
        """MMDetection's `range`: the longer and the shorter side are drawn on their own."""
        drawn = self.scales(
            RandomResize([(1333, 640), (1333, 800)], resize_type="NotedResize", keep_ratio=True)
        )
        assert {w for w, _ in drawn} == {1333}
        assert {h for _, h in drawn} <= set(range(640, 801))
        assert len({h for _, h in drawn}) > 80

    def test_choice(self):
        transform = RandomChoiceResize([(10, 20), 30], resize_type="NotedResize", keep_ratio=True)
        assert set(self.scales(transform)) == {(10, 20), (30, 30)}
        assert transform({"img": None})["scale_idx"] in (0, 1)

    def test_takes_the_resize_of_the_scope(self):
        image = np.zeros((20, 30, 3), np.uint8)
        for scope in ("classification", "detection"):
            with DefaultScope.overwrite_default_scope(scope):
                transform = TRANSFORMS.build(
                    {"type": "RandomChoiceResize", "scales": [(15, 100)], "keep_ratio": True}
                )
            assert type(transform.resize).__module__.startswith(f"toolkit.{scope}")
            results = transform({"img": image})
            assert results["img_shape"] == (15, 23)

    def test_wrong_arguments(self):
        with pytest.raises(ConfigError, match="ratio_range"):
            RandomResize((10, 10), resize_type="NotedResize")
        with pytest.raises(ConfigError, match="3"):
            RandomResize([(1, 1)] * 3, resize_type="NotedResize")
        with pytest.raises(ConfigError, match="scales"):
            RandomChoiceResize([], resize_type="NotedResize")
