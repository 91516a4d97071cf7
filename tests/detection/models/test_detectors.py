from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.config import Config
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError, DataError

MODEL_CONFIGS = Path(__file__).parents[3] / "configs" / "_base_" / "models"


def tiny(name: str = "faster-rcnn_r50_fpn.py", **changes: Any) -> Any:
    """A detector of the config's shape, small enough to train in a test."""
    torch.manual_seed(0)
    cfg = Config.fromfile(MODEL_CONFIGS / name).model
    cfg.backbone.update(
        depth=18, base_channels=8, frozen_stages=-1, norm_eval=False, init_cfg=None, zero_init_residual=False
    )
    cfg.neck.update(in_channels=[8, 16, 32, 64], out_channels=16)
    cfg.rpn_head.update(in_channels=16, feat_channels=16)
    if "roi_head" in cfg:
        cfg.roi_head.bbox_roi_extractor.out_channels = 16
        cfg.roi_head.bbox_head.update(in_channels=16, fc_out_channels=32, num_classes=3)
    cfg.update(changes)
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def batch(empty: bool = False) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    inputs, samples = [], []
    for i in range(2):
        img = torch.randint(0, 60, (3, 96, 128), generator=generator, dtype=torch.uint8)
        boxes = torch.zeros(0, 4) if empty else torch.tensor([[10.0, 20, 60, 70], [70, 10, 120, 50]]) + 5 * i
        for box, value in zip(boxes.int().tolist(), (250, 160), strict=False):
            img[:, box[1] : box[3], box[0] : box[2]] = value
        sample = DetDataSample(
            metainfo={"img_shape": (96, 128), "ori_shape": (192, 256), "scale_factor": (0.5, 0.5)}
        )
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)))
        inputs.append(img)
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


def losses_of(model: Any, data: dict[str, Any]) -> dict[str, torch.Tensor]:
    return model(**model.data_preprocessor(data, True), mode="loss")


def test_trains_and_finds_what_it_learnt() -> None:
    model = tiny().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    totals = []
    for _ in range(45):
        total, _ = model.parse_losses(losses_of(model, batch()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert sum(totals[-3:]) < 0.45 * sum(totals[:3])
    found = model.eval().val_step(batch())
    for sample in found:
        best = sample.pred_instances
        # boxes come in pixels of the original image, which is twice as large
        truth = sample.gt_instances.bboxes * 2
        for label, box in enumerate(truth):
            mine = best.bboxes[best.labels == label]
            assert len(mine)
            assert (mine[0] - box).abs().max() < 40


def test_losses_have_gradients_everywhere_and_names() -> None:
    model = tiny().train()
    losses = losses_of(model, batch())
    assert list(losses) == ["loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "acc", "loss_bbox"]
    model.parse_losses(losses)[0].backward()
    without = [name for name, param in model.named_parameters() if param.grad is None]
    assert without == []


def test_images_without_objects_train_too() -> None:
    model = tiny().train()
    losses = losses_of(model, batch(empty=True))
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    assert losses["loss_bbox"] == 0
    total.backward()
    assert all(param.grad is not None for param in model.parameters())


def test_the_samplers_follow_torchs_seed() -> None:
    model = tiny().eval()

    def total(seed: int) -> float:
        torch.manual_seed(seed)
        return float(model.parse_losses(losses_of(model, batch()))[0].detach())

    assert total(1) == total(1)
    assert total(1) != total(2)


def test_the_first_stage_does_not_look_at_classes() -> None:
    model = tiny().eval()
    losses = []
    for label in (0, 2):
        torch.manual_seed(0)
        data = batch()
        for sample in data["data_samples"]:
            sample.gt_instances.labels = torch.full_like(sample.gt_instances.labels, label)
        losses.append(losses_of(model, data))
    torch.testing.assert_close(losses[0]["loss_rpn_cls"], losses[1]["loss_rpn_cls"])
    assert losses[0]["loss_cls"] != losses[1]["loss_cls"]


def test_the_samples_are_left_as_they_were() -> None:
    data = batch()
    labels = [sample.gt_instances.labels.clone() for sample in data["data_samples"]]
    losses_of(tiny().train(), data)
    for sample, before in zip(data["data_samples"], labels, strict=True):
        assert torch.equal(sample.gt_instances.labels, before)


def test_channels_last_stays_and_gives_the_same() -> None:
    model = tiny().eval()
    plain = model.val_step(batch())
    model = model.to(memory_format=torch.channels_last)
    data = model.data_preprocessor(batch(), False)
    feats = model.extract_feat(data["inputs"])
    assert all(feat.is_contiguous(memory_format=torch.channels_last) for feat in feats[:4])
    for one, other in zip(plain, model.val_step(batch()), strict=True):
        assert len(one.pred_instances) == len(other.pred_instances)
        torch.testing.assert_close(
            one.pred_instances.scores, other.pred_instances.scores, atol=1e-4, rtol=1e-3
        )


def test_modes() -> None:
    model = tiny().eval()
    data = model.data_preprocessor(batch(), False)
    scores, boxes = model(data["inputs"])[0]
    assert scores.shape[1:] == (4,)
    assert boxes.shape[1:] == (12,)
    assert model(data["inputs"], data["data_samples"])[0][0].shape == scores.shape
    with pytest.raises(BuildError, match="losss"):
        model(data["inputs"], data["data_samples"], mode="losss")
    assert model.with_rpn
    assert model.with_roi_head
    assert model.with_bbox
    assert model.with_neck


def test_proposals_from_outside() -> None:
    model = tiny(rpn_head=None, type="TwoStageDetector")
    data = batch()
    with pytest.raises(DataError, match="proposals"):
        losses_of(model.train(), data)
    for sample in data["data_samples"]:
        sample.proposals = InstanceData(bboxes=sample.gt_instances.bboxes + 3)
    assert losses_of(model.train(), data).keys() == {"loss_cls", "acc", "loss_bbox"}
    assert "pred_instances" in model.eval().val_step(data)[0]


def test_rpn_alone_and_its_weights_in_a_two_stage_model() -> None:
    rpn = tiny("rpn_r50_fpn.py").train()
    losses = losses_of(rpn, batch())
    assert losses.keys() == {"loss_rpn_cls", "loss_rpn_bbox"}
    found = rpn.eval().val_step(batch())[0].pred_instances
    assert (found.labels == 0).all()
    assert rpn(rpn.data_preprocessor(batch(), False)["inputs"])[0][0].shape[1] == 3
    two_stage = tiny()
    result = two_stage.load_state_dict(rpn.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert all(key.startswith("roi_head.") for key in result.missing_keys)
    torch.testing.assert_close(two_stage.rpn_head.rpn_cls.weight, rpn.bbox_head.rpn_cls.weight)
    back = tiny("rpn_r50_fpn.py").load_state_dict(two_stage.state_dict(), strict=False)
    assert not back.missing_keys


def test_soft_nms_config() -> None:
    model = tiny().eval()
    model.roi_head.test_cfg = {
        "score_thr": 0.05,
        "nms": {"type": "soft_nms", "iou_threshold": 0.5, "min_score": 0.05},
        "max_per_img": 10,
    }
    assert len(model.val_step(batch())[0].pred_instances) <= 10
