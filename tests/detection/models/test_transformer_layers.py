from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.detection.models.layers.transformer import (
    CdnQueryGenerator,
    ConditionalAttention,
    DABDetrTransformerDecoder,
    DeformableDetrTransformerDecoder,
    DeformableDetrTransformerEncoder,
    DetrTransformerDecoder,
    DetrTransformerEncoder,
    coordinate_to_encoding,
    inverse_sigmoid,
    moved,
)
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

# The sums that MMDetection 3.3.0 computes in `test_draws_are_those_of_the_reference`.
REFERENCE = {"labels": 1440.0, "boxes": 188.14984130859375, "mask": 288}
LAYER = {
    "self_attn_cfg": {"embed_dims": 8, "num_heads": 2},
    "ffn_cfg": {"embed_dims": 8, "feedforward_channels": 16},
}

CONDITIONAL = {**LAYER, "cross_attn_cfg": {"embed_dims": 8, "num_heads": 2, "cross_attn": True}}


def test_inverse_sigmoid_and_boxes_around_references() -> None:
    x = torch.rand(10, 4) * 0.98 + 0.01
    torch.testing.assert_close(inverse_sigmoid(x).sigmoid(), x)
    assert float(inverse_sigmoid(torch.tensor(0.0), eps=1e-3)) == pytest.approx(math.log(1e-3))
    deltas, points = torch.randn(3, 4), torch.rand(3, 2)
    found = moved(deltas, points)
    torch.testing.assert_close(found[:, 2:], deltas[:, 2:].sigmoid())
    torch.testing.assert_close(found[:, :2], (deltas[:, :2] + inverse_sigmoid(points)).sigmoid())
    torch.testing.assert_close(moved(torch.zeros(10, 4), x), x)


def test_encoded_coordinates_have_y_first() -> None:
    boxes = torch.rand(2, 3, 4)
    whole = coordinate_to_encoding(boxes, num_feats=6, temperature=20)
    assert whole.shape == (2, 3, 24)
    y, x, w, h = whole.split(6, dim=-1)
    for part, column in ((y, 1), (x, 0), (w, 2), (h, 3)):
        torch.testing.assert_close(part[..., 0], (boxes[..., column] * 2 * math.pi).sin())
        torch.testing.assert_close(part[..., 1], (boxes[..., column] * 2 * math.pi).cos())
    torch.testing.assert_close(coordinate_to_encoding(boxes[..., :2], 6, 20), whole[..., :12])


def reference_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: torch.Tensor) -> Any:
    weights = (q @ k.T / q.size(-1) ** 0.5).masked_fill(hidden, float("-inf")).softmax(-1)
    return weights @ v


@pytest.mark.parametrize("is_first", [True, False])
def test_conditional_cross_attention_one_head_at_a_time(is_first: bool) -> None:
    torch.manual_seed(0)
    attention = ConditionalAttention(8, 2, cross_attn=True).eval()
    query, key = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    query_pos, key_pos, sine = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    padding = torch.tensor([[False] * 5, [False, False, True, False, True]])
    found = attention(query, key, query_pos, sine, key_pos, key_padding_mask=padding, is_first=is_first)
    for image in range(2):
        q, k = attention.qcontent_proj(query[image]), attention.kcontent_proj(key[image])
        k_pos = attention.kpos_proj(key_pos[image])
        if is_first:
            q, k = q + attention.qpos_proj(query_pos[image]), k + k_pos
        s, v = attention.qpos_sine_proj(sine[image]), attention.v_proj(key[image])
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            whole_q = torch.cat((q[:, head], s[:, head]), dim=1)
            whole_k = torch.cat((k[:, head], k_pos[:, head]), dim=1)
            heads.append(reference_attention(whole_q, whole_k, v[:, head], padding[image]))
        expected = query[image] + attention.out_proj(torch.cat(heads, dim=1))
        torch.testing.assert_close(found[image], expected)


def test_conditional_self_attention_with_a_mask() -> None:
    torch.manual_seed(0)
    attention = ConditionalAttention(8, 1).eval()
    query, pos = torch.randn(1, 3, 8), torch.randn(1, 3, 8)
    hidden = torch.tensor([[False, True, False], [False, False, True], [False, False, False]])
    q = attention.qcontent_proj(query[0]) + attention.qpos_proj(pos[0])
    k = attention.kcontent_proj(query[0]) + attention.kpos_proj(pos[0])
    expected = query + attention.out_proj(reference_attention(q, k, attention.v_proj(query[0]), hidden))
    torch.testing.assert_close(attention(query, query, pos, key_pos=pos, attn_mask=hidden), expected)


def test_checkpointed_layers_have_the_same_gradients() -> None:
    torch.manual_seed(0)
    plain = DetrTransformerEncoder(2, LAYER)
    saving = DetrTransformerEncoder(2, LAYER, num_cp=1)
    saving.load_state_dict(plain.state_dict())
    query, pos = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    for encoder in (plain, saving):
        encoder(query, pos, None).square().sum().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    with pytest.raises(BuildError, match="num_cp"):
        DetrTransformerEncoder(2, LAYER, num_cp=3)


def test_only_the_last_layer_without_intermediate() -> None:
    torch.manual_seed(0)
    layer = {**LAYER, "cross_attn_cfg": LAYER["self_attn_cfg"]}
    decoder = DetrTransformerDecoder(3, layer)
    inputs = [torch.randn(2, n, 8) for n in (3, 5, 5, 3, 5)]
    states = decoder(*inputs, None)
    assert states.shape == (3, 2, 3, 8)
    decoder.return_intermediate = False
    torch.testing.assert_close(decoder(*inputs, None), states[-1:])


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(BuildError, match="batch_first"):
        DetrTransformerEncoder(1, {"self_attn_cfg": {**LAYER["self_attn_cfg"], "batch_first": False}})
    with pytest.raises(BuildError, match="post_norm_cfg"):
        DetrTransformerDecoder(1, {}, post_norm_cfg=None)
    with pytest.raises(BuildError, match="post_norm_cfg=None"):
        DeformableDetrTransformerDecoder(1, {})
    with pytest.raises(BuildError, match="cond_scalar"):
        DABDetrTransformerDecoder(1, CONDITIONAL, query_scale_type="scalar")
    with pytest.raises(BuildError, match="query_dim=4"):
        DABDetrTransformerDecoder(1, CONDITIONAL, query_dim=2)


