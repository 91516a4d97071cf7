from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder

from toolkit.detection.models.task_modules import DeltaXYWHBBoxCoder, PseudoBBoxCoder

side = st.floats(4, 200)
place = st.floats(-100, 400)
box = st.tuples(place, place, side, side).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])
stds = (0.1, 0.1, 0.2, 0.2)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(box, box), min_size=1, max_size=6))
def test_decoding_what_was_encoded_gives_the_box(pairs: list[tuple[list[float], list[float]]]) -> None:
    priors = torch.tensor([pair[0] for pair in pairs])
    boxes = torch.tensor([pair[1] for pair in pairs])
    coder = DeltaXYWHBBoxCoder(target_means=(0.1, -0.1, 0.0, 0.2), target_stds=stds)
    torch.testing.assert_close(coder.decode(priors, coder.encode(priors, boxes)), boxes, atol=1e-2, rtol=1e-4)


def test_equals_torchvisions_coder() -> None:
    torch.manual_seed(0)
    low = torch.rand(50, 2) * 100
    priors = torch.cat((low, low + torch.rand(50, 2) * 60 + 5), dim=1)
    boxes = priors + torch.rand(50, 4) * 4
    reference = BoxCoder((10.0, 10.0, 5.0, 5.0), bbox_xform_clip=abs(math.log(16 / 1000)))
    coder = DeltaXYWHBBoxCoder(target_stds=stds)
    deltas = coder.encode(priors, boxes)
    torch.testing.assert_close(deltas, reference.encode_single(boxes, priors), atol=1e-5, rtol=1e-5)
    noise = deltas + torch.randn(50, 4)
    decoded = reference.decode_single(noise, priors)
    torch.testing.assert_close(coder.decode(priors, noise), decoded, atol=1e-3, rtol=1e-5)


def test_boxes_are_clipped_to_the_image_each_its_own() -> None:
    priors = torch.tensor([[-10.0, -10, 50, 60]]).repeat(2, 1)
    zero = torch.zeros(2, 4)
    assert DeltaXYWHBBoxCoder().decode(priors, zero, max_shape=(40, 30))[0].tolist() == [0, 0, 30, 40]
    each = DeltaXYWHBBoxCoder().decode(priors, zero, max_shape=torch.tensor([[40, 30], [20, 25]]))
    assert each.tolist() == [[0, 0, 30, 40], [0, 0, 25, 20]]
    assert DeltaXYWHBBoxCoder(clip_border=False).decode(priors, zero, max_shape=(40, 30)).tolist() == (
        priors.tolist()
    )


def test_a_box_a_class_is_decoded_from_the_shared_prior() -> None:
    priors = torch.tensor([[0.0, 0, 10, 20], [5, 5, 15, 10]])
    deltas = torch.randn(2, 12)
    coder = DeltaXYWHBBoxCoder(target_stds=stds)
    together = coder.decode(priors, deltas, max_shape=torch.tensor([[12, 9], [8, 14]]))
    for c in range(3):
        alone = coder.decode(priors, deltas[:, 4 * c : 4 * c + 4], max_shape=torch.tensor([[12, 9], [8, 14]]))
        torch.testing.assert_close(together[:, 4 * c : 4 * c + 4], alone)


def test_growth_is_limited_and_centres_where_asked() -> None:
    prior, wild = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[100.0, -100, 50, -50]])
    left, top, right, bottom = DeltaXYWHBBoxCoder().decode(prior, wild)[0].tolist()
    assert right - left == pytest.approx(10 * 1000 / 16, rel=1e-4)
    assert bottom - top == pytest.approx(10 * 16 / 1000, rel=1e-2)
    left, top, right, bottom = (
        DeltaXYWHBBoxCoder(add_ctr_clamp=True, ctr_clamp=32).decode(prior, wild)[0].tolist()
    )
    assert (left + right) / 2 == pytest.approx(5 + 32)
    assert (top + bottom) / 2 == pytest.approx(5 - 32)


def test_empty_and_pseudo() -> None:
    assert DeltaXYWHBBoxCoder().decode(torch.zeros(0, 4), torch.zeros(0, 8)).shape == (0, 8)
    boxes = torch.rand(3, 4)
    assert PseudoBBoxCoder().encode(torch.zeros(3, 4), boxes) is boxes
    assert PseudoBBoxCoder().decode(torch.zeros(3, 4), boxes) is boxes
