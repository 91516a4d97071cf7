"""MultiBranch, RandomOrder and ProposalBroadcaster."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.detection.transforms import (
    MultiBranch,
    PackDetInputs,
    ProposalBroadcaster,
    RandomCrop,
    RandomFlip,
    RandomOrder,
    Resize,
)
from toolkit.utils.errors import ConfigError, DataError


def sample() -> dict:
    rng = np.random.RandomState(0)
    corners = rng.randint(0, 30, (6, 2))
    boxes = np.concatenate([corners, corners + rng.randint(5, 20, (6, 2))], axis=1).astype(np.float32)
    return {
        "img": np.zeros((50, 50, 3), np.uint8),
        "img_shape": (50, 50),
        "gt_bboxes": boxes.copy(),
        "gt_bboxes_labels": np.arange(6),
        "gt_ignore_flags": np.zeros(6, bool),
        "proposals": boxes,
        "proposals_scores": np.arange(6, dtype=np.float32),
    }


@pytest.mark.parametrize("seed", range(5))
def test_proposals_move_as_boxes_do(seed):
    np.random.seed(seed)
    steps = [{"type": "RandomFlip", "prob": 0.5}, Resize(scale=(80, 40)), RandomCrop((30, 30))]
    results = ProposalBroadcaster(steps)(sample())
    assert np.array_equal(results["proposals"], results["gt_bboxes"])
    assert np.array_equal(results["proposals_scores"], results["gt_bboxes_labels"])
    after = np.random.rand()
    np.random.seed(seed)
    for step in (RandomFlip(prob=0.5), RandomCrop((30, 30))):
        step.transform(sample() if isinstance(step, RandomFlip) else Resize(scale=(80, 40))(sample()))
    assert after == np.random.rand()  # what follows doesn't notice that the steps ran twice


def test_without_proposals_it_says_how_to_load_them():
    with pytest.raises(DataError, match="LoadProposals"):
        ProposalBroadcaster([])({**sample(), "proposals": None})


def test_branches_get_samples_of_their_own():
    branches = MultiBranch(
        ["sup", "teacher", "student"],
        teacher=[RandomFlip(prob=0.0), PackDetInputs()],
        student=[Resize(scale=(20, 20)), PackDetInputs()],
    )
    results = branches(sample())
    assert list(results) == ["inputs", "data_samples"]
    assert results["inputs"]["sup"] is results["data_samples"]["sup"] is None
    assert results["inputs"]["teacher"].shape == (3, 50, 50)
    assert results["inputs"]["student"].shape == (3, 20, 20)
    assert results["data_samples"]["student"].img_shape == (20, 20)
    assert MultiBranch(["sup"], sup=lambda results: None)(sample()) is None
    with pytest.raises(ConfigError, match="techer"):
        MultiBranch(["teacher"], techer=[])


def test_all_steps_run_in_some_order():
    def step(number: int):
        return lambda results: {"order": [*results["order"], number]}

    orders = {tuple(RandomOrder([step(n) for n in range(3)])({"order": []})["order"]) for _ in range(60)}
    assert len(orders) == 6
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert RandomOrder([lambda results: None, step(1)])({"order": []}) is None
