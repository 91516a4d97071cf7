"""The detectors compute what MMDetection's compute: keys, features, losses and predictions."""

from __future__ import annotations

import importlib.util
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.config import Config
from toolkit.detection.registry import MODELS

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
FIGURES = sorted((HERE / "figures").glob("*.json"))

_spec = importlib.util.spec_from_file_location("parity_fixtures", HERE / "fixtures.py")
assert _spec is not None
assert _spec.loader is not None
fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fixtures)


def without_chance(cfg: Any) -> None:
    """Take from a model's config what makes its figures depend on downloads or on chance."""
    if isinstance(cfg, dict):
        if (cfg.get("init_cfg") or {}).get("type") == "Pretrained":
            cfg["init_cfg"] = None
        if cfg.get("type") == "RandomSampler":
            cfg["num"] = 10**6
        cfg.pop("batch_augments", None)
    for part in cfg.values() if isinstance(cfg, dict) else cfg:
        if isinstance(part, (dict, list, tuple)):
            without_chance(part)


class Outcome:
    """A built model and what it computes, beside the record."""

    def __init__(self, figures: Path) -> None:
        self.record: dict[str, Any] = json.loads(figures.read_text())
        cfg = Config.fromfile(CONFIGS / self.record["ours"]).model
        without_chance(cfg)
        self.model = MODELS.build(cfg).eval()
        fixtures.set_weights(self.model)
        self._run()

    @torch.no_grad()
    def _run(self) -> None:
        self.data = self._batch(training=True)
        self.feats = self.model.extract_feat(self.data["inputs"])
        self.losses = self.model(**self.data, mode="loss")
        self.samples = self.model(**self._batch(training=False), mode="predict")

    def _batch(self, training: bool) -> Any:
        data = fixtures.batch(self.record["shapes"], self.record["num_classes"])
        return self.model.data_preprocessor(data, training)


@pytest.fixture(scope="module", params=FIGURES, ids=[path.stem for path in FIGURES])
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """Each model, built and run once."""
    return Outcome(request.param)


def test_state_dict_has_the_same_keys_shapes_and_order(outcome: Outcome) -> None:
    keys = {key: list(value.shape) for key, value in outcome.model.state_dict().items()}
    assert dict(list(keys.items())[-20:]) == outcome.record["last_keys"]
    assert len(keys) == outcome.record["num_keys"]
    lines = "\n".join(f"{key} {tuple(shape)}" for key, shape in keys.items())
    assert zlib.crc32(lines.encode()) == outcome.record["keys_crc32"]


def test_features_agree(outcome: Outcome) -> None:
    assert list(outcome.data["inputs"].shape) == outcome.record["batch_shape"]
    assert [list(feat.shape) for feat in outcome.feats] == outcome.record["feat_shapes"]
    means = [feat.abs().mean().item() for feat in outcome.feats]
    assert means == pytest.approx(outcome.record["feat_abs_mean"], rel=1e-4)


def test_losses_agree(outcome: Outcome) -> None:
    losses = {
        name: float(sum(one.mean() for one in value) if isinstance(value, list) else value)
        for name, value in outcome.losses.items()
    }
    assert losses == pytest.approx(outcome.record["losses"], rel=1e-4)


def test_predictions_agree(outcome: Outcome) -> None:
    for sample, record in zip(outcome.samples, outcome.record["predictions"], strict=True):
        found = sample.pred_instances
        assert len(found) == record["num"]
        first = len(record["scores"])
        torch.testing.assert_close(found.scores[:first], torch.tensor(record["scores"]), rtol=0, atol=1e-3)
        ours = [(int(label), *box) for label, box in zip(found.labels, found.bboxes.tolist(), strict=True)]
        for label, box in zip(record["labels"], record["boxes"], strict=True):
            # as sets: where scores tie, the order is anybody's
            assert any((label, *box) == pytest.approx(one, abs=1e-3) for one in ours[: first + 5])
        assert float(found.scores.double().sum()) == pytest.approx(record["score_sum"], rel=1e-4)
        assert float(found.bboxes.double().sum()) == pytest.approx(record["box_sum"], rel=1e-4)


def test_masks_agree(outcome: Outcome) -> None:
    records = outcome.record["predictions"]
    if "mask_pixels" not in records[0]:
        pytest.skip("the model makes no masks")
    for sample, record in zip(outcome.samples, records, strict=True):
        pixels = sample.pred_instances.masks.flatten(1).sum(1).tolist()
        # Boxes tie or differ in the last digits, and a pixel on the border with them.
        for ours, theirs in zip(pixels, record["mask_pixels"], strict=False):
            assert ours == pytest.approx(theirs, rel=1e-3, abs=2)
