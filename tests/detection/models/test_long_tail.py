"""Losses and layers for classes of very different frequency, and balanced regression."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from toolkit.detection.models.layers import NormedConv2d, NormedLinear
from toolkit.detection.models.losses import BalancedL1Loss, MSELoss, SeesawLoss
from toolkit.detection.models.losses.seesaw_loss import seesaw_ce_loss
from toolkit.detection.registry import MODELS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError


def test_seesaw_one_logit_at_a_time() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    counts, p, q = torch.tensor([100.0, 10, 0]), 0.8, 2.0
    expected = []
    for row, label in zip(scores, labels.tolist(), strict=True):
        probabilities = row.softmax(0)
        total = 0.0
        for other in range(3):
            mitigation = min(counts[other].clamp(min=1) / counts[label].clamp(min=1), torch.tensor(1.0)) ** p
            compensation = max(probabilities[other] / probabilities[label], torch.tensor(1.0)) ** q
            factor = 1.0 if other == label else mitigation * compensation
            total = total + factor * row[other].exp()
        expected.append(-(row[label].exp() / total).log())
    found = seesaw_ce_loss(scores, labels, None, counts, 3, p, q, 1e-2, reduction="none")
    torch.testing.assert_close(found, torch.stack(expected))
    plain = seesaw_ce_loss(scores, labels, None, counts, 3, 0, 0, 1e-2)
    torch.testing.assert_close(plain, F.cross_entropy(scores, labels))


def test_seesaw_counts_what_it_has_seen_and_keeps_objectness_apart() -> None:
    loss = SeesawLoss(num_classes=3)
    scores, labels = torch.randn(6, 5), torch.tensor([0, 0, 1, 3, 3, 3])
    losses = loss(scores, labels, avg_factor=6)
    assert loss.cum_samples.tolist() == [2, 1, 0, 3]
    objectness = F.cross_entropy(scores[:, 3:], (labels == 3).long())
    torch.testing.assert_close(losses["loss_cls_objectness"], objectness)
    assert set(losses) == {"loss_cls_objectness", "loss_cls_classes"}
    probabilities = loss.get_activation(scores)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(6))
    torch.testing.assert_close(probabilities[:, 3], scores[:, 3:].softmax(1)[:, 1])
    only_background = loss(scores, torch.full((6,), 3))
    assert only_background["loss_cls_classes"].item() == 0
    assert set(loss.get_accuracy(scores, labels)) == {"acc_objectness", "acc_classes"}
    assert loss.get_cls_channels(3) == 5
    with pytest.raises(BuildError, match="4 in the head and 3"):
        loss.get_cls_channels(4)
    with pytest.raises(BuildError, match="use_sigmoid"):
        SeesawLoss(use_sigmoid=True)


def test_a_box_head_gives_what_seesaw_takes() -> None:
    cfg = {"type": "BBoxHead", "in_channels": 4, "roi_feat_size": 3, "num_classes": 3}
    head = MODELS.build(
        {
            **cfg,
            "loss_cls": {"type": "SeesawLoss", "num_classes": 3},
            "cls_predictor_cfg": {"type": "NormedLinear", "tempearture": 20},
        }
    )
    scores, boxes = head(torch.randn(2, 4, 3, 3))
    assert scores.shape == (2, 5)
    labels = torch.tensor([1, 3])
    targets = (labels, torch.ones(2), torch.zeros(2, 4), torch.ones(2, 4))
    losses = head.loss(scores, boxes, torch.zeros(2, 5), *targets)
    assert {"loss_cls_objectness", "loss_cls_classes", "acc_objectness", "acc_classes"} <= set(losses)
    meta = [{"img_shape": (9, 9), "scale_factor": (1.0, 1.0)}]
    results = head.predict_by_feat([torch.zeros(2, 5)], [scores], [boxes], meta, None)
    torch.testing.assert_close(results[0].scores, head.loss_cls.get_activation(scores))


@pytest.mark.parametrize("sigmoid", [True, False])
def test_many_classes_of_a_box_head(sigmoid: bool) -> None:
    """V3Det's: with sigmoids background has no logit, and the score that the classes leave of 1."""
    torch.manual_seed(0)
    own = {"type": "CrossEntropyCustomLoss", "num_classes": 3, "use_sigmoid": sigmoid}
    head = MODELS.build(
        {"type": "BBoxHead", "in_channels": 4, "roi_feat_size": 3, "num_classes": 3, "loss_cls": own}
    )
    scores, boxes = head(torch.randn(4, 4, 3, 3))
    assert scores.shape == (4, 3 if sigmoid else 4)
    labels = torch.tensor([1, 3, 0, 3])
    losses = head.loss(
        scores, boxes, torch.zeros(4, 5), labels, torch.ones(4), torch.zeros(4, 4), torch.ones(4, 4)
    )
    if sigmoid:
        targets = F.one_hot(labels, 4)[:, :3].float()
        expected = F.binary_cross_entropy_with_logits(scores, targets, reduction="sum") / 4
    else:
        expected = F.cross_entropy(scores, labels)
    torch.testing.assert_close(losses["loss_cls"], expected)
    right = scores[[0, 2], :3].argmax(1) == torch.tensor([1, 0])
    torch.testing.assert_close(losses["acc_classes"].squeeze(), 100 * right.float().mean())
    assert "acc" not in losses
    activated = head.loss_cls.get_activation(torch.tensor([[-9.0, 0, -9, 9][: scores.size(1)]]))
    assert activated.shape == (1, 4)
    assert activated.sum().item() == pytest.approx(1, abs=1e-3)
    assert head.loss_cls.get_activation(torch.full((1, scores.size(1)), 9.0))[0, 3] < (0.01 if sigmoid else 1)
    meta = [{"img_shape": (9, 9), "scale_factor": (1.0, 1.0)}]
    results = head.predict_by_feat([torch.zeros(4, 5)], [scores], [boxes], meta, None)
    torch.testing.assert_close(results[0].scores, head.loss_cls.get_activation(scores))
    with pytest.raises(BuildError, match="5 in the head and 3 in CrossEntropyCustomLoss"):
        head.loss_cls.get_cls_channels(5)


