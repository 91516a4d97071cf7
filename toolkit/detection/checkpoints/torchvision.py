"""From torchvision's detection checkpoints to the keys and the order of classes of ours.

What torchvision computes differently is settled in the configs under ``configs/torchvision``: anchors with
rounded corners, RoIAlign without the half-pixel shift, scores of FCOS. Four things are not: torchvision
doesn't limit how far a box shrinks, drops boxes narrower than 0.01 pixels, pastes masks onto whole pixels,
and resizes images in floating point.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.utils import CheckpointError

Weights = dict[str, Tensor]

# torchvision counts COCO's categories by their ids, 1 to 90; these ten of them were never used.
_UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_LABELS = tuple(i for i in range(1, 91) if i not in _UNUSED_COCO_IDS)
_COCO_OUTPUTS = 91
_OUR_EPS = 1e-5

_FPN = (
    (r"backbone\.body\.(.+)", r"backbone.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d+)(?:\.0)?\.(weight|bias)", r"neck.lateral_convs.\1.conv.\2"),
    (r"backbone\.fpn\.inner_blocks\.(\d+)\.1\.(\w+)", r"neck.lateral_convs.\1.bn.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d+)(?:\.0)?\.(weight|bias)", r"neck.fpn_convs.\1.conv.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d+)\.1\.(\w+)", r"neck.fpn_convs.\1.bn.\2"),
)
_RCNN = (
    *_FPN,
    (r"rpn\.head\.conv(?:\.0\.0)?\.(weight|bias)", r"rpn_head.rpn_conv.\1"),
    (r"rpn\.head\.cls_logits\.(\w+)", r"rpn_head.rpn_cls.\1"),
    (r"rpn\.head\.bbox_pred\.(\w+)", r"rpn_head.rpn_reg.\1"),
    (r"roi_heads\.box_head\.fc6\.(\w+)", r"roi_head.bbox_head.shared_fcs.0.\1"),
    (r"roi_heads\.box_head\.fc7\.(\w+)", r"roi_head.bbox_head.shared_fcs.1.\1"),
    (r"roi_heads\.box_head\.(\d+)\.0\.(\w+)", r"roi_head.bbox_head.shared_convs.\1.conv.\2"),
    (r"roi_heads\.box_head\.(\d+)\.1\.(\w+)", r"roi_head.bbox_head.shared_convs.\1.bn.\2"),
    (r"roi_heads\.box_head\.\d+\.(weight|bias)", r"roi_head.bbox_head.shared_fcs.0.\1"),
    (r"roi_heads\.box_predictor\.cls_score\.(\w+)", r"roi_head.bbox_head.fc_cls.\1"),
    (r"roi_heads\.box_predictor\.bbox_pred\.(\w+)", r"roi_head.bbox_head.fc_reg.\1"),
    (r"roi_heads\.mask_head\.(\d+)\.0\.(\w+)", r"roi_head.mask_head.convs.\1.conv.\2"),
    (r"roi_heads\.mask_head\.(\d+)\.1\.(\w+)", r"roi_head.mask_head.convs.\1.bn.\2"),
    (r"roi_heads\.mask_predictor\.conv5_mask\.(\w+)", r"roi_head.mask_head.upsample.\1"),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.(\w+)", r"roi_head.mask_head.conv_logits.\1"),
)
_DENSE = (
    *_FPN,
    (r"head\.classification_head\.conv\.(.+)", r"bbox_head.cls_convs.\1"),
    (r"head\.regression_head\.conv\.(.+)", r"bbox_head.reg_convs.\1"),
)
_RETINANET = (
    *_DENSE,
    (r"head\.classification_head\.cls_logits\.(\w+)", r"bbox_head.retina_cls.\1"),
    (r"head\.regression_head\.bbox_reg\.(\w+)", r"bbox_head.retina_reg.\1"),
)
_FCOS = (
    *_DENSE,
    (r"head\.classification_head\.cls_logits\.(\w+)", r"bbox_head.conv_cls.\1"),
    (r"head\.regression_head\.bbox_reg\.(\w+)", r"bbox_head.conv_reg.\1"),
    (r"head\.regression_head\.bbox_ctrness\.(\w+)", r"bbox_head.conv_centerness.\1"),
)
_FIRST_MASK_NAMES = re.compile(r"mask_head\.mask_fcn(\d)\.")


@dataclass(frozen=True)
class Architecture:
    """A kind of detector of torchvision.

    Attributes:
        name: What torchvision calls it, without the backbone.
        rules: Patterns of its keys, and what they are here.
        config: A config of ours that gives its numbers.
    """

    name: str
    rules: Sequence[tuple[str, str]]
    config: str


_FASTER = Architecture("fasterrcnn", _RCNN, "configs/torchvision/faster-rcnn_r50_fpn_coco.py")
_MASK = Architecture("maskrcnn", _RCNN, "configs/torchvision/mask-rcnn_r50_fpn_coco.py")
_FASTER_V2 = Architecture("fasterrcnn_v2", _RCNN, "configs/torchvision/faster-rcnn_r50_fpn-v2_coco.py")
_MASK_V2 = Architecture("maskrcnn_v2", _RCNN, "configs/torchvision/mask-rcnn_r50_fpn-v2_coco.py")
_RETINA = Architecture("retinanet", _RETINANET, "configs/torchvision/retinanet_r50_fpn_coco.py")
_RETINA_V2 = Architecture("retinanet_v2", _RETINANET, "configs/torchvision/retinanet_r50_fpn-v2_coco.py")
_FCOS_NET = Architecture("fcos", _FCOS, "configs/torchvision/fcos_r50_fpn_coco.py")


@dataclass(frozen=True)
class Converted:
    """Converted weights.

    Attributes:
        architecture: What they were recognised as.
        state_dict: The weights under our keys.
        labels: torchvision's labels of our classes 0, 1, ….
    """

    architecture: Architecture
    state_dict: Weights
    labels: tuple[int, ...]


def is_torchvision(weights: Mapping[str, Tensor]) -> bool:
    """Whether the keys look like those of a detector of torchvision with a feature pyramid."""
    return any(key.startswith("backbone.body.") for key in weights)


def from_torchvision(
    weights: Mapping[str, Tensor], labels: Sequence[int] | str = "auto", bn_eps: float | None = None
) -> Converted:
    """Convert Faster R-CNN, Mask R-CNN, RetinaNet or FCOS with a ResNet and a feature pyramid.

    Background, label 0 there, becomes the last class of a softmax and no class of a sigmoid.

    Args:
        weights: torchvision's state dict, of any version's key names.
        labels: The labels that become classes 0, 1, …: numbers; 'coco' for the 80 that COCO uses of its 91;
            'all' but background; 'auto' for 'coco' where there are 91, else for 'all'. With a softmax, scores
            rise a little where labels are left out.
        bn_eps: What the backbone's norms added to variances; it is folded into them. By default 0 for frozen
            norms, as torchvision's own COCO_V1 weights need, but 1e-5 for those of FCOS and for others.

    Returns:
        The converted weights.

    Raises:
        CheckpointError: The keys are not those of such a detector, or a label is out of range.
    """
    architecture = _recognise(weights)
    found = {_renamed(key, architecture.rules): value for key, value in _current_names(weights).items()}
    found = _numbered(found)
    _chain_rpn(found)
    outputs, head = _outputs(found, architecture)
    chosen = _labels(labels, outputs)
    for key in [key for key in found if key.startswith(head)]:
        found[key] = _rows(key, found[key], chosen, outputs)
    if architecture is _FCOS_NET:
        levels = sum(key.startswith("neck.fpn_convs.") and key.endswith("conv.weight") for key in found)
        found.update({f"bbox_head.scales.{i}.scale": torch.tensor(1.0) for i in range(levels)})
    _thaw(found, bn_eps, frozen_eps=_OUR_EPS if architecture is _FCOS_NET else 0.0)
    return Converted(architecture, found, chosen)


def _recognise(weights: Mapping[str, Tensor]) -> Architecture:
    if not is_torchvision(weights):
        raise CheckpointError(
            "no key starts with 'backbone.body.': this is no detector of torchvision with a feature pyramid. "
            f"The keys begin with {', '.join(sorted({key.partition('.')[0] for key in weights})[:6])}"
        )
    parts = {".".join(key.split(".")[:2]) for key in weights}
    if "roi_heads.box_predictor" in parts:
        second = any(key.startswith("roi_heads.box_head.0.") for key in weights)
        if "roi_heads.mask_predictor" in parts:
            return _MASK_V2 if second else _MASK
        return _FASTER_V2 if second else _FASTER
    if any("bbox_ctrness" in key for key in weights):
        return _FCOS_NET
    if "head.classification_head" in parts:
        normed = "head.classification_head.conv.0.1.weight" in weights
        return _RETINA_V2 if normed else _RETINA
    raise CheckpointError(
        f"a detector of torchvision, but none that is known here; it has {', '.join(sorted(parts))}"
    )


def _current_names(weights: Mapping[str, Tensor]) -> Weights:
    """Keys as torchvision names them today: mask heads were numbered from 1 once."""

    def current(key: str) -> str:
        return _FIRST_MASK_NAMES.sub(lambda found: f"mask_head.{int(found.group(1)) - 1}.0.", key)

    return {current(key): value for key, value in weights.items()}


def _renamed(key: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        if re.fullmatch(pattern, key):
            return re.sub(pattern, replacement, key)
    return key  # further levels of the pyramid and towers: see `_numbered`


def _numbered(found: Weights) -> Weights:
    """Give what torchvision numbers by layer the numbers of ours, by block."""
    levels = {key.split(".")[2] for key in found if key.startswith("neck.fpn_convs.")}
    done: Weights = {}
    for key, value in found.items():
        tower = re.fullmatch(r"(bbox_head\.(?:cls|reg)_convs)\.(\d+)\.(?:(\d)\.)?(\w+)", key)
        extra = re.fullmatch(r"backbone\.fpn\.extra_blocks\.p(\d)\.(\w+)", key)
        if extra is not None:
            key = f"neck.fpn_convs.{len(levels) + int(extra.group(1)) - 6}.conv.{extra.group(2)}"
        elif tower is not None:
            key = _tower_key(found, *tower.groups())
        done[key] = value
    return done


def _tower_key(found: Weights, tower: str, layer: str, part: str | None, name: str) -> str:
    """Blocks of a tower are (convolution, norm), or in older files a list that counts activations too."""
    if part is not None:
        return f"{tower}.{layer}.{'gn' if part == '1' else 'conv'}.{name}"
    convolutions = sorted(
        int(key.split(".")[2])
        for key, value in found.items()
        if key.startswith(f"{tower}.") and key.endswith(".weight") and value.dim() == 4
    )
    number = int(layer)
    block = sum(place <= number for place in convolutions) - 1
    return f"{tower}.{block}.{'conv' if number in convolutions else 'gn'}.{name}"


def _chain_rpn(found: Weights) -> None:
    """Several convolutions before the RPN's predictions are numbered, one is not."""
    pattern = re.compile(r"rpn\.head\.conv\.(\d+)\.0\.(\w+)")
    further = [key for key in found if pattern.fullmatch(key)]
    if not further:
        return
    for name in ("weight", "bias"):
        found[f"rpn_head.rpn_conv.0.conv.{name}"] = found.pop(f"rpn_head.rpn_conv.{name}")
    for key in further:
        found[pattern.sub(r"rpn_head.rpn_conv.\1.conv.\2", key)] = found.pop(key)


