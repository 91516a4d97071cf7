"""The model's config: what moved, and arguments that are called differently now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolkit.config.config_dict import ConfigDict, put
from toolkit.config.migrate.edit import Draft, Values, origin_in, rename, traced
from toolkit.config.migrate.pipeline import Preprocessing

_SAMPLE_ALL = ("RetinaHead", "RetinaSepBNHead", "SSDHead")
_NO_TRAIN_SETTINGS = ("FCOSHead",)
_TRAINING = ("train_cfg", "test_cfg")


def migrate_model(draft: Draft, preprocessing: Preprocessing) -> None:
    """Turn a 2.x `model` into a 3.x one."""
    model = draft.names.get("model")
    if not isinstance(model, ConfigDict):
        return
    _outer_settings(draft, model)
    _pretrained(draft, model)
    _proposal_settings(draft, model)
    _train_settings(draft, model)
    for part in _dicts(model):
        if part.get("type") == "nms" and rename(part, "iou_thr", "iou_threshold"):
            draft.steps.note(origin_in(part, "iou_threshold"), "nms.iou_thr -> iou_threshold")
    augments = _size_changes(draft, model)
    _data_preprocessor(draft, model, preprocessing, augments)


def _dicts(value: Any) -> Iterator[ConfigDict]:
    if isinstance(value, ConfigDict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list, tuple)):
            yield from _dicts(item)


def _outer_settings(draft: Draft, model: ConfigDict) -> None:
    """`train_cfg` and `test_cfg` beside the model, from before MMDetection 2.9."""
    for key in _TRAINING:
        outer = draft.names.get(key)
        if key in model or not isinstance(outer, dict) or "type" in outer or "max_epochs" in outer:
            continue
        value, origin = draft.take(key)
        put(model, key, value, origin)
        draft.steps.note(origin, f"{key} -> model.{key}")


def _pretrained(draft: Draft, model: ConfigDict) -> None:
    if "pretrained" not in model:
        return
    origin = origin_in(model, "pretrained")
    checkpoint = model.pop("pretrained")
    backbone = model.get("backbone")
    if checkpoint and isinstance(backbone, dict) and "init_cfg" not in backbone:
        put(backbone, "init_cfg", traced({"type": "Pretrained", "checkpoint": checkpoint}, origin), origin)
    draft.steps.note(origin, "model.pretrained -> model.backbone.init_cfg")


def _proposal_settings(draft: Draft, model: ConfigDict) -> None:
    """The flat settings of proposals, from before MMDetection 2.5."""
    for outer, inner in (("train_cfg", "rpn_proposal"), ("test_cfg", "rpn")):
        cfg = (model.get(outer) or {}).get(inner)
        if not isinstance(cfg, dict):
            continue
        origin = origin_in(model[outer], inner)
        if rename(cfg, "max_num", "max_per_img"):
            draft.steps.note(origin, f"model.{outer}.{inner}.max_num -> max_per_img")
        if "nms_thr" in cfg:
            threshold = cfg.pop("nms_thr")
            put(cfg, "nms", traced({"type": "nms", "iou_threshold": threshold}, origin), origin)
            draft.steps.note(origin, f"model.{outer}.{inner}.nms_thr -> nms.iou_threshold")
        for key in ("nms_across_levels", "nms_post"):
            cfg.pop(key, None)


def _train_settings(draft: Draft, model: ConfigDict) -> None:
    """Say what the old heads knew themselves, and drop what they never read."""
    train_cfg = model.get("train_cfg")
    if not isinstance(train_cfg, dict):
        return
    head = (model.get("bbox_head") or {}).get("type")
    if head in _SAMPLE_ALL and "sampler" not in train_cfg:
        origin = origin_in(model, "train_cfg")
        put(train_cfg, "sampler", traced({"type": "PseudoSampler"}, origin), origin)
        draft.steps.note(origin, f"model.train_cfg.sampler=PseudoSampler, as {head} did by itself")
    if head in _NO_TRAIN_SETTINGS:
        draft.steps.note(origin_in(model, "train_cfg"), f"model.train_cfg dropped: {head} never read it")
        model.pop("train_cfg")


def _size_changes(draft: Draft, model: ConfigDict) -> list[Values]:
    """YOLOX's changes of the input size are the data preprocessor's."""
    if "random_size_range" not in model and "input_size" not in model:
        return []
    origin = (
        origin_in(model, "input_size") if "input_size" in model else origin_in(model, "random_size_range")
    )
    model.pop("input_size", None)
    sizes = model.pop("random_size_range", (15, 25))
    interval = model.pop("random_size_interval", 10)
    draft.steps.note(origin, "model.random_size_range -> model.data_preprocessor.batch_augments")
    span = tuple(size * 32 for size in sizes)
    return [
        {
            "type": "BatchSyncRandomResize",
            "random_size_range": span,
            "size_divisor": 32,
            "interval": interval,
        }
    ]


def _data_preprocessor(
    draft: Draft, model: ConfigDict, preprocessing: Preprocessing, augments: list[Values]
) -> None:
    cfg: Values = {"type": "DetDataPreprocessor", **preprocessing.cfg}
    if preprocessing.with_mask:
        cfg["pad_mask"] = True
    if preprocessing.with_seg:
        cfg["pad_seg"] = True
    if augments:
        cfg["pad_size_divisor"] = 32
        cfg["batch_augments"] = augments
    if "data_preprocessor" in model or len(cfg) == 1:
        return
    origin = preprocessing.origin or origin_in(model, "type")
    put(model, "data_preprocessor", traced(cfg, origin), origin)
