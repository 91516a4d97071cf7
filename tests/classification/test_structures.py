from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.classification.structures import DataSample


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, [3]), (np.int64(3), [3]), ([1, 2], [1, 2]), (np.array([1, 2]), [1, 2]), (torch.tensor(4), [4])],
)
def test_labels(value, expected):
    sample = DataSample().set_gt_label(value).set_pred_label(value)
    assert sample.gt_label.tolist() == sample.pred_label.tolist() == expected
    assert sample.gt_label.dtype == torch.int64


def test_labels_of_wrong_types():
    for wrong in ("3", 1.5, None, True):
        with pytest.raises(TypeError, match="label"):
            DataSample().set_gt_label(wrong)
    with pytest.raises(TypeError, match="float"):
        DataSample().set_gt_label(torch.tensor([0.5]))


def test_scores():
    sample = DataSample().set_gt_score([0, 1, 0]).set_pred_score(torch.tensor([0.1, 0.7, 0.2]))
    assert sample.num_classes == 3
    assert sample.gt_score.dtype == torch.float32
    assert sample.to_dict()["pred_score"].argmax() == 1
    with pytest.raises(ValueError, match=r"2 scores.*3 classes"):
        sample.set_pred_score([0.5, 0.5])
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        DataSample().set_pred_score([[0.5, 0.5]])
    assert DataSample().set_mask(np.ones((2, 2))).mask.shape == (2, 2)
