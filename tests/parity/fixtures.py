"""Weights and inputs that anyone can make again, from names alone."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData

Shape = tuple[int, ...]


def generator(name: str) -> np.random.Generator:
    """numpy's default generator, seeded by the CRC-32 of a name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def weight(key: str, shape: Shape) -> np.ndarray:
    """The values that stand under a key of a state dict, float32.

    Standard normal noise; then by what the key is: a running variance is 1 plus a tenth of its size, a
    running mean a tenth of it; vectors and scalars are 0.05 of it, around 0 for a bias and 1 otherwise; all
    else is scaled to unit variance of the output.
    """
    noise = generator(key).standard_normal(shape)
    if key.endswith("running_var"):
        values = 1 + np.abs(noise) / 10
    elif key.endswith("running_mean"):
        values = noise / 10
    elif len(shape) < 2:
        values = noise * 0.05 + (not key.endswith("bias"))
    else:
        values = noise / np.sqrt(np.prod(shape[1:]))
    return np.asarray(values, dtype=np.float32)


def set_weights(model: nn.Module) -> None:
    """Overwrite every floating-point entry of a model's state dict by `weight`."""
    state = model.state_dict()
    filled = {
        k: torch.from_numpy(weight(k, tuple(v.shape))) for k, v in state.items() if v.is_floating_point()
    }
    model.load_state_dict({**state, **filled})


def image(index: int, shape: tuple[int, int]) -> np.ndarray:
    """A picture of twelve soft spots with a little noise: uint8 (3, H, W) in RGB order."""
    height, width = shape
    rng = generator(f"parity.{index}")
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    values = np.zeros((3, height, width))
    for _ in range(12):
        cy, cx, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(8, 60)
        colour = rng.uniform(-120, 120, (3, 1, 1))
        values += colour * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size * size))
    values += 127 + rng.normal(0, 8, values.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def annotation(index: int, shape: tuple[int, int], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) float32 and labels (N,) int64 of a picture."""
    height, width = shape
    rng = generator(f"parity.gt.{index}")
    count = 4 + index
    left, top = rng.uniform(0, width * 0.6, count), rng.uniform(0, height * 0.6, count)
    wide, tall = rng.uniform(20, width * 0.4, count), rng.uniform(20, height * 0.4, count)
    corners = (left, top, np.minimum(left + wide, width - 1), np.minimum(top + tall, height - 1))
    return np.stack(corners, 1).astype(np.float32), rng.integers(0, num_classes, count)


def ellipses(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The ellipse in each box, as masks (N, H, W) uint8."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    left, top, right, bottom = boxes.T[:, :, None, None]
    across, down = (right - left) / 2, (bottom - top) / 2
    inside = ((x - (left + right) / 2) / across) ** 2 + ((y - (top + bottom) / 2) / down) ** 2 <= 1
    return inside.astype(np.uint8)


def batch(shapes: list[list[int]], num_classes: int) -> dict[str, Any]:
    """What a dataloader would give: BGR images and data samples with ground truth."""
    inputs, samples = [], []
    for index, (height, width) in enumerate(shapes):
        shape = (height, width)
        inputs.append(torch.from_numpy(image(index, shape)[::-1].copy()))
        boxes, labels = annotation(index, shape, num_classes)
        sample = DetDataSample(
            metainfo={
                "img_shape": shape,
                "ori_shape": shape,
                "pad_shape": shape,
                "scale_factor": (1.0, 1.0),
                "flip": False,
            }
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes),
            labels=torch.from_numpy(labels),
            masks=BitmapMasks(ellipses(boxes, shape), height, width),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64)
        )
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}
