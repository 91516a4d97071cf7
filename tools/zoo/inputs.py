"""Generated pictures with every kind of annotation, as a dataloader would give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData, PixelData
from zoo.model import class_counts, dicts_in, type_name

Size = tuple[int, int]

# Height and width of the two pictures of a batch; of unequal size, so that one is padded.
SIZES: tuple[Size, Size] = ((128, 192), (112, 128))
# Where nothing pads a batch, pipelines give pictures of one size that fits all levels.
_EQUAL: tuple[Size, Size] = ((128, 192), (128, 192))
# A decoder that chooses its queries among the encoder's tokens needs more of those.
_LARGE: tuple[Size, Size] = ((224, 256), (192, 256))
_MANY_QUERIES = 400
_OBJECTS = 4


def sizes_for(model: Mapping[str, Any]) -> tuple[Size, Size]:
    """The sizes of the pictures, as the model demands them: for its anchors, its queries, or its padding."""
    if any(_queries(part) > _MANY_QUERIES for part in dicts_in(model)):
        return _LARGE
    for part in dicts_in(model):
        if "SSDAnchorGenerator" in type_name(part) and isinstance(part.get("input_size"), int):
            side = part["input_size"]
            return (side, side), (side, side)
    pads = any(part.get("pad_size_divisor", 1) > 1 for part in dicts_in(model))
    return SIZES if pads else _EQUAL


def _queries(part: Mapping[str, Any]) -> int:
    count = part.get("num_queries")
    return count if isinstance(count, int) else 0


def batch(model: Mapping[str, Any], sizes: tuple[Size, Size]) -> dict[str, Any]:
    """Two pictures with boxes, labels, masks, semantic maps and proposals.

    Args:
        model: The config of the model, for its number of classes.
        sizes: (height, width) of each picture.

    Returns:
        `inputs`, uint8 (3, H, W) tensors, and `data_samples`.
    """
    rng = np.random.default_rng(0)
    classes = min(class_counts(model))
    inputs = [torch.from_numpy(rng.integers(0, 256, (3, *size), np.uint8)) for size in sizes]
    samples = [_sample(rng, index, size, classes) for index, size in enumerate(sizes)]
    if any(part.get("rpn_head") is not None for part in dicts_in(model)):
        for sample in samples:
            del sample.proposals  # a model that proposes regions itself would take these in place of its own
    return {"inputs": inputs, "data_samples": samples}


def _sample(rng: np.random.Generator, index: int, size: Size, classes: int) -> DetDataSample:
    height, width = size
    sample = DetDataSample(
        metainfo=dict(
            img_id=index,
            img_path=f"{index}.jpg",
            img_shape=size,
            ori_shape=size,
            scale_factor=(1.0, 1.0),
            flip=False,
            flip_direction=None,
            border=(0, height, 0, width),
        )
    )
    boxes = _boxes(rng, size, _OBJECTS)
    labels = torch.from_numpy(rng.integers(0, classes, _OBJECTS))
    masks = _masks(boxes, size)
    sample.gt_instances = InstanceData(bboxes=torch.from_numpy(boxes), labels=labels, masks=masks)
    sample.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), masks=masks[slice(0, 0)]
    )
    semantic = np.zeros((1, height, width), np.int64)
    for mask, label in zip(masks.masks, labels.tolist(), strict=True):
        semantic[0][mask > 0] = label
    sample.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(semantic))
    proposals = torch.from_numpy(np.concatenate([boxes, _boxes(rng, size, 20)]))
    sample.proposals = InstanceData(bboxes=proposals, scores=torch.linspace(0.9, 0.1, len(proposals)))
    return sample


def _boxes(rng: np.random.Generator, size: Size, count: int) -> np.ndarray:
    """(count, 4) float32 boxes of at least a quarter of the picture's sides, inside it."""
    height, width = size
    sides = np.asarray([width, height])
    extent = rng.uniform(0.25, 0.6, (count, 2)) * sides
    start = rng.uniform(0, 1, (count, 2)) * (sides - extent - 1)
    return np.concatenate([start, start + extent], 1).astype(np.float32)


def _masks(boxes: np.ndarray, size: Size) -> BitmapMasks:
    """The ellipses in boxes."""
    y, x = np.mgrid[: size[0], : size[1]]
    masks = []
    for x1, y1, x2, y2 in boxes:
        across, down = (2 * x - x1 - x2) / (x2 - x1), (2 * y - y1 - y2) / (y2 - y1)
        masks.append((across**2 + down**2 <= 1).astype(np.uint8))
    return BitmapMasks(masks, *size)
