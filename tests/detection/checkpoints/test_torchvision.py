"""Converted weights compute what torchvision's own models compute."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import detection as tv

from toolkit.config import Config
from toolkit.detection.checkpoints import from_torchvision
from toolkit.detection.checkpoints.torchvision import COCO_LABELS
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.utils import CheckpointError

CONFIGS = Path(__file__).parents[3] / "configs" / "torchvision"
MOST = 12  # detections of an image
PROPOSALS = 60
SIZE = (96, 160)  # no multiple of 64: the coarser maps are rounded up


def random_torchvision(make: Callable[..., nn.Module], labels: int) -> nn.Module:
    """A model of torchvision with random weights that find something."""
    torch.manual_seed(0)
    two_stage = "rcnn" in make.__name__
    most = {"box_detections_per_img" if two_stage else "detections_per_img": MOST}
    most |= {"rpn_post_nms_top_n_test": PROPOSALS} if two_stage else {}
    model = make(weights=None, weights_backbone=None, num_classes=labels, min_size=SIZE[0], **most)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.eval()
    for spread, names in SPREADS:
        outputs: dict[nn.Module, list[Tensor]] = {}
        layers = [module for name, module in model.named_modules() if name.endswith(names)]
        keep = functools.partial(_keep, outputs)
        hooks = [layer.register_forward_hook(keep) for layer in layers]
        with torch.no_grad():
            model([image / 255 for image in images()])
            for layer in layers:
                layer.weight *= spread / torch.cat(outputs[layer]).std()
                layer.bias.zero_()
        for hook in hooks:
            hook.remove()
    return model


def _keep(outputs: dict[nn.Module, list[Tensor]], layer: nn.Module, _: Any, output: Tensor) -> None:
    outputs.setdefault(layer, []).append(output.flatten())


# Standard deviations that the outputs of layers get, in this order.
SPREADS = (
    (1.0, ("rpn.head.cls_logits",)),
    (0.2, ("rpn.head.bbox_pred",)),
    (1.5, ("cls_score", "classification_head.cls_logits", "bbox_ctrness")),
    (0.3, ("box_predictor.bbox_pred", "bbox_reg")),
    (1.0, ("mask_fcn_logits",)),
)


def ours(config: str, classes: int, weights: dict[str, Tensor]) -> nn.Module:
    """Our model with converted weights."""
    cfg = Config.fromfile(CONFIGS / config).model
    cfg.backbone.pop("init_cfg")
    cfg.test_cfg.get("rcnn", cfg.test_cfg)["max_per_img"] = MOST
    if "rpn" in cfg.test_cfg:
        cfg.test_cfg["rpn"]["max_per_img"] = PROPOSALS
    for head in (cfg.get("bbox_head"), *cfg.get("roi_head", {}).values()):
        if head is not None and "num_classes" in head:
            head["num_classes"] = classes
    model = MODELS.build(cfg).eval()
    report = model.load_state_dict(weights, strict=True)
    assert not report.missing_keys
    return model


def images() -> list[Tensor]:
    """Smooth random pictures, (3, H, W) of 0 to 255 in RGB."""
    rng = torch.Generator().manual_seed(1)
    coarse = torch.rand(2, 3, 6, 10, generator=rng)
    fine = nn.functional.interpolate(coarse, SIZE, mode="bilinear")
    return [(image * 255).round() for image in fine]


@torch.no_grad()
def predict(model: Any, pictures: list[Tensor]) -> list[Any]:
    samples = [
        DetDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE, scale_factor=(1.0, 1.0)))
        for _ in pictures
    ]
    data = {"inputs": [image.flip(0) for image in pictures], "data_samples": samples}
    return [sample.pred_instances for sample in model.test_step(data)]


def assert_same(found: list[Any], reference: list[dict[str, Tensor]], labels: tuple[int, ...]) -> None:
    for one, other in zip(found, reference, strict=True):
        assert len(one) == len(other["scores"])
        assert len(one) == MOST
        torch.testing.assert_close(one.scores, other["scores"], rtol=0, atol=1e-4)
        rows = zip(other["labels"].tolist(), other["boxes"].tolist(), strict=True)
        theirs = [(label, *box) for label, box in rows]
        for label, box in zip(one.labels.tolist(), one.bboxes.tolist(), strict=True):
            assert any((labels[label], *box) == pytest.approx(entry, abs=2e-3) for entry in theirs)


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (tv.fasterrcnn_resnet50_fpn, "faster-rcnn_r50_fpn_coco.py"),
        (tv.maskrcnn_resnet50_fpn, "mask-rcnn_r50_fpn_coco.py"),
        (tv.retinanet_resnet50_fpn, "retinanet_r50_fpn_coco.py"),
        (tv.fcos_resnet50_fpn, "fcos_r50_fpn_coco.py"),
        (tv.fasterrcnn_resnet50_fpn_v2, "faster-rcnn_r50_fpn-v2_coco.py"),
        (tv.maskrcnn_resnet50_fpn_v2, "mask-rcnn_r50_fpn-v2_coco.py"),
        (tv.retinanet_resnet50_fpn_v2, "retinanet_r50_fpn-v2_coco.py"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_predictions_are_those_of_torchvision(make: Callable[..., nn.Module], config: str) -> None:
    reference = random_torchvision(make, labels=5)
    pictures = images()
    # a sigmoid may find torchvision's label 0, which a trained model never does
    done = from_torchvision(reference.state_dict(), "all" if "rcnn" in config else range(5))
    model = ours(config, len(done.labels), done.state_dict)
    # Masks are compared before they are pasted onto the image, which torchvision does in its own way.
    masks: list[Tensor] = []
    for part in (reference, model):
        for name, module in part.named_modules():
            if name.endswith(("mask_fcn_logits", "conv_logits")):
                module.register_forward_hook(lambda _, __, out: masks.append(out))
    with torch.no_grad():
        expected = reference([image / 255 for image in pictures])
    found = predict(model, pictures)
    if masks:
        torch.testing.assert_close(masks[1], masks[0][:, list(done.labels)], rtol=0, atol=1e-3)
        assert found[0].masks.shape == (len(found[0]), *SIZE)
    assert done.architecture.config.endswith(config)
    assert_same(found, expected, done.labels)


def test_of_cocos_91_labels_80_become_classes() -> None:
    reference = random_torchvision(tv.retinanet_resnet50_fpn, labels=91)
    done = from_torchvision(reference.state_dict())
    assert done.labels == COCO_LABELS
    assert len(COCO_LABELS) == 80
    bias = reference.state_dict()["head.classification_head.cls_logits.bias"]
    kept = done.state_dict["bbox_head.retina_cls.bias"].view(9, 80)
    assert torch.equal(kept[3], bias.view(9, 91)[3, list(COCO_LABELS)])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"fpn\.(inner|layer)_blocks\.(\d)\.0\.", r"fpn.\1_blocks.\2."),
        (r"rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
        (r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}."),
    ],
)
def test_names_of_older_files_are_known(old: str, new: Any) -> None:
    weights = tv.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3).state_dict()
    renamed = {re.sub(old, new, key): value for key, value in weights.items()}
    assert renamed.keys() != weights.keys()
    done = from_torchvision(renamed)
    assert done.state_dict.keys() == from_torchvision(weights).state_dict.keys()


def test_frozen_norms_keep_what_they_compute() -> None:
    norm = nn.BatchNorm2d(2).eval()
    x = torch.randn(2, 2, 3, 3)
    weights = tv.retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2).state_dict()
    weights = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    key = "backbone.body.bn1.running_var"
    weights[key] = torch.full((64,), 1e-4)
    converted = from_torchvision(weights).state_dict
    norm.running_var.copy_(converted["backbone.bn1.running_var"][:2])
    torch.testing.assert_close(norm(x), x / 1e-2)  # of an epsilon of 0
    assert int(converted["backbone.bn1.num_batches_tracked"]) == 0


@pytest.mark.parametrize("labels", [[0, 7], [], "voc"])
def test_labels_that_are_not_there_are_refused(labels: Any) -> None:
    weights = tv.retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3).state_dict()
    with pytest.raises(CheckpointError, match="labels"):
        from_torchvision(weights, labels)


def test_other_checkpoints_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no detector of torchvision"):
        from_torchvision({"conv1.weight": torch.zeros(1)})
