"""Recall of proposals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.evaluation import eval_recalls
from toolkit.detection.evaluation.overlaps import pairwise_ious


def test_more_proposals_find_more_and_the_best_come_first():
    truth = np.asarray([[0, 0, 10, 10], [20, 20, 30, 30.0]])
    found = np.asarray([[20, 20, 30, 30, 0.1], [50, 50, 60, 60, 0.9], [0, 0, 10, 8, 0.5]])
    recalls = eval_recalls([truth], [found], (1, 2, 3), (0.5, 0.9), logger="silent")
    assert recalls.tolist() == [[0, 0], [0.5, 0], [1, 0.5]]


def test_one_proposal_finds_one_box():
    truth = np.asarray([[0, 0, 10, 10], [0, 0, 10, 9.0]])
    once = np.asarray([[0, 0, 10, 10, 0.9]])
    assert eval_recalls([truth], [once], 10, 0.5, logger="silent")[0, 0] == 0.5
    assert eval_recalls([truth], [np.vstack([once, once])], 10, 0.5, logger="silent")[0, 0] == 1


def test_without_ground_truth_or_proposals():
    empty, box = np.zeros((0, 4)), np.asarray([[0, 0, 5, 5.0]])
    assert eval_recalls([empty], [box], 10, 0.5, logger="silent")[0, 0] == 0
    assert eval_recalls([box], [np.zeros((0, 5))], 10, 0.5, logger="silent")[0, 0] == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(0, 5))
def test_matching_never_beats_the_best_assignment_and_takes_the_largest_overlap(seed, boxes, proposals):
    rng = np.random.RandomState(seed)

    def draw(count):
        corners = rng.randint(0, 10, (count, 2))
        return np.hstack([corners, corners + rng.randint(3, 12, (count, 2))]).astype(float)

    truth, found = draw(boxes), draw(proposals)
    recall = eval_recalls([truth], [found], 10, 0.5, logger="silent")[0, 0]
    ious = pairwise_ious(truth, found)
    few, many = sorted(ious.shape)
    wide = ious if boxes <= proposals else ious.T
    best = max(
        sum(wide[i, j] >= 0.5 for i, j in enumerate(p)) for p in itertools.permutations(range(many), few)
    )
    assert recall * max(boxes, 1) <= best + 1e-9
    assert (recall > 0) == bool((ious >= 0.5).any())


def test_iou_of_inclusive_pixels():
    pixel = np.asarray([[3, 3, 3, 3.0]])
    assert pairwise_ious(pixel, pixel, extra=1).item() == 1
    assert pairwise_ious(pixel, pixel).item() == 0
    assert pairwise_ious(np.zeros((0, 4)), pixel).shape == (0, 1)
    assert pairwise_ious(pixel, np.zeros((0, 4))).shape == (1, 0)
    assert pairwise_ious(
        np.asarray([[0, 0, 10, 10.0]]), np.asarray([[5, 0, 15, 10.0]])
    ).item() == pytest.approx(1 / 3)
