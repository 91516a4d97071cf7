from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from toolkit.classification.models import CrossEntropyLoss, LabelSmoothLoss
from toolkit.utils.errors import BuildError

torch.manual_seed(0)
SCORE, LABEL = torch.randn(6, 4), torch.tensor([0, 3, 1, 1, 2, 0])
WEIGHT = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5, 1.0])
CLASSES = [1.0, 2.0, 0.5, 3.0]


def test_cross_entropy_is_torchs():
    torch.testing.assert_close(CrossEntropyLoss()(SCORE, LABEL), F.cross_entropy(SCORE, LABEL))
    each = F.cross_entropy(SCORE, LABEL, weight=torch.tensor(CLASSES), reduction="none")
    torch.testing.assert_close(CrossEntropyLoss(class_weight=CLASSES, reduction="none")(SCORE, LABEL), each)
    weighted = CrossEntropyLoss(loss_weight=2.0)(SCORE, LABEL, weight=WEIGHT, avg_factor=3)
    torch.testing.assert_close(
        weighted, 2 * (F.cross_entropy(SCORE, LABEL, reduction="none") * WEIGHT).sum() / 3
    )
    torch.testing.assert_close(
        CrossEntropyLoss(reduction="sum")(SCORE, LABEL), 6 * F.cross_entropy(SCORE, LABEL)
    )
    summed = CrossEntropyLoss()(SCORE, LABEL, reduction_override="sum")
    torch.testing.assert_close(summed, 6 * F.cross_entropy(SCORE, LABEL))


def test_soft_labels():
    soft = F.softmax(torch.randn(6, 4), dim=1)
    torch.testing.assert_close(CrossEntropyLoss(use_soft=True)(SCORE, soft), F.cross_entropy(SCORE, soft))
    torch.testing.assert_close(CrossEntropyLoss()(SCORE, soft), F.cross_entropy(SCORE, soft))
    classes = torch.tensor(CLASSES)
    torch.testing.assert_close(
        CrossEntropyLoss(use_soft=True, class_weight=CLASSES)(SCORE, soft),
        F.cross_entropy(SCORE, soft, weight=classes),
    )


def test_independent_classes():
    many = torch.tensor([[1, 0, 1, 0]] * 6)
    ours = CrossEntropyLoss(use_sigmoid=True, pos_weight=2.0)(SCORE, many)
    theirs = F.binary_cross_entropy_with_logits(SCORE, many.float(), pos_weight=torch.tensor(2.0))
    torch.testing.assert_close(ours, theirs)
    onehot = F.one_hot(LABEL, 4).float()
    torch.testing.assert_close(
        CrossEntropyLoss(use_sigmoid=True)(SCORE, LABEL), F.binary_cross_entropy_with_logits(SCORE, onehot)
    )


def test_label_smoothing():
    ours = LabelSmoothLoss(0.1, num_classes=4)(SCORE, LABEL)
    torch.testing.assert_close(ours, F.cross_entropy(SCORE, LABEL, label_smoothing=0.1))
    classy = LabelSmoothLoss(0.1, mode="classy_vision", loss_weight=3.0)(SCORE, LABEL)
    torch.testing.assert_close(classy, 3 * F.cross_entropy(SCORE, LABEL, label_smoothing=0.1 / 1.1))
    many = LabelSmoothLoss(0.2, mode="multi_label")(SCORE, LABEL)
    target = torch.where(F.one_hot(LABEL, 4) > 0, 0.8, 0.2)
    torch.testing.assert_close(many, F.binary_cross_entropy_with_logits(SCORE, target))
    # A uniform prediction costs log C whatever the smoothing.
    torch.testing.assert_close(LabelSmoothLoss(0.3)(torch.zeros(2, 4), LABEL[:2]), torch.tensor(4.0).log())


def test_mistakes():
    for make in (
        lambda: CrossEntropyLoss(use_sigmoid=True, use_soft=True),
        lambda: CrossEntropyLoss(reduction="avg"),
        lambda: CrossEntropyLoss(pos_weight=2.0),
        lambda: LabelSmoothLoss(1.5),
        lambda: LabelSmoothLoss(0.1, mode="soft"),
    ):
        with pytest.raises(BuildError):
            make()
    with pytest.raises(ValueError, match="num_classes=5"):
        LabelSmoothLoss(0.1, num_classes=5)(SCORE, LABEL)
