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
# The record, and the config of ours that it was made with the like of.
CASES = {
    "faster-rcnn_r50_fpn_1x_coco": "_base_/models/faster-rcnn_r50_fpn.py",
    "faster-rcnn_r50_fpn_1x_voc0712": "pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py",
    "rpn_r50_fpn_1x_coco": "_base_/models/rpn_r50_fpn.py",
}

_spec = importlib.util.spec_from_file_location("parity_fixtures", HERE / "fixtures.py")
assert _spec is not None
assert _spec.loader is not None
fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fixtures)


class Outcome:
    """A built model and what it computes, beside the record."""

    def __init__(self, record: str, config: str) -> None:
        self.record: dict[str, Any] = json.loads((HERE / "figures" / f"{record}.json").read_text())
        cfg = Config.fromfile(CONFIGS / config).model
        cfg.backbone.pop("init_cfg")
        for stage in cfg.train_cfg.values():
            if "sampler" in stage:
                stage["sampler"]["num"] = 10**6
        self.model = MODELS.build(cfg).eval()
        fixtures.set_weights(self.model)
        self._run()

    @torch.no_grad()
    def _run(self) -> None:
        data = fixtures.batch(self.record["shapes"], self.record["num_classes"])
        self.data = self.model.data_preprocessor(data, False)
        self.feats = self.model.extract_feat(self.data["inputs"])
        self.losses = self.model(**self.data, mode="loss")
        self.samples = self.model(**self.data, mode="predict")


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """Each model, built and run once."""
    return Outcome(request.param, CASES[request.param])


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
    losses = {name: float(value) for name, value in outcome.losses.items()}
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
