from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from toolkit.detection.models.losses import (
    Accuracy,
    CrossEntropyLoss,
    L1Loss,
    SmoothL1Loss,
    accuracy,
    weight_reduce_loss,
    weighted_loss,
)
from toolkit.utils import BuildError

torch.manual_seed(0)
LOGITS, LABELS = torch.randn(8, 5), torch.tensor([0, 4, 2, 1, 1, 3, 0, 2])
WEIGHT = torch.rand(8)


def test_softmax_is_torchs() -> None:
    torch.testing.assert_close(CrossEntropyLoss()(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))
    classes = [1.0, 2.0, 0.5, 1.0, 3.0]
    torch.testing.assert_close(
        CrossEntropyLoss(class_weight=classes, reduction="sum", loss_weight=2.0)(LOGITS, LABELS),
        2 * F.cross_entropy(LOGITS, LABELS, torch.tensor(classes), reduction="sum"),
    )


def test_weights_and_average_factor() -> None:
    each = F.cross_entropy(LOGITS, LABELS, reduction="none")
    loss = CrossEntropyLoss()
    torch.testing.assert_close(loss(LOGITS, LABELS, WEIGHT), (each * WEIGHT).mean())
    torch.testing.assert_close(loss(LOGITS, LABELS, WEIGHT, avg_factor=3), (each * WEIGHT).sum() / 3)
    torch.testing.assert_close(
        loss(LOGITS, LABELS, WEIGHT, avg_factor=torch.tensor(3)), (each * WEIGHT).sum() / 3
    )
    torch.testing.assert_close(loss(LOGITS, LABELS, reduction_override="none"), each)


def test_ignored_labels() -> None:
    some = LABELS.clone()
    some[:3] = 255
    each = F.cross_entropy(LOGITS[3:], LABELS[3:], reduction="sum")
    torch.testing.assert_close(CrossEntropyLoss(ignore_index=255)(LOGITS, some), each / 8)
    torch.testing.assert_close(
        CrossEntropyLoss(ignore_index=255, avg_non_ignore=True)(LOGITS, some), each / 5
    )


def test_sigmoid_of_classes_and_background() -> None:
    labels = LABELS.clone()
    labels[1] = 5  # background
    labels[2] = -1  # ignored
    target = F.one_hot(labels.clamp(0, 5), 6)[:, :5].float()
    each = F.binary_cross_entropy_with_logits(LOGITS, target, reduction="none")
    each[2] = 0
    loss = CrossEntropyLoss(use_sigmoid=True)
    torch.testing.assert_close(loss(LOGITS, labels), each.mean())
    torch.testing.assert_close(loss(LOGITS, labels, WEIGHT, avg_factor=4), (each * WEIGHT[:, None]).sum() / 4)
    torch.testing.assert_close(
        CrossEntropyLoss(use_sigmoid=True, avg_non_ignore=True)(LOGITS, labels), each.sum() / 35
    )
    # targets in the shape of the logits are taken as they are
    torch.testing.assert_close(
        loss(LOGITS[:, 0], target[:, 0]),
        each.new_tensor(F.binary_cross_entropy_with_logits(LOGITS[:, 0], target[:, 0]).item()),
    )


def test_masks_of_the_own_class() -> None:
    pred, target = torch.randn(3, 4, 6, 6), torch.randint(0, 2, (3, 6, 6)).float()
    label = torch.tensor([2, 0, 3])
    expected = F.binary_cross_entropy_with_logits(
        torch.stack([pred[i, c] for i, c in enumerate(label)]), target
    )
    torch.testing.assert_close(CrossEntropyLoss(use_mask=True)(pred, target, label)[0], expected)
    with pytest.raises(BuildError, match="avg_factor"):
        CrossEntropyLoss(use_mask=True)(pred, target, label, avg_factor=3)


def test_l1_and_smooth_l1_are_torchs() -> None:
    pred, target = torch.randn(6, 4), torch.randn(6, 4)
    torch.testing.assert_close(L1Loss()(pred, target), F.l1_loss(pred, target))
    torch.testing.assert_close(
        SmoothL1Loss(beta=0.3, loss_weight=3)(pred, target, avg_factor=6),
        3 * F.smooth_l1_loss(pred, target, beta=0.3, reduction="sum") / 6,
    )
    weight = torch.rand(6, 4)
    torch.testing.assert_close(
        L1Loss(reduction="sum")(pred, target, weight), ((pred - target).abs() * weight).sum()
    )


def test_no_boxes_give_zero_with_a_gradient() -> None:
    pred = torch.zeros(0, 4, requires_grad=True)
    loss = L1Loss()(pred, torch.zeros(0, 4), avg_factor=1)
    loss.backward()
    assert loss.item() == 0
    assert pred.grad is not None


def test_reductions_are_checked() -> None:
    with pytest.raises(BuildError, match="summ"):
        L1Loss(reduction="summ")(torch.zeros(1), torch.zeros(1))
    with pytest.raises(BuildError, match="avg_factor"):
        weight_reduce_loss(torch.zeros(2), reduction="sum", avg_factor=2)
    with pytest.raises(BuildError, match="not both"):
        CrossEntropyLoss(use_sigmoid=True, use_mask=True)
    squared = weighted_loss(lambda pred, target: (pred - target) ** 2)
    assert squared(torch.tensor([3.0, 0.0]), torch.zeros(2), reduction="sum").item() == 9


def test_accuracy() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.4, 0.5, 0.1]])
    labels = torch.tensor([0, 1, 1, 0])
    assert accuracy(scores, labels).item() == 50  # type: ignore[union-attr]
    assert [one.item() for one in accuracy(scores, labels, topk=(1, 2))] == [50, 100]
    assert accuracy(scores, labels, thresh=0.6).item() == 25  # type: ignore[union-attr]
    assert Accuracy()(scores, labels)[0].item() == 50
    assert accuracy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).item() == 0  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="topk 4"):
        accuracy(scores, labels, topk=4)
