"""Whole detection transformers, small ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from toolkit.detection.models.dense_heads import DINOHead
from toolkit.detection.models.detectors.detection_transformer import padding_masks, upgrade_keys
from toolkit.detection.models.layers.transformer.ddq_detr_layers import DistinctQueries
from toolkit.detection.models.losses import DDQAuxLoss
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

DIMS, CLASSES, LAYERS, QUERIES = 8, 3, 2, 4
FOCAL = {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0}
LOSSES = {
    "loss_bbox": {"type": "L1Loss", "loss_weight": 5.0},
    "loss_iou": {"type": "GIoULoss", "loss_weight": 2.0},
}
FFN = {"embed_dims": DIMS, "feedforward_channels": 16}
PLAIN = {"embed_dims": DIMS, "num_heads": 2}
CROSS = {**PLAIN, "cross_attn": True}
DEFORMABLE = {**PLAIN, "num_levels": 2, "num_points": 2, "dropout": 0.0}
TWO_STAGE = {"with_box_refine": True, "as_two_stage": True}


def config(kind: str, encoder: Any, cross: Any, **changes: Any) -> dict[str, Any]:
    """A small model; `encoder` and `cross` are the attentions to the image."""
    levels = 2 if encoder is DEFORMABLE else 1
    focal = kind != "DETR"
    head = {"type": f"{kind}Head", "num_classes": CLASSES, "embed_dims": DIMS, **LOSSES}
    made: dict[str, Any] = {
        "type": kind,
        "num_queries": QUERIES,
        "backbone": {"type": "ResNet", "depth": 18, "base_channels": 4, "out_indices": (2, 3)[-levels:]},
        "neck": {
            "type": "ChannelMapper",
            "in_channels": [16, 32][-levels:],
            "kernel_size": 1,
            "out_channels": DIMS,
            "act_cfg": None,
        },
        "encoder": {"num_layers": 1, "layer_cfg": {"self_attn_cfg": encoder, "ffn_cfg": FFN}},
        "decoder": {
            "num_layers": LAYERS,
            "layer_cfg": {"self_attn_cfg": PLAIN, "cross_attn_cfg": cross, "ffn_cfg": FFN},
        },
        "positional_encoding": {"num_feats": DIMS // 2, "normalize": True},
        "bbox_head": {**head, "loss_cls": FOCAL} if focal else head,
        "train_cfg": {
            "assigner": {
                "type": "HungarianAssigner",
                "match_costs": [
                    {"type": "FocalLossCost" if focal else "ClassificationCost", "weight": 2.0},
                    {"type": "BBoxL1Cost", "weight": 5.0, "box_format": "xywh"},
                    {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},
                ],
            }
        },
        "test_cfg": {"max_per_img": 5},
        "data_preprocessor": {"type": "DetDataPreprocessor", "mean": [0] * 3, "std": [255] * 3},
    }
    if levels == 2:
        made["decoder"]["post_norm_cfg"] = None
        made["num_feature_levels"] = 2
    made["decoder"].update(changes.pop("decoder", {}))
    return {**made, **changes}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "detr": lambda: config("DETR", PLAIN, PLAIN),
    "conditional": lambda: config("ConditionalDETR", PLAIN, CROSS),
    "dab": lambda: config("DABDETR", PLAIN, CROSS, with_random_refpoints=True),
    "dab-patterns": lambda: config(
        "DABDETR",
        PLAIN,
        CROSS,
        num_patterns=2,
        decoder={"query_scale_type": "fix_elewise", "query_dim": 2, "with_modulated_hw_attn": False},
    ),
    "deformable": lambda: config("DeformableDETR", DEFORMABLE, DEFORMABLE),
    "refined": lambda: config("DeformableDETR", DEFORMABLE, DEFORMABLE, with_box_refine=True),
    "two-stage": lambda: config("DeformableDETR", DEFORMABLE, DEFORMABLE, **TWO_STAGE),
    "dino": lambda: config(
        "DINO", DEFORMABLE, DEFORMABLE, dn_cfg={"group_cfg": {"num_dn_queries": 6}}, **TWO_STAGE
    ),
    "ddq": lambda: config(
        "DDQDETR", DEFORMABLE, DEFORMABLE, dn_cfg={"group_cfg": {"num_dn_queries": 6}}, **TWO_STAGE
    ),
}


def build(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS.build(CASES[name]())
    model.init_weights()
    return model


def data(counts: tuple[int, ...] = (3, 1), sizes: tuple[Any, ...] = ((96, 128), (128, 64))) -> dict[str, Any]:
    torch.manual_seed(1)
    inputs, samples = [], []
    for count, (height, width) in zip(counts, sizes, strict=True):
        inputs.append(torch.randint(0, 256, (3, height, width), dtype=torch.uint8))
        low = torch.rand(count, 2) * 30
        boxes = torch.cat((low, low + 10 + torch.rand(count, 2) * 20), dim=1)
        meta = {"img_shape": (height, width), "scale_factor": (2.0, 0.5)}
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.randint(0, CLASSES, (count,)))
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


def losses_of(model: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
    return model(**model.data_preprocessor(data(**kwargs), model.training), mode="loss")


@pytest.mark.parametrize("name", CASES)
def test_every_layer_has_losses_and_every_parameter_gradients(name: str) -> None:
    model = build(name).train()
    losses = losses_of(model)
    expected = {f"{layer}{kind}" for layer in ("", "d0.") for kind in ("loss_cls", "loss_bbox", "loss_iou")}
    if name in ("two-stage", "dino", "ddq"):
        expected |= {"enc_loss_cls", "enc_loss_bbox", "enc_loss_iou"}
    if name in ("dino", "ddq"):
        expected |= {key.replace("loss", "dn_loss") for key in expected if not key.startswith("enc")}
    if name == "ddq":
        layers = ("0_aux", "1_aux", "aux_enc")
        expected |= {f"{layer}_aux_loss_{kind}" for layer in layers for kind in ("cls", "bbox")}
    assert set(losses) == expected
    # dense queries of DDQ-DETR train on boxes only where they overlap an object
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(bool(loss > 0) for key, loss in losses.items() if "aux" not in key)
    sum(losses.values()).backward()
    assert [key for key, param in model.named_parameters() if param.grad is None] == []


@pytest.mark.parametrize("name", CASES)
def test_half_precision_gives_nearly_the_same(name: str) -> None:
    model = build(name).eval()
    expected = losses_of(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = losses_of(model)
    assert {loss.dtype for loss in found.values()} == {torch.float32}
    for key, loss in found.items():
        torch.testing.assert_close(loss, expected[key], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("name", CASES)
def test_images_without_objects_have_losses_too(name: str) -> None:
    model = build(name).train()
    losses = losses_of(model, counts=(0, 0))
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert not any(bool(loss) for key, loss in losses.items() if "bbox" in key or "iou" in key)
    sum(losses.values()).backward()


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_in_the_original_image_best_first(name: str) -> None:
    model = build(name).eval()
    batch = model.data_preprocessor(data(), False)
    for sample in model(**batch, mode="predict"):
        found = sample.pred_instances
        height, width = sample.img_shape
        assert found.bboxes.shape == (4 if name == "detr" else 5, 4)  # one box a query, or a class each
        assert bool((found.scores.diff() <= 0).all())
        assert bool((found.labels < CLASSES).all())
        limit = torch.tensor([width / 2, height / 0.5] * 2)
        assert bool(((found.bboxes >= 0) & (found.bboxes <= limit + 1e-3)).all())


# In two stages the places of the padding are proposals too, in the reference as well.
@pytest.mark.parametrize("name", sorted(set(CASES) - {"two-stage", "dino", "ddq"}))
@torch.no_grad()
def test_padding_changes_nothing(name: str) -> None:
    model = build(name).eval()
    alone = model.data_preprocessor(data((3,), ((96, 128),)), False)
    expected = model(**alone, mode="predict")[0].pred_instances
    padded = model.data_preprocessor(data((3, 1), ((96, 128), (96, 192))), False)
    # what convolutions see of the border isn't the subject
    feats = model.extract_feat(padded["inputs"])
    own = model.extract_feat(alone["inputs"])
    for wide, narrow in zip(feats, own, strict=True):
        wide[:1, :, :, : narrow.size(-1)] = narrow
    outs = model.forward_transformer(feats, padded["data_samples"])
    found = model.bbox_head.predict(**outs, batch_data_samples=padded["data_samples"])[0]
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-3, atol=1e-2)


def test_masks_are_those_of_scaled_down_images() -> None:
    samples = [
        DetDataSample(metainfo={"img_shape": size, "batch_input_shape": (50, 70)})
        for size in ((33, 70), (50, 41), (50, 70))
    ]
    sizes = [(7, 9), (4, 5)]
    masks = padding_masks(samples, sizes, torch.device("cpu"))
    whole = torch.ones(3, 1, 50, 70)
    for i, sample in enumerate(samples):
        whole[i, :, : sample.img_shape[0], : sample.img_shape[1]] = 0
    assert masks is not None
    for mask, size in zip(masks, sizes, strict=True):
        expected = torch.nn.functional.interpolate(whole, size=size).bool().squeeze(1)
        assert torch.equal(mask, expected)
    assert padding_masks(samples[2:], sizes, torch.device("cpu")) is None
    assert padding_masks(None, sizes, torch.device("cpu")) is None


@pytest.mark.parametrize("name", CASES)
def test_raw_output_is_a_layer_each(name: str) -> None:
    model = build(name).eval()
    scores, boxes = model(torch.rand(2, 3, 64, 64))
    assert scores.shape[:2] == boxes.shape[:2] == (LAYERS, 2)
    assert boxes.size(-1) == 4


def old_key(key: str) -> str:
    """The key that MMDetection 2.x gave a parameter."""
    renamed = {
        "neck.convs.0.conv.": "bbox_head.input_proj.",
        "query_embedding.": "bbox_head.query_embedding.",
        "level_embed": "bbox_head.transformer.level_embeds",
        "reference_points_fc.": "bbox_head.transformer.reference_points.",
        "memory_trans_fc.": "bbox_head.transformer.enc_output.",
        "memory_trans_norm.": "bbox_head.transformer.enc_output_norm.",
        "pos_trans_fc.": "bbox_head.transformer.pos_trans.",
        "pos_trans_norm.": "bbox_head.transformer.pos_trans_norm.",
    }
    for new, old in renamed.items():
        if key.startswith(new):
            return old + key[len(new) :]
    if key.startswith(("encoder.", "decoder.")):
        inner = key.replace(".self_attn.", ".attentions.0.").replace(".cross_attn.", ".attentions.1.")
        return "bbox_head.transformer." + inner.replace(".ffn.", ".ffns.0.")
    return key


@pytest.mark.parametrize("name", ["detr", "two-stage"])
def test_checkpoints_of_older_versions_load(name: str) -> None:
    model = build(name)
    state = model.state_dict()
    older = {(key if "neck" in key and name != "detr" else old_key(key)): v for key, v in state.items()}
    assert any(key.startswith("bbox_head.transformer.encoder.layers.0.attentions.0.") for key in older)
    other = MODELS.build(CASES[name]())
    other.load_state_dict(older)
    for key, value in other.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_names_of_the_first_version_are_renamed() -> None:
    state = {
        "bbox_head.transformer.encoder.layers.0.self_attn.attn.in_proj_weight": 1,
        "bbox_head.transformer.decoder.layers.0.multihead_attn.attn.in_proj_weight": 2,
        "bbox_head.transformer.decoder.layers.0.ffn.layers.0.0.weight": 3,
        "bbox_head.transformer.decoder.norm.weight": 4,
        "bbox_head.reg_ffn.layers.0.0.weight": 5,
    }
    upgrade_keys(state)
    assert state == {
        "encoder.layers.0.self_attn.attn.in_proj_weight": 1,
        "decoder.layers.0.cross_attn.attn.in_proj_weight": 2,
        "decoder.layers.0.ffn.layers.0.0.weight": 3,
        "decoder.post_norm.weight": 4,
        "bbox_head.reg_ffn.layers.0.0.weight": 5,
    }


def test_background_counts_less() -> None:
    model = build("detr")
    assert model.bbox_head.loss_cls.class_weight == [1.0] * CLASSES + [0.1]
    assert model.bbox_head.bg_cls_weight == 0.1


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("detr", {"positional_encoding": {"num_feats": 3}}, "num_feats"),
        ("detr", {"train_cfg": {"assigner": {}, "sampler": {"type": "PseudoSampler"}}}, "sampler"),
        ("dino", {"with_box_refine": False}, "with_box_refine"),
        ("dino", {"dn_cfg": {"num_classes": 3}}, "num_classes"),
        ("dab", {"num_patterns": None}, "num_patterns"),
    ],
)
def test_what_cannot_be_is_said(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        MODELS.build({**CASES[name](), **changes})


def test_the_head_of_a_deformable_detr_is_set_up_by_the_detector() -> None:
    cfg = CASES["deformable"]()
    cfg["bbox_head"]["num_pred_layer"] = 3
    with pytest.raises(BuildError, match="num_pred_layer"):
        MODELS.build(cfg)


def test_denoising_queries_are_told_by_their_slots() -> None:
    counts, groups, most = [3, 1], 2, 3
    meta = {"num_denoising_queries": 2 * most * groups, "num_denoising_groups": groups}
    matches = DINOHead.dn_matches(counts, meta)
    expected, first = set(), 0
    for image, count in enumerate(counts):
        for group in range(groups):
            for k in range(count):  # near copies come first in a group
                place = image * 2 * most * groups + group * 2 * most + k
                expected.add((place, first + k))
        first += count
    assert set(zip(matches.pred[0].tolist(), matches.gt[0].tolist(), strict=True)) == expected


def test_the_best_of_all_queries_and_classes() -> None:
    head = build("deformable").bbox_head
    logits = torch.full((1, QUERIES, CLASSES), -5.0)
    logits[0, 3, 1], logits[0, 0, 2], logits[0, 3, 0] = 3.0, 2.0, 1.0
    scores, labels, queries = head._best(logits)
    assert labels[0, :3].tolist() == [1, 2, 0]
    assert queries[0, :3].tolist() == [3, 0, 3]
    torch.testing.assert_close(scores[0, :3], torch.tensor([3.0, 2, 1]).sigmoid())


def test_queries_of_the_same_object_do_not_see_each_other() -> None:
    wide, far = [0.5, 0.5, 0.21, 0.2], [0.2, 0.2, 0.1, 0.1]
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], wide, far, [0.51, 0.5, 0.2, 0.2]])
    query = torch.tensor([[0.0], [3.0], [1.0], [2.0], [9.0]])  # the score; the last is no distinct query
    select = DistinctQueries([torch.nn.Identity()] * 2, 0, 4, 2, {"type": "nms", "iou_threshold": 0.8})
    mask = select(0, query[None], torch.cat((boxes, boxes[:1]))[None], None)
    assert mask.shape == (2, 5, 5)  # a head each
    kept = [False, True, True, False, True]  # queries 0 and 3 find what 1 finds, and score less
    expected = torch.tensor([[not (a or b) for b in kept] for a in kept])
    assert torch.equal(mask, expected.expand(2, -1, -1))
    assert select.kept[0].tolist() == [kept[:4]]
    # what was dropped stays so, even where it scores best later
    select(1, query.flip(0)[[1, 2, 3, 4, 0]][None], torch.cat((boxes, boxes[:1]))[None], mask)
    assert select.kept[1].tolist() == [[False, True, True, False]]


def test_dense_queries_count_by_how_good_their_match_is() -> None:
    loss = DDQAuxLoss(train_cfg={"assigner": {"type": "TopkHungarianAssigner", "topk": 2}})
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [30, 30, 40, 40], [30, 30, 39, 40]])
    targets = torch.tensor([[0.0, 0, 10, 10], [30, 30, 40, 41]])
    owner, scores = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0.4, 0.9, 0.5, 0.6]])
    found = loss._quality(scores, boxes[None], targets[owner], owner, 2)[0]
    overlaps = [1.0, 0.8, 10 / 11, 90 / 110]
    metrics = [score * overlap**6 for score, overlap in zip(scores[0].tolist(), overlaps, strict=True)]
    for first in (0, 2):
        top, reach = max(metrics[first : first + 2]), max(overlaps[first : first + 2])
        for i in (first, first + 1):
            assert float(found[i]) == pytest.approx(metrics[i] / top * reach, rel=1e-4)
