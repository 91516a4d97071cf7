"""Pipelines of MMDetection 2.x as those of 3.x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.config.config_dict import ConfigDict
from toolkit.config.config_list import ConfigList
from toolkit.config.migrate.edit import Steps, Values, change, origin_in, rename, traced
from toolkit.config.origin import Origin

# What the new packing stores with a sample for evaluation.
_EVAL_META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
# They made containers and tensors; packing does all of it.
_PACKING = ("DefaultFormatBundle", "Collect", "ImageToTensor", "ToDataContainer", "ToTensor", "Transpose")


@dataclass
class Preprocessing:
    """What left the pipelines for the data preprocessor: normalising and padding of whole batches."""

    cfg: Values = field(default_factory=dict)
    origin: Origin | None = None
    with_mask: bool = False
    with_seg: bool = False


@dataclass
class TestPipeline:
    """A migrated pipeline of validation or test.

    Attributes:
        plain: for one scale, without flips.
        tta: the pipeline of test-time augmentation, where the old one asked for it.
    """

    plain: ConfigList
    tta: ConfigList | None


class Pipelines:
    """Turns pipelines into their new form.

    Args:
        steps: takes the notes.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.preprocessing = Preprocessing()
        self._loads: ConfigDict | None = None

    def train(self, pipeline: Sequence[Any], packs: bool = True) -> ConfigList:
        """A training pipeline; `packs`: whether it ends in a sample (not so inside of a dataset wrapper)."""
        items = self._items(pipeline)
        collect = _find(pipeline, "Collect")
        if collect is None and not packs:
            return items
        packing: Values = {"type": "PackDetInputs"}
        if collect is not None and "meta_keys" in collect:
            packing["meta_keys"] = collect["meta_keys"]
        items.append(traced(packing, self._place(pipeline)))
        return _with_proposals(items)

    def test(self, pipeline: Sequence[Any]) -> TestPipeline:
        """A pipeline of validation or test."""
        augmented = _find(pipeline, "MultiScaleFlipAug")
        place = self._place(pipeline)
        packing = traced({"type": "PackDetInputs", "meta_keys": _EVAL_META}, place)
        if augmented is None:
            items = self._items(pipeline)
            return TestPipeline(self._finished(items, packing, place), None)
        before = list(pipeline[: list(pipeline).index(augmented)])
        scales = _scales(augmented)
        inner = [item for item in augmented["transforms"] if item["type"] != "RandomFlip"]
        head = self._items(before)
        resized = [self._sized(item, scales[0] if scales else None, augmented) for item in inner]
        items = ConfigList([*head, *self._items(resized)])
        plain = self._finished(items, packing, place)
        wants_tta = augmented.get("flip", False) or len(scales) > 1
        tta = self._tta(head, resized, scales, augmented, place) if wants_tta else None
        said = "MultiScaleFlipAug -> its transforms at one scale"
        self.steps.note(origin_in(augmented, "type"), f"{said}, and tta_pipeline" if tta else said)
        return TestPipeline(_with_proposals(plain), tta)

    def _finished(self, items: ConfigList, packing: ConfigDict, place: Origin) -> ConfigList:
        """Ground truth is loaded after the image has its final size, as the metrics want it untouched."""
        names = [item["type"] for item in items]
        loads = [] if "LoadAnnotations" in names or "LoadProposals" in names else [self._annotations(place)]
        return ConfigList([*items, *loads, packing])

    def _annotations(self, place: Origin) -> Any:
        wanted: Values = {"type": "LoadAnnotations", "with_bbox": True}
        for key in ("with_mask", "with_seg"):
            if self._loads is not None and self._loads.get(key):
                wanted[key] = True
        return traced(wanted, place)

    def _place(self, pipeline: Sequence[Any]) -> Origin:
        return origin_in(pipeline[-1], "type") if pipeline else origin_in({}, "type")

    # One transform after the other.

    def _items(self, pipeline: Sequence[Any]) -> ConfigList:
        found = [self._item(item) for item in pipeline]
        return ConfigList([item for item in found if item is not None])

    def _item(self, item: Any) -> Any:
        if not isinstance(item, dict) or "type" not in item:
            return item
        kind = item["type"]
        if kind in _PACKING:
            return None
        method = getattr(self, f"_on_{kind.lower()}", None)
        item = item.copy()
        if rename(item, "file_client_args", "backend_args"):
            self.steps.note(origin_in(item, "backend_args"), "file_client_args -> backend_args")
        return item if method is None else method(item)

    def _renamed(self, item: ConfigDict, **keys: str) -> ConfigDict:
        for old, new in keys.items():
            if rename(item, old, new):
                self.steps.note(origin_in(item, new), f"{item['type']}.{old} -> {new}")
        return item

    def _retyped(self, item: ConfigDict, kind: str) -> ConfigDict:
        origin = origin_in(item, "type")
        self.steps.note(origin, f"{item['type']} -> {kind}")
        change(item, "type", kind)
        return item

    def _on_normalize(self, item: ConfigDict) -> None:
        origin = origin_in(item, "type")
        cfg = self.preprocessing.cfg
        cfg.update(mean=item["mean"], std=item["std"], bgr_to_rgb=item.get("to_rgb", True))
        self.preprocessing.origin = origin
        self.steps.note(origin, "Normalize -> model.data_preprocessor (mean, std, bgr_to_rgb)")

    def _on_pad(self, item: ConfigDict) -> ConfigDict | None:
        if "size_divisor" not in item:
            value = item.get("pad_val")
            if value is None or isinstance(value, (int, float)):
                change(item, "pad_val", {"img": tuple(self._padding(value))}, origin_in(item, "type"))
            return item
        origin = origin_in(item, "size_divisor")
        self.preprocessing.cfg["pad_size_divisor"] = item["size_divisor"]
        self.steps.note(origin, "Pad.size_divisor -> model.data_preprocessor.pad_size_divisor")
        return None

    def _padding(self, value: float | None) -> list[float]:
        """A pad value of the normalised image, as that of the raw one."""
        cfg = self.preprocessing.cfg
        if "mean" not in cfg:
            return [value or 0] * 3
        colours = [m + (value or 0) * s for m, s in zip(cfg["mean"], cfg["std"], strict=True)]
        return colours[::-1] if cfg.get("bgr_to_rgb") else colours

    def _on_resize(self, item: ConfigDict) -> ConfigDict:
        for key in ("override", "backend"):
            item.pop(key, None)
        mode = item.pop("multiscale_mode", "range")
        rename(item, "img_scale", "scale")
        scale = item.get("scale")
        several = isinstance(scale, list) and bool(scale) and isinstance(scale[0], (tuple, list))
        if several and len(scale) == 1:
            change(item, "scale", scale[0])
        if item.get("ratio_range") is not None:
            return self._retyped(item, "RandomResize")
        if several and len(scale) > 1:
            if mode == "range":
                return self._retyped(item, "RandomResize")
            rename(item, "scale", "scales")
            return self._retyped(item, "RandomChoiceResize")
        self.steps.note(origin_in(item, "type"), "Resize.img_scale -> scale")
        return item

    def _on_randomflip(self, item: ConfigDict) -> ConfigDict:
        return self._renamed(item, flip_ratio="prob")

    def _on_mosaic(self, item: ConfigDict) -> ConfigDict:
        item.pop("skip_filter", None)
        return item

    _on_mixup = _on_mosaic

    def _on_randomaffine(self, item: ConfigDict) -> ConfigDict:
        for key in ("min_bbox_size", "min_area_ratio", "max_aspect_ratio", "skip_filter"):
            item.pop(key, None)
        return item

    def _on_autoaugment(self, item: ConfigDict) -> ConfigDict:
        rename(item, "policies", "transforms")
        change(item, "transforms", [self._items(policy) for policy in item["transforms"]])
        return self._retyped(item, "RandomChoice")

    def _on_loadannotations(self, item: ConfigDict) -> ConfigDict:
        self._loads = item
        self.preprocessing.with_mask |= bool(item.get("with_mask"))
        self.preprocessing.with_seg |= bool(item.get("with_seg"))
        item.pop("denorm_bbox", None)
        if not item.get("with_label", True):
            origin = origin_in(item, "with_label")
            item.pop("with_label")
            self.steps.note(origin, "LoadAnnotations.with_label=False dropped: an RPN ignores classes itself")
        return item

    def _on_loadpanopticannotations(self, item: ConfigDict) -> ConfigDict:
        self.preprocessing.with_mask = self.preprocessing.with_seg = True
        return item

    # Test-time augmentation.

    def _sized(self, item: Any, scale: Any, augmented: ConfigDict) -> Any:
        if item["type"] != "Resize":
            return item
        item = item.copy()
        if scale is not None:
            change(item, "scale", scale, origin_in(augmented, "img_scale"))
        elif "scale_factor" in augmented:
            factor = _first(augmented["scale_factor"])
            change(item, "scale_factor", factor, origin_in(augmented, "scale_factor"))
        return item

    def _tta(
        self, head: ConfigList, inner: list[Any], scales: list[Any], augmented: ConfigDict, place: Origin
    ) -> ConfigList:
        resize = next((item for item in self._items(inner) if item["type"] == "Resize"), None)
        sizes: list[Any] = []
        for scale in scales:
            if resize is None:
                break
            sized = resize.copy()
            change(sized, "scale", scale)
            sizes.append(sized)
        probs = [1.0, 0.0] if augmented.get("flip") else [0.0]
        direction = _first(augmented.get("flip_direction", "horizontal"))
        flips = [{"type": "RandomFlip", "prob": prob, "direction": direction} for prob in probs]
        packing = {"type": "PackDetInputs", "meta_keys": (*_EVAL_META, "flip", "flip_direction")}
        stages = [stage for stage in (sizes, flips) if stage]
        stages += [[{"type": "LoadAnnotations", "with_bbox": True}], [packing]]
        return ConfigList([*head, traced({"type": "TestTimeAug", "transforms": stages}, place)])


def _find(pipeline: Sequence[Any], kind: str) -> Any:
    return next((item for item in pipeline if isinstance(item, dict) and item.get("type") == kind), None)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _scales(augmented: ConfigDict) -> list[Any]:
    scale = augmented.get("img_scale")
    if scale is None:
        return []
    return list(scale) if isinstance(scale, list) else [scale]


def _with_proposals(items: ConfigList) -> ConfigList:
    """Proposals follow what moves boxes: such transforms go into a `ProposalBroadcaster`."""
    names = [item["type"] for item in items]
    if "LoadProposals" not in names:
        return items
    moving = [
        item
        for item in items
        if item["type"] in ("Resize", "RandomResize", "RandomChoiceResize", "RandomFlip")
    ]
    if not moving:
        return items
    at = items.index(moving[0])
    wrapped = traced({"type": "ProposalBroadcaster"}, origin_in(moving[0], "type"))
    change(wrapped, "transforms", moving, origin_in(moving[0], "type"))
    kept = [item for item in items if not any(item is one for one in moving)]
    return ConfigList([*kept[:at], wrapped, *kept[at:]])