def _outputs(found: Weights, architecture: Architecture) -> tuple[int, tuple[str, ...]]:
    """The number of labels with background, and the prefixes of the layers that have an output for each."""
    if architecture is _FCOS_NET:
        return len(found["bbox_head.conv_cls.bias"]), ("bbox_head.conv_cls.",)
    if architecture.rules is _RETINANET:
        anchors = len(found["bbox_head.retina_reg.bias"]) // 4
        return len(found["bbox_head.retina_cls.bias"]) // anchors, ("bbox_head.retina_cls.",)
    heads = ("bbox_head.fc_cls.", "bbox_head.fc_reg.", "mask_head.conv_logits.")
    return len(found["roi_head.bbox_head.fc_cls.bias"]), tuple(f"roi_head.{head}" for head in heads)


def _labels(labels: Sequence[int] | str, outputs: int) -> tuple[int, ...]:
    if labels == "auto":
        labels = "coco" if outputs == _COCO_OUTPUTS else "all"
    if labels == "coco":
        labels = COCO_LABELS
    if labels == "all":
        labels = range(1, outputs)
    if isinstance(labels, str):
        raise CheckpointError(f"labels are 'auto', 'coco', 'all' or numbers, got {labels!r}")
    wrong = [label for label in labels if not 0 <= label < outputs]
    if wrong or not labels:
        raise CheckpointError(
            f"this checkpoint has the labels 0 to {outputs - 1}; got {', '.join(map(str, wrong)) or 'none'}"
        )
    return tuple(labels)


def _rows(key: str, value: Tensor, labels: tuple[int, ...], outputs: int) -> Tensor:
    """The outputs of a layer for some labels: (…·labels·…, channels)."""
    selected = [*labels, 0] if ".fc_cls." in key else list(labels)
    inner = 4 if ".fc_reg." in key else 1
    table = value.reshape(-1, outputs, inner, *value.shape[1:])
    return table[:, selected].reshape(-1, *value.shape[1:])


def _thaw(found: Weights, bn_eps: float | None, frozen_eps: float) -> None:
    """Make frozen norms into ordinary ones, in place, and fold another epsilon into their variances."""
    for key in [key for key in found if key.endswith(".running_var")]:
        counter = f"{key.removesuffix('running_var')}num_batches_tracked"
        frozen = counter not in found
        found.setdefault(counter, torch.tensor(0))
        eps = bn_eps if bn_eps is not None else frozen_eps if frozen else _OUR_EPS
        if eps != _OUR_EPS and key.startswith("backbone."):
            found[key] = found[key] + (eps - _OUR_EPS)
