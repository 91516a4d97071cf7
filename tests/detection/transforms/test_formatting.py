"""PackDetInputs."""

from __future__ import annotations

import numpy as np
import torch

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.transforms import PackDetInputs


def make_results() -> dict:
    rng = np.random.RandomState(0)
    return {
        "img": rng.randint(0, 256, (6, 8, 3), dtype=np.uint8),
        "img_id": "000005",
        "img_path": "a.jpg",
        "ori_shape": (12, 16),
        "img_shape": (6, 8),
        "scale_factor": (0.5, 0.5),
        "gt_bboxes": rng.rand(3, 4).astype(np.float32),
        "gt_bboxes_labels": np.asarray([2, 0, 1]),
        "gt_ignore_flags": np.asarray([False, True, False]),
        "gt_masks": BitmapMasks(rng.rand(3, 6, 8) > 0.5, 6, 8),
        "gt_seg_map": rng.randint(0, 3, (6, 8), dtype=np.uint8),
        "proposals": rng.rand(5, 4).astype(np.float32),
        "proposals_scores": rng.rand(5).astype(np.float32),
    }


def test_pixels_stay_uint8_in_channels_height_width():
    results = make_results()
    inputs = PackDetInputs()(results)["inputs"]
    assert inputs.dtype == torch.uint8
    assert inputs.is_contiguous()
    assert np.array_equal(inputs.numpy(), results["img"].transpose(2, 0, 1))


def test_a_flipped_view_and_a_grey_image_are_packed_too():
    image = make_results()["img"]
    flipped = PackDetInputs()({"img": image[:, ::-1]})["inputs"]
    assert np.array_equal(flipped.numpy(), image[:, ::-1].transpose(2, 0, 1))
    assert PackDetInputs()({"img": image[..., 0]})["inputs"].shape == (1, 6, 8)


def test_ignored_objects_are_kept_apart():
    results = make_results()
    sample = PackDetInputs()(results)["data_samples"]
    assert sample.gt_instances.labels.tolist() == [2, 1]
    assert sample.ignored_instances.labels.tolist() == [0]
    assert sample.gt_instances.bboxes.dtype == torch.float32
    assert np.array_equal(sample.ignored_instances.bboxes.numpy(), results["gt_bboxes"][1:2])
    assert np.array_equal(sample.gt_instances.masks.masks, results["gt_masks"].masks[[0, 2]])
    assert len(sample.gt_instances) == 2


def test_metainfo_seg_map_and_proposals():
    sample = PackDetInputs()(make_results())["data_samples"]
    # the keys that no transform has written are left out
    assert set(sample.metainfo) == {"img_id", "img_path", "ori_shape", "img_shape", "scale_factor"}
    assert sample.gt_sem_seg.sem_seg.shape == (1, 6, 8)
    assert sample.proposals.bboxes.shape == (5, 4)
    assert set(PackDetInputs(meta_keys=("img_id",))(make_results())["data_samples"].metainfo) == {"img_id"}


def test_a_sample_without_annotations_has_empty_instances():
    sample = PackDetInputs()({"img": make_results()["img"]})["data_samples"]
    assert len(sample.gt_instances) == 0
    assert len(sample.ignored_instances) == 0
