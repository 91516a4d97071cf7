from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.utils.seed import derive_seed, rng_state, seed_everything, set_rng_state


def draw() -> list[float]:
    """Some numbers of each generator; a Gaussian, of which NumPy and Python keep the second half."""
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.randn(),
        np.random.rand(),
        *torch.randn(3).tolist(),
    ]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=4))
def test_derived_seeds_are_seeds(numbers: list[int]) -> None:
    seed = derive_seed(*numbers)
    assert 0 <= seed < 2**32
    assert derive_seed(*numbers) == seed


def test_derived_seeds_do_not_collide_where_sums_do() -> None:
    seeds = {
        derive_seed(seed, epoch, index) for seed in range(20) for epoch in range(20) for index in range(20)
    }
    assert len(seeds) >= 20**3 - 1  # a chance of 0.7 % for one collision among 2**32
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert derive_seed(5) == 3146577611  # the same on every machine and version


def test_seeding_repeats() -> None:
    seed_everything(11)
    first = draw()
    seed_everything(11)
    assert draw() == first
    seed_everything(12)
    assert draw() != first


def test_state_survives_a_safe_file(tmp_path: Path) -> None:
    seed_everything(3)
    draw()
    torch.save(rng_state(), tmp_path / "rng.pt")
    wanted = draw()
    draw()
    set_rng_state(torch.load(tmp_path / "rng.pt", weights_only=True))
    assert draw() == wanted


def test_deterministic_is_asked_for() -> None:
    try:
        seed_everything(0, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
