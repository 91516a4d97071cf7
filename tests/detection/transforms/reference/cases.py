"""Samples and transforms whose results were computed with MMDetection 3.3.0 and stand in `figures.json`.

Needs NumPy alone, so that it runs beside MMDetection too:

    python cases.py figures.json        # in an environment with mmdet 3.3.0 and mmcv 2.1.0

Random draws are MMDetection's in number, order and kind, so equal seeds give equal results. Not among them
are `MinIoURandomCrop`, whose place MMDetection draws differently, `PhotoMetricDistortion`, which gives floats
there, and the objects of `RandomCenterCropPad` in test mode, which MMDetection leaves where they were.
"""

from __future__ import annotations

import copy
import json
import random
import sys

import numpy as np

COLORS = (
    "Color",
    "Brightness",
    "Contrast",
    "Solarize",
    "SolarizeAdd",
    "Posterize",
    "Equalize",
    "AutoContrast",
)
GEOMETRIC = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
MEAN = {"mean": [10, 20, 30], "std": [1, 1, 1], "to_rgb": True}
TEST_PAD = {**MEAN, "crop_size": None, "ratios": None, "border": None, "test_mode": True}
ORDERED = [{"type": "RandomFlip", "prob": 0.5}, {"type": "Resize", "scale": (50, 50)}]

PLAIN = {"seg": True, "plain": True}
PAD = {"type": "mmcv.Pad", "pad_val": {"img": (1, 2, 3), "seg": 9}}