def test_many_classes_of_a_dense_head() -> None:
    head = MODELS.build(
        {
            "type": "FCOSHead",
            "num_classes": 3,
            "in_channels": 4,
            "feat_channels": 4,
            "norm_cfg": None,
            "cls_predictor_cfg": {"type": "NormedLinear", "tempearture": 50, "bias": True},
            "loss_cls": {"type": "FocalCustomLoss", "num_classes": 3},
        }
    )
    assert isinstance(head.conv_cls, NormedConv2d)
    assert (head.conv_cls.kernel_size, head.conv_cls.tempearture) == ((1, 1), 50)
    plain = MODELS.build({"type": "FocalLoss"})
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 3, 2, 3])
    torch.testing.assert_close(
        head.loss_cls(scores, labels, avg_factor=2), plain(scores, labels, avg_factor=2)
    )
    torch.testing.assert_close(head.loss_cls.get_activation(scores), scores.sigmoid())
    truth = InstanceData(bboxes=torch.tensor([[2.0, 2, 40, 40]]), labels=torch.tensor([1]))
    maps = [torch.randn(1, 4, size, size) for size in (16, 8, 4, 2, 1)]
    losses = head.loss_by_feat(*head(maps), [truth], [{"img_shape": (128, 128)}])
    assert {"loss_cls", "acc_classes"} <= set(losses)
    with pytest.raises(BuildError, match="FocalCustomLoss needs num_classes"):
        MODELS.build({"type": "FocalCustomLoss"})


def test_normed_layers_are_cosines() -> None:
    torch.manual_seed(0)
    linear, x = NormedLinear(6, 4, bias=False, tempearture=7), torch.randn(3, 6)
    cosines = F.cosine_similarity(x[:, None], linear.weight[None], dim=-1)
    torch.testing.assert_close(linear(x), 7 * cosines, rtol=1e-4, atol=1e-4)
    conv, y = NormedConv2d(6, 4, 1, bias=False), torch.randn(2, 6, 3, 3)
    cosines = F.cosine_similarity(y[:, None], conv.weight.flatten(1)[None, :, :, None, None], dim=2)
    torch.testing.assert_close(conv(y), 20 * cosines, rtol=1e-4, atol=1e-4)
    whole = NormedConv2d(6, 4, 3, norm_over_kernel=True, padding=1)
    whole.weight.data *= 5
    out = whole(y)
    whole.weight.data /= 5
    torch.testing.assert_close(out, whole(y), rtol=1e-4, atol=1e-4)


def test_balanced_l1_has_the_gradient_of_the_paper() -> None:
    x = torch.tensor([0.1, 0.5, 0.9, 2.0], requires_grad=True)
    BalancedL1Loss(reduction="sum")(x, torch.zeros(4)).backward()
    b = math.e**3 - 1
    expected = [0.5 * math.log(b * one + 1) if one < 1 else 1.5 for one in (0.1, 0.5, 0.9, 2.0)]
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx(expected, rel=1e-4)
    with pytest.raises(BuildError, match="beta"):
        BalancedL1Loss(beta=0)(x, x)


def test_mean_squared_error() -> None:
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    torch.testing.assert_close(MSELoss(loss_weight=2.0)(x, y), 2 * F.mse_loss(x, y))
