"""The dataset configs, built and read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.config import Config
from toolkit.dataset import build_dataloader
from toolkit.detection.registry import METRICS
from toolkit.registry import DefaultScope
from toolkit.utils import DataError

CONFIGS = Path(__file__).parents[3] / "configs"
BCCD = CONFIGS.parents[1] / "shared" / "data" / "BCCD"
VOC = ("cat", "dog")


@pytest.fixture(autouse=True)
def detection_scope():
    with DefaultScope.overwrite_default_scope("detection"):
        yield


def loader_of(cfg, split: str = "train", workers: int = 0, **changes):
    settings = cfg[f"{split}_dataloader"].to_dict()
    return build_dataloader(
        {**settings, "num_workers": workers, **changes}, seed=3, default_scope="detection"
    )


def same(first: dict, second: dict) -> bool:
    images = all(torch.equal(a, b) for a, b in zip(first["inputs"], second["inputs"], strict=True))
    boxes = all(
        torch.equal(a.gt_instances.bboxes, b.gt_instances.bboxes)
        for a, b in zip(first["data_samples"], second["data_samples"], strict=True)
    )
    return images and boxes


def test_the_embedded_data_need_no_file_and_are_the_same_for_any_number_of_workers():
    cfg = Config.fromfile(CONFIGS / "_base_/datasets/shapes_detection.py", overrides={"num_train": 20})
    batches = [list(loader_of(cfg, workers=workers)) for workers in (0, 2)]
    assert len(batches[0]) == len(batches[1]) == 3
    assert all(same(a, b) for a, b in zip(*batches, strict=True))
    first = batches[0][0]
    assert first["inputs"][0].shape == (3, 160, 160)
    assert first["inputs"][0].dtype == torch.uint8
    assert len(first["data_samples"][0].gt_instances) >= 1
    assert {sample.flip for batch in batches[0] for sample in batch["data_samples"]} == {True, False}


def test_training_and_test_shapes_differ():
    cfg = Config.fromfile(CONFIGS / "_base_/datasets/shapes_detection.py")
    train = cfg.train_dataloader.dataset
    test = cfg.test_dataloader.dataset
    assert train.split != test.split
    assert test.test_mode


def test_voc0712_is_joined_repeated_and_grouped_by_shape(pets, make_voc):
    for split in ("trainval", "test"):
        pets.list(split, "000001", "000002")
    other = make_voc("VOC2012")
    for number in range(3):
        other.add(f"2008_{number}", [("dog", (1, 1, 50, 50), False)], size=(70, 60))
    other.list("trainval", "2008_0", "2008_1", "2008_2")
    cfg = Config.fromfile(
        CONFIGS / "_base_/datasets/voc0712.py", overrides={"data_root": str(pets.root) + "/"}
    )
    for part in cfg.train_dataloader.dataset.dataset.datasets:
        part.metainfo = {"classes": VOC}
        part.allow_missing_classes = True  # there is no cat in 2012
    loader = loader_of(cfg)
    batches = list(loader)
    # five images three times over, two a batch
    assert len(batches) == len(loader) == 8
    assert len({sample.img_id for batch in batches for sample in batch["data_samples"]}) == 5
    uprights = [[s.ori_shape[0] > s.ori_shape[1] for s in batch["data_samples"]] for batch in batches[:-1]]
    assert all(len(set(kinds)) == 1 for kinds in uprights)
    cfg.test_dataloader.dataset.metainfo = {"classes": VOC}
    (first, _) = list(loader_of(cfg, "test"))
    # in the test pipeline boxes stay in pixels of the original image
    assert first["data_samples"][0].gt_instances.bboxes[0].tolist() == [0, 1, 30, 39]
    assert first["data_samples"][0].img_shape != first["data_samples"][0].ori_shape


def test_one_year_alone_is_an_edit_of_the_dataset(pets, tmp_path):
    pets.list("trainval", "000001", "000002")
    child = tmp_path / "voc07.py"
    child.write_text(
        f"_base_ = {str(CONFIGS / '_base_/datasets/voc0712.py')!r}\n"
        "train_dataloader = dict(dataset=dict(times=1, dataset=dict(datasets=[dict(\n"
        "    type='VOCDataset', data_root='data/VOCdevkit/', data_prefix=dict(sub_data_root='VOC2007/'),\n"
        "    ann_file='VOC2007/ImageSets/Main/trainval.txt', metainfo=dict(classes=('cat', 'dog')),\n"
        "    filter_cfg=dict(filter_empty_gt=True, min_size=32),\n"
        "    pipeline={{_base_.train_pipeline}})])))\n"
    )
    cfg = Config.fromfile(child)
    cfg.train_dataloader.dataset.dataset.datasets[0].data_root = str(pets.root)
    assert len(list(loader_of(cfg))) == 1


@pytest.mark.skipif(not BCCD.is_dir(), reason="the BCCD data set is not beside the repository")
def test_the_blood_cells_are_read_and_augmented():
    cfg = Config.fromfile(CONFIGS / "bccd/faster-rcnn_r18_fpn_bccd.py", overrides={"data_root": str(BCCD)})
    batch = next(iter(loader_of(cfg)))
    assert {tuple(image.shape) for image in batch["inputs"]} == {(3, 240, 320)}
    assert len(loader_of(cfg).dataset) == 292
    assert len(loader_of(cfg, "test").dataset) == 72
    boxes = np.concatenate([sample.gt_instances.bboxes for sample in batch["data_samples"]])
    assert (boxes[:, 2] <= 320).all()
    assert (boxes[:, 3] <= 240).all()


@pytest.mark.parametrize(
    "name",
    [
        "cityscapes_detection",
        "cityscapes_instance",
        "lvis_v0.5_instance",
        "lvis_v1_instance",
        "objects365v1_detection",
        "objects365v2_detection",
    ],
)
def test_nothing_but_the_data_is_missing_from_the_configs_of_large_sets(name):
    cfg = Config.fromfile(CONFIGS / "_base_" / "datasets" / f"{name}.py")
    for split in ("train", "val", "test"):
        with pytest.raises(DataError, match=r"The annotation file 'data/.*\.json' doesn't exist"):
            loader_of(cfg, split)
    evaluators = cfg.val_evaluator if isinstance(cfg.val_evaluator, list) else [cfg.val_evaluator]
    with pytest.raises(DataError, match=r"The annotation file 'data/.*\.json' doesn't exist"):
        METRICS.build(evaluators[0].to_dict())