# name: (config, what the sample is made with, seeds)
CASES = {
    **{name: ({"type": name}, {"masks": "bitmap", "seg": True}, 3) for name in GEOMETRIC},
    **{
        f"{name} level": ({"type": name, "level": 7, "prob": 0.7}, {"masks": "bitmap"}, 2)
        for name in GEOMETRIC
    },
    "ShearX polygons": ({"type": "ShearX"}, {"masks": "polygons"}, 2),
    **{name: ({"type": name}, {}, 3) for name in (*COLORS, "Sharpness", "Invert")},
    "AutoAugment": ({"type": "AutoAugment"}, {"masks": "bitmap"}, 6),
    "RandAugment": ({"type": "RandAugment"}, {"masks": "bitmap"}, 6),
    "RandomAffine": ({"type": "RandomAffine"}, {}, 3),
    "RandomAffine border": (
        {"type": "RandomAffine", "border": (-20, -10), "bbox_clip_border": False},
        {},
        3,
    ),
    "RandomShift": ({"type": "RandomShift"}, {}, 3),
    "YOLOXHSVRandomAug": ({"type": "YOLOXHSVRandomAug"}, {}, 4),
    "CutOut ratio": ({"type": "CutOut", "n_holes": (1, 4), "cutout_ratio": [(0.1, 0.2), (0.2, 0.1)]}, {}, 2),
    "CutOut shape": ({"type": "CutOut", "n_holes": 3, "cutout_shape": (10, 20)}, {}, 2),
    "RandomErasing": (
        {"type": "RandomErasing", "n_patches": (1, 5), "ratio": (0.1, 0.5)},
        {"masks": "bitmap", "seg": True},
        3,
    ),
    "RandomErasing oblong": (
        {"type": "RandomErasing", "n_patches": 3, "ratio": 0.3, "squared": False},
        {"masks": "bitmap", "seg": True},
        2,
    ),
    **{
        f"RandomCrop {kind}": (
            {"type": "RandomCrop", "crop_size": size, "crop_type": kind, "allow_negative_crop": True},
            {"masks": "bitmap", "seg": True},
            2,
        )
        for kind, size in (
            ("absolute", (50, 40)),
            ("absolute_range", (30, 60)),
            ("relative", (0.4, 0.6)),
            ("relative_range", (0.3, 0.5)),
        )
    },
    "RandomCrop unclipped": (
        {"type": "RandomCrop", "crop_size": (50, 40), "bbox_clip_border": False},
        {"masks": "bitmap"},
        2,
    ),
    "RandomCrop recompute": (
        {"type": "RandomCrop", "crop_size": (50, 40), "recompute_bbox": True},
        {"masks": "bitmap"},
        2,
    ),
    "Expand": (
        {"type": "Expand", "mean": (1, 2, 3), "seg_ignore_label": 255},
        {"masks": "bitmap", "seg": True},
        3,
    ),
    "Resize": (
        {"type": "Resize", "scale": (133, 80), "keep_ratio": True},
        {"masks": "bitmap", "seg": True},
        1,
    ),
    "FixScaleResize": ({"type": "FixScaleResize", "scale": (131, 77), "keep_ratio": True}, {}, 1),
    "FixShapeResize": ({"type": "FixShapeResize", "width": 200, "height": 100}, {"masks": "bitmap"}, 1),
    "FixShapeResize padded": (
        {"type": "FixShapeResize", "width": 70, "height": 64, "keep_ratio": True, "pad_val": {"img": 7}},
        {"masks": "bitmap", "seg": True},
        1,
    ),
    "ResizeShortestEdge": ({"type": "ResizeShortestEdge", "scale": 64, "max_size": 80}, {}, 1),
    "SegRescale": ({"type": "SegRescale", "scale_factor": 0.25}, {"seg": True}, 1),
    "RandomFlip": (
        {"type": "RandomFlip", "prob": [0.3, 0.3, 0.3], "direction": ["horizontal", "vertical", "diagonal"]},
        {"masks": "bitmap", "seg": True},
        4,
    ),
    "Pad": ({"type": "Pad", "size_divisor": 32, "pad_to_square": True}, {"masks": "bitmap", "seg": True}, 1),
    "RandomCenterCropPad": (
        {
            "type": "RandomCenterCropPad",
            "crop_size": (60, 50),
            "ratios": (0.6, 0.9, 1.2),
            "test_pad_mode": None,
            **MEAN,
        },
        {"as_float": True},
        4,
    ),
    "RandomCenterCropPad or": (
        {
            "type": "RandomCenterCropPad",
            "test_pad_mode": ["logical_or", 31],
            "test_pad_add_pix": 1,
            **TEST_PAD,
        },
        {"as_float": True, "objects": 0},
        1,
    ),
    "RandomCenterCropPad divisor": (
        {"type": "RandomCenterCropPad", "test_pad_mode": ["size_divisor", 32], **TEST_PAD},
        {"as_float": True, "objects": 0},
        1,
    ),
    "Mosaic": ({"type": "Mosaic", "img_scale": (100, 100), "prob": 0.9}, {"others": 3}, 3),
    "Mosaic oblong": (
        {"type": "Mosaic", "img_scale": (100, 60), "bbox_clip_border": False},
        {"others": 3},
        2,
    ),
    "MixUp": ({"type": "MixUp", "img_scale": (100, 100)}, {"others": 1}, 4),
    "MixUp oblong": (
        {"type": "MixUp", "img_scale": (150, 100), "ratio_range": (0.3, 1.7), "bbox_clip_border": False},
        {"others": 1},
        4,
    ),
    "CopyPaste": ({"type": "CopyPaste"}, {"others": 1, "masks": "bitmap"}, 4),
    "CopyPaste boxes": (
        {"type": "CopyPaste", "paste_by_box": True, "mask_occluded_thr": 50},
        {"others": 1},
        3,
    ),
    "FilterAnnotations": ({"type": "FilterAnnotations", "min_gt_bbox_wh": (20, 10)}, {"masks": "bitmap"}, 2),
    "RandomFlip of labels": (
        {
            "type": "mmcv.RandomFlip",
            "prob": 1.0,
            "direction": "diagonal",
            "swap_seg_labels": [(0, 3), (1, 2)],
        },
        PLAIN,
        1,
    ),
    "CenterCrop": ({"type": "mmcv.CenterCrop", "crop_size": (61, 48)}, PLAIN, 2),
    "CenterCrop unclipped": (
        {"type": "mmcv.CenterCrop", "crop_size": 47, "clip_object_border": False},
        PLAIN,
        1,
    ),
    "CenterCrop padded": (
        {"type": "mmcv.CenterCrop", "crop_size": (151, 61), "auto_pad": True, "pad_cfg": PAD},
        PLAIN,
        1,
    ),
    "Normalize": ({"type": "mmcv.Normalize", "mean": [10, 20, 30], "std": [2.0, 3, 4]}, PLAIN, 1),
    "Normalize as it is": (
        {"type": "mmcv.Normalize", "mean": [10, 20, 30], "std": [2.0, 3, 4], "to_rgb": False},
        PLAIN,
        1,
    ),
    "RandomGrayscale": (
        {"type": "mmcv.RandomGrayscale", "prob": 0.5, "keep_channels": True, "channel_weights": (1, 2, 4)},
        PLAIN,
        4,
    ),
    "RandomGrayscale flat": ({"type": "mmcv.RandomGrayscale", "prob": 1.0, "color_format": "hsv"}, PLAIN, 1),
    "RandomOrder": ({"type": "RandomOrder", "transforms": ORDERED}, {}, 3),
}
# One transform over a row of samples: what comes before decides what comes later.
CACHED = {
    "CachedMosaic": {"type": "CachedMosaic", "img_scale": (100, 100), "max_cached_images": 6},
    "CachedMosaic first": {
        "type": "CachedMosaic",
        "img_scale": (100, 100),
        "max_cached_images": 5,
        "random_pop": False,
        "prob": 0.7,
    },
    "CachedMixUp": {"type": "CachedMixUp", "img_scale": (100, 100), "max_cached_images": 3, "prob": 0.8},
}
CACHED_SAMPLES = 9