def test_encoder_points_are_the_middles_of_places() -> None:
    ratios = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.5, 1.0], [0.5, 0.5]]])
    points = DeformableDetrTransformerEncoder.get_encoder_reference_points([(2, 4), (1, 2)], ratios)
    assert points.shape == (2, 10, 2, 2)
    # place (1, 2) of the first map: without padding, in both maps
    torch.testing.assert_close(points[0, 6], torch.tensor([[2.5 / 4, 1.5 / 2]] * 2))
    # half of the width of both maps is padding, and half of the height of the second
    torch.testing.assert_close(points[1, 6], torch.tensor([[2.5 / 4, 1.5 / 2], [2.5 / 4, 1.5 / 4]]))


def samples(counts: list[int]) -> list[DetDataSample]:
    torch.manual_seed(3)
    result = []
    for count in counts:
        low = torch.rand(count, 2) * 20
        sample = DetDataSample(metainfo={"img_shape": (40, 80)})
        boxes = torch.cat((low, low + 4 + torch.rand(count, 2) * 10), dim=1)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.arange(count) % 5)
        result.append(sample)
    return result


def generator(**kwargs: Any) -> CdnQueryGenerator:
    made = CdnQueryGenerator(5, 6, num_matching_queries=4, group_cfg={"num_dn_queries": 9}, **kwargs)
    nn.init.normal_(made.label_embedding.weight)
    return made


def test_copies_are_near_then_far_and_in_their_slots() -> None:
    batch = samples([3, 1])
    noisy = generator(box_noise_scale=0.4)(batch)
    assert noisy.meta == {"num_denoising_queries": 18, "num_denoising_groups": 3}
    assert noisy.bbox_query.shape == (2, 18, 4)
    boxes = noisy.bbox_query.sigmoid().view(2, 3, 2, 3, 4)
    for image, sample in enumerate(batch):
        gt = sample.gt_instances.bboxes / torch.tensor([80.0, 40, 80, 40])
        size = gt[:, 2:] - gt[:, :2]
        for group in range(3):
            for far in (0, 1):
                found = boxes[image, group, far, : len(gt)]
                sides = torch.cat((found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2), 1)
                # sides beyond the image were moved back, so those are left out
                moved_by = ((sides - gt).abs() / size.repeat(1, 2))[(sides > 0.01) & (sides < 0.99)]
                low, high = (0.2, 0.4) if far else (0.0, 0.2)
                assert bool(((moved_by > low - 0.02) & (moved_by < high + 0.02)).all())
    empty = noisy.bbox_query.view(2, 3, 2, 3, 4)[1, :, :, 1:]
    assert not bool(empty.any())


def test_labels_are_drawn_anew_now_and_then() -> None:
    torch.manual_seed(0)
    made, batch = generator(label_noise_scale=0.5), samples([3, 2])
    same = total = 0
    for _ in range(100):
        queries = made(batch).label_query.view(2, -1, 3, 6)
        for image, sample in enumerate(batch):
            for i, label in enumerate(sample.gt_instances.labels.tolist()):
                found = queries[image, :, i]
                same += int((found == made.label_embedding.weight[label]).all(-1).sum())
                total += len(found)
    assert same / total == pytest.approx(1 - 0.25 * 0.8, abs=0.03)  # a fifth is drawn as it was


def test_groups_see_themselves_and_the_matching_queries_see_no_copies() -> None:
    mask = generator().generate_dn_mask(2, 3)
    assert mask.shape == (16, 16)
    for row in range(16):
        for col in range(16):
            matching = row >= 12
            hidden = col < 12 and (matching or row // 4 != col // 4)
            assert bool(mask[row, col]) == hidden


def test_images_without_objects() -> None:
    noisy = generator()(samples([0, 0]))
    assert noisy.meta["num_denoising_queries"] == 0
    assert noisy.label_query.shape == (2, 0, 6)
    assert noisy.attn_mask.shape == (4, 4)
    assert not bool(noisy.attn_mask.any())


def test_numbers_of_groups() -> None:
    assert [generator().get_num_groups(count) for count in (0, 1, 4, 20)] == [1, 9, 2, 1]
    fixed = CdnQueryGenerator(5, 6, 4, group_cfg={"dynamic": False, "num_groups": 7})
    assert fixed.get_num_groups(100) == 7
    with pytest.raises(BuildError, match="num_groups"):
        CdnQueryGenerator(5, 6, 4, group_cfg={"dynamic": False})
    with pytest.raises(BuildError, match="positive"):
        CdnQueryGenerator(5, 6, 4, box_noise_scale=0)


def test_draws_are_those_of_the_reference() -> None:
    made = generator()
    made.label_embedding.weight.data = torch.arange(30.0).view(5, 6)
    batch = samples([3, 1])
    torch.manual_seed(0)
    with torch.no_grad():
        noisy = made(batch)
    assert float(noisy.label_query.sum()) == pytest.approx(REFERENCE["labels"])
    assert float(noisy.bbox_query.abs().sum()) == pytest.approx(REFERENCE["boxes"], rel=1e-5)
    assert int(noisy.attn_mask.sum()) == REFERENCE["mask"]