def make_sample(
    seed,
    kinds,
    height=90,
    width=120,
    objects=4,
    masks=None,
    seg=False,
    others=0,
    as_float=False,
    plain=False,
) -> dict:
    """A sample of blocks of colours; `kinds` has the classes Boxes, BitmapMasks and PolygonMasks.

    MMCV's own transforms take boxes as `plain` arrays.
    """
    rng = np.random.RandomState(seed)
    blocks = rng.randint(0, 256, (height // 6 + 1, width // 6 + 1, 3))
    image = np.kron(blocks, np.ones((6, 6, 1)))[:height, :width] * 0.9 + np.arange(width)[:, None] * 0.2
    corner = rng.rand(objects, 2) * [width * 0.7, height * 0.7]
    size = rng.rand(objects, 2) * [width * 0.3, height * 0.3] + 2
    boxes = np.concatenate([corner, np.minimum(corner + size, [width, height])], 1).astype(np.float32)
    sample = {
        "img": image.astype(np.float32 if as_float else np.uint8),
        "img_shape": (height, width),
        "ori_shape": (height, width),
        "gt_bboxes": boxes if plain else kinds["Boxes"](boxes),
        "gt_bboxes_labels": np.arange(objects),
        "gt_ignore_flags": np.zeros(objects, bool),
    }
    if masks == "bitmap":
        bitmaps = np.zeros((objects, height, width), np.uint8)
        for bitmap, (x1, y1, x2, y2) in zip(bitmaps, boxes.astype(int), strict=True):
            bitmap[y1 : y2 + 1, x1 : x2 + 1] = 1
        sample["gt_masks"] = kinds["BitmapMasks"](bitmaps, height, width)
    elif masks == "polygons":
        outlines = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2], np.float64)] for x1, y1, x2, y2 in boxes]
        sample["gt_masks"] = kinds["PolygonMasks"](outlines, height, width)
    if seg:
        sample["gt_seg_map"] = (image[..., 0] // 64).astype(np.uint8)
    if others:
        sample["mix_results"] = [
            make_sample(seed * 10 + k + 1, kinds, height - 10 * k, width + 6 * k, objects, masks)
            for k in range(others)
        ]
    return sample


def digest(results) -> dict | None:
    """Small numbers that say what is in a sample."""
    if results is None:
        return None
    figures = {"size": list(results["img"].shape[:2]), "colors": _block_means(results["img"])}
    boxes = results.get("gt_bboxes")
    if boxes is not None:
        boxes = np.asarray(getattr(boxes, "tensor", boxes), np.float64)
        figures["boxes"] = np.round(boxes, 3).tolist()
        figures["labels"] = np.asarray(results["gt_bboxes_labels"]).tolist()
    masks = results.get("gt_masks")
    if masks is not None:
        figures["areas"] = masks.to_ndarray().astype(np.int64).sum(axis=(1, 2)).tolist()
    if results.get("gt_seg_map") is not None:
        values, counts = np.unique(results["gt_seg_map"], return_counts=True)
        figures["seg"] = [values.tolist(), counts.tolist()]
    return figures


def _block_means(image) -> list:
    halves = [part for rows in np.array_split(image, 2, axis=0) for part in np.array_split(rows, 2, axis=1)]
    return [np.round(np.asarray(part, np.float64).mean(axis=(0, 1)), 2).tolist() for part in halves]


def run_cases(build, kinds) -> dict:
    """Digests of all cases: under each name, one a seed or sample."""
    figures = {}
    for name, (config, made_with, seeds) in CASES.items():
        figures[name] = []
        for seed in range(seeds):
            transform = build(copy.deepcopy(config))
            sample = make_sample(seed, kinds, **made_with)
            np.random.seed(seed)
            random.seed(seed)
            figures[name].append(digest(transform(sample)))
    for name, config in CACHED.items():
        transform = build(config)
        np.random.seed(1)
        figures[name] = [digest(transform(make_sample(seed, kinds))) for seed in range(CACHED_SAMPLES)]
    return figures


if __name__ == "__main__":
    import torch
    from mmdet.registry import TRANSFORMS
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks, PolygonMasks
    from mmdet.utils import register_all_modules

    register_all_modules()
    classes = {
        "Boxes": lambda boxes: HorizontalBoxes(torch.tensor(boxes)),
        "BitmapMasks": BitmapMasks,
        "PolygonMasks": PolygonMasks,
    }
    with open(sys.argv[1], "w") as file:
        cases = run_cases(TRANSFORMS.build, classes)
        rows = [
            f"{json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in cases.items()
        ]
        file.write("{\n" + ",\n".join(rows) + "\n}\n")
