"""CocoMetric, against pycocotools on the annotation files themselves."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hotcoco import mask as coco_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from toolkit.detection.evaluation import CocoMetric
from toolkit.detection.registry import METRICS
from toolkit.detection.structures import DetDataSample
from toolkit.logging import MMLogger
from toolkit.structures import InstanceData
from toolkit.utils import BuildError, DataError

NUCLEI = Path(__file__).parents[4] / "shared" / "data" / "nuclei"
CLASSES = ("cat", "dog", "newt")
# neither sorted nor dense, nor in the order of the file
IDS = {"dog": 7, "newt": 40, "cat": 18, "owl": 2}
SIZE = 200
STATS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
RECALLS = ("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000")


def run_lengths(box):
    """The run lengths of an ellipse-like mask in a box."""
    rows, columns = np.ogrid[:SIZE, :SIZE]
    x, y, w, h = box
    inside = ((columns - x - w / 2) / max(w / 2, 1)) ** 2 + ((rows - y - h / 2) / max(h / 2, 1)) ** 2 <= 1
    runs = coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {"size": list(runs["size"]), "counts": runs["counts"].decode()}


def make_content(seed: int, images: int = 6, masks: bool = False) -> dict:
    """Annotations with crowds, boxes of all sizes, a category of no interest, and images without objects."""
    rng = np.random.RandomState(seed)
    annotations = []
    for image in range(images):
        for _ in range(0 if image % 3 == 2 else rng.randint(1, 6)):
            side = rng.choice([12, 40, 120])
            x, y = rng.randint(0, 60, 2).tolist()
            w, h = (side + rng.randint(0, side // 2, 2)).tolist()
            one = {"id": len(annotations) + 1, "image_id": 10 + 3 * image, "bbox": [x, y, w, h]}
            one |= {"category_id": int(rng.choice(list(IDS.values()))), "area": w * h * 0.8}
            one |= {"iscrowd": int(rng.rand() < 0.2)}
            if masks:
                one["segmentation"] = run_lengths(one["bbox"])
            annotations.append(one)
    return {
        "images": [
            {"id": 10 + 3 * i, "file_name": f"{i}.jpg", "height": SIZE, "width": SIZE} for i in range(images)
        ],
        "categories": [{"id": number, "name": name} for name, number in IDS.items()],
        "annotations": annotations,
    }


def perturbed(content: dict, seed: int, classes=CLASSES, shift: float = 6, masks: bool = False) -> list[dict]:
    """Data samples with detections: moved copies of the objects, some of another class, and false ones."""
    rng = np.random.RandomState(seed)
    names = {category["id"]: category["name"] for category in content["categories"]}
    samples = []
    for image in content["images"]:
        found = []
        for one in content["annotations"]:
            if one["image_id"] != image["id"] or names[one["category_id"]] not in classes:
                continue
            x, y, w, h = one["bbox"]
            for _ in range(rng.randint(0, 3)):
                box = np.asarray([x, y, x + w, y + h]) + rng.uniform(-shift, shift, 4)
                box[2:] = np.maximum(box[2:], box[:2] + 2)
                label = classes.index(names[one["category_id"]])
                found.append((box, label if rng.rand() < 0.8 else rng.randint(len(classes))))
        for _ in range(rng.randint(0, 3)):
            corner = rng.uniform(0, 100, 2)
            found.append((np.hstack([corner, corner + rng.uniform(5, 90, 2)]), rng.randint(len(classes))))
        samples.append(data_sample(image, found, rng, masks))
    return samples


def data_sample(image: dict, found: list, rng, masks: bool) -> dict:
    element = DetDataSample(metainfo={"img_id": image["id"], "ori_shape": (image["height"], image["width"])})
    boxes = torch.tensor(np.asarray([box for box, _ in found]).reshape(-1, 4), dtype=torch.float32)
    element.pred_instances = InstanceData(
        bboxes=boxes,
        labels=torch.tensor([label for _, label in found], dtype=torch.int64),
        # few different scores: equal ones are taken in the order of COCO's reference
        scores=torch.tensor(rng.randint(0, 20, len(found)) / 20, dtype=torch.float32),
    )
    if masks:
        bitmaps = [coco_mask.decode(run_lengths(_xywh(box.tolist()))) for box in boxes]
        stacked = np.asarray(bitmaps, bool).reshape(-1, image["height"], image["width"])
        element.pred_instances.masks = torch.from_numpy(stacked)
    return element.to_dict()


def _xywh(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def referee(content, samples, kind="bbox", classes=CLASSES, use_cats=True, max_dets=(100, 300, 1000)):
    """The twelve numbers of pycocotools' summary, and the evaluation."""
    by_name = {category["name"]: category["id"] for category in content["categories"]}
    results = []
    for sample in samples:
        predicted = sample["pred_instances"]
        for place, (box, label, score) in enumerate(
            zip(*(predicted[key].tolist() for key in ("bboxes", "labels", "scores")), strict=True)
        ):
            one = {"image_id": sample["img_id"], "category_id": by_name[classes[label]], "score": score}
            if kind == "bbox":
                one["bbox"] = _xywh(box)
            else:
                bitmap = np.asfortranarray(predicted["masks"][place].numpy().astype(np.uint8))
                one["segmentation"] = coco_mask.encode(bitmap)
            results.append(one)
    truth = COCO()
    truth.dataset = json.loads(json.dumps({"info": {}, **content}))
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.params.catIds = [by_name[name] for name in classes]
        evaluation.params.maxDets = list(max_dets)
        evaluation.params.useCats = int(use_cats)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist(), evaluation


def evaluate(samples, classes=CLASSES, **kwargs):
    metric = CocoMetric(**kwargs)
    metric.dataset_meta = {"classes": classes}
    for start in range(0, len(samples), 2):
        metric.process(None, samples[start : start + 2])
    return metric.evaluate(size=len(samples))


@pytest.fixture
def write(tmp_path):
    def save(content, name="ann.json"):
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return str(path)

    return save


@pytest.fixture
def log(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        yield caplog
    logger.removeHandler(caplog.handler)


def exactly(values):
    return pytest.approx(values, abs=1e-9, rel=0)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10_000))
def test_boxes_and_proposals_agree_with_pycocotools(tmp_path_factory, seed):
    content = make_content(seed)
    samples = perturbed(content, seed + 1)
    path = tmp_path_factory.mktemp("coco") / "ann.json"
    path.write_text(json.dumps(content))
    values = evaluate(samples, ann_file=str(path), metric=["bbox", "proposal"])
    if not any(len(sample["pred_instances"]["scores"]) for sample in samples):
        return
    stats, _ = referee(content, samples)
    assert [values[f"coco/bbox_{name}"] for name in STATS] == exactly(stats[:6])
    stats, _ = referee(content, samples, use_cats=False)
    assert [values[f"coco/{name}"] for name in RECALLS] == exactly(stats[6:])


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools", "faster-coco-eval"])
def test_every_backend_gives_the_same(write, backend):
    pytest.importorskip(backend.replace("-", "_"))
    content = make_content(5, masks=True)
    samples = perturbed(content, 6, masks=True)
    values = evaluate(samples, ann_file=write(content), metric=["bbox", "segm"], backend=backend)
    for kind in ("bbox", "segm"):
        stats, _ = referee(content, samples, kind)
        assert [values[f"coco/{kind}_{name}"] for name in STATS] == exactly(stats[:6])
        assert 0.1 < stats[0] < 0.9


def nuclei_like(content: dict, seed: int, images: int) -> tuple[dict, list[dict]]:
    """Some images of a file with masks, a few objects made crowds and an image emptied, and detections.

    Detections are the objects' masks moved, grown or shrunk, some left out and some of nothing.
    """
    rng = np.random.RandomState(seed)
    kept = content["images"][:images]
    by_image: dict = {image["id"]: [] for image in kept}
    for one in content["annotations"]:
        if one["image_id"] in by_image:
            by_image[one["image_id"]].append({**one, "iscrowd": int(one["iscrowd"] or rng.rand() < 0.08)})
    by_image[kept[1]["id"]] = []
    content = {**content, "images": kept, "annotations": [one for own in by_image.values() for one in own]}
    truth = COCO()
    truth.dataset = {"info": {}, **content}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    samples = []
    for place, image in enumerate(kept):
        bitmaps = [
            perturbed_mask(truth.annToMask(one), rng) for one in by_image[image["id"]] if rng.rand() < 0.9
        ]
        bitmaps += [perturbed_mask(bitmap, rng) for bitmap in bitmaps if rng.rand() < 0.1]
        bitmaps += [np.roll(bitmap, 40, 1) for bitmap in bitmaps[:2]]
        if place == 2:
            bitmaps = []
        samples.append(mask_sample(image, bitmaps, rng))
    return content, samples


def perturbed_mask(bitmap, rng):
    kernel = np.ones(rng.randint(1, 4, 2), np.uint8)
    changed = (cv2.dilate if rng.rand() < 0.5 else cv2.erode)(bitmap, kernel)
    return np.roll(changed, rng.randint(-2, 3, 2), (0, 1))


def mask_sample(image, bitmaps, rng):
    size = (image["height"], image["width"])
    masks = np.asarray(bitmaps, bool).reshape(-1, *size)
    boxes = [
        (x, y, x + w, y + h) for x, y, w, h in (cv2.boundingRect(mask.astype(np.uint8)) for mask in masks)
    ]
    element = DetDataSample(metainfo={"img_id": image["id"], "ori_shape": size})
    element.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.zeros(len(masks), dtype=torch.int64),
        scores=torch.tensor(rng.randint(0, 60, len(masks)) / 60, dtype=torch.float32),
        masks=torch.from_numpy(masks),
    )
    return element.to_dict()


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the nuclei data set is not beside the repository")
@pytest.mark.parametrize("seed", [3, 4])
def test_real_annotations_agree_with_pycocotools(write, seed):
    whole = json.loads((NUCLEI / "annotations" / "instances_val.json").read_text())
    content, samples = nuclei_like(whole, seed, 20)
    assert any(one["iscrowd"] for one in content["annotations"])
    items = [*STATS, *RECALLS]
    metric = ["bbox", "segm"]
    values = evaluate(samples, ("nucleus",), ann_file=write(content), metric=metric, metric_items=items)
    for kind in metric:
        stats, _ = referee(content, samples, kind, classes=("nucleus",))
        assert [values[f"coco/{kind}_{name}"] for name in items] == exactly(stats)
        assert 0.1 < stats[0] < 0.9


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_the_order_of_the_classes_is_the_users_and_each_has_a_row(write, log, backend):
    content = make_content(8, images=9)
    classes = ("newt", "cat", "dog")
    samples = perturbed(content, 9, classes=classes)
    values = evaluate(samples, classes=classes, ann_file=write(content), classwise=True, backend=backend)
    stats, evaluation = referee(content, samples, classes=classes)
    assert values["coco/bbox_mAP"] == exactly(stats[0])
    for name in classes:
        place = evaluation.params.catIds.index(IDS[name])
        assert values[f"coco/{name}_precision"] == exactly(
            evaluation.eval["precision"][:, :, place, 0, -1].mean()
        )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in log.text.splitlines() if "|" in line]
    assert ["category", *STATS] in rows
    assert [row[0] for row in rows[-3:]] == list(classes)
    assert rows[-3][1] == f"{values['coco/newt_precision']:.3f}"
    assert f"bbox_mAP_copypaste: {' '.join(f'{value:.3f}' for value in stats[:6])}" in log.text


def test_a_class_without_objects_is_unknown(write):
    content = make_content(8)
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] != IDS["newt"]]
    values = evaluate(
        perturbed(content, 9), ann_file=write(content), classwise=True, metric=["bbox", "proposal"]
    )
    assert math.isnan(values["coco/newt_precision"])
    assert values["coco/bbox_cat_precision"] == values["coco/cat_precision"] >= 0


def test_thresholds_limits_and_items_are_the_users(write):
    content = make_content(8)
    samples = perturbed(content, 9)
    values = evaluate(
        samples, ann_file=write(content), iou_thrs=0.5, proposal_nums=(10, 1, 2), metric_items=["mAP", "AR@2"]
    )
    full = evaluate(samples, ann_file=write(content))
    assert list(values) == ["coco/bbox_mAP", "coco/bbox_AR@2"]
    assert values["coco/bbox_mAP"] == exactly(full["coco/bbox_mAP_50"])
    stats, _ = referee(content, samples, max_dets=(1, 2, 100))
    at_half = evaluate(samples, ann_file=write(content), proposal_nums=(100, 1, 2), metric_items=["AR@2"])
    assert at_half["coco/bbox_AR@2"] == exactly(stats[7])
    assert evaluate(samples, ann_file=write(content), iou_thrs=[0.6])["coco/bbox_mAP_50"] == -1


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_nothing_found_is_zero(write, backend):
    content = make_content(8, masks=True)
    none = [data_sample(image, [], np.random.RandomState(0), True) for image in content["images"]]
    values = evaluate(none, ann_file=write(content), metric=["bbox", "segm", "proposal"], backend=backend)
    assert values["coco/bbox_mAP"] == values["coco/segm_mAP"] == values["coco/AR@100"] == 0


def test_without_a_file_the_samples_are_the_truth(write):
    content = make_content(8)
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] != IDS["owl"]]
    names = {number: name for name, number in IDS.items()}
    samples, as_instances, as_strings = (perturbed(content, 9) for _ in range(3))
    for one in content["annotations"]:
        one["area"] = one["bbox"][2] * one["bbox"][3]
    for sample, other, third in zip(samples, as_instances, as_strings, strict=True):
        own = [one for one in content["annotations"] if one["image_id"] == sample["img_id"]]
        for key, flag in (("gt_instances", 0), ("ignored_instances", 1)):
            chosen = [one for one in own if one["iscrowd"] == flag]
            boxes = np.asarray([one["bbox"] for one in chosen], np.float32).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            labels = [CLASSES.index(names[one["category_id"]]) for one in chosen]
            sample[key] = {"bboxes": torch.from_numpy(boxes), "labels": torch.tensor(labels)}
            third[key] = sample[key]
        other["instances"] = [
            {
                "bbox": [x, y, x + w, y + h],
                "bbox_label": CLASSES.index(names[one["category_id"]]),
                "ignore_flag": one["iscrowd"],
            }
            for one in own
            for x, y, w, h in [one["bbox"]]
        ]
        third["img_id"] = f"image-{third['img_id']}"
    expected = evaluate(samples, ann_file=write(content))
    assert evaluate(samples) == exactly(expected)
    assert evaluate(as_instances) == exactly(expected)
    assert evaluate(as_strings) == exactly(expected)


def test_masks_of_samples_are_encoded_and_their_area_is_the_masks():
    content = make_content(8, images=2, masks=True)
    (sample, _) = perturbed(content, 9, masks=True)
    bitmaps = np.zeros((2, SIZE, SIZE), bool)
    bitmaps[0, 10:20, 10:20] = bitmaps[1, 100:150, 100:150] = True
    boxes = torch.tensor([[10, 10, 20, 20], [50, 50, 150, 150.0]])
    labels = torch.tensor([0, 1])
    sample["gt_instances"] = {"bboxes": boxes, "labels": labels, "masks": bitmaps}
    scores = torch.tensor([0.9, 0.8])
    sample["pred_instances"] = {
        "bboxes": boxes, "labels": labels, "scores": scores, "masks": torch.from_numpy(bitmaps),
    }  # fmt: skip
    values = evaluate([sample], metric="segm")
    assert [values[f"coco/segm_{name}"] for name in ("mAP", "mAP_s", "mAP_m")] == exactly([1, 1, 1])
    assert values["coco/segm_mAP_l"] == -1
    del sample["gt_instances"]["masks"]
    with pytest.raises(DataError, match="2 objects of the ground truth have no mask"):
        evaluate([sample], metric="segm")
    del sample["pred_instances"]["masks"]
    with pytest.raises(DataError, match="predicts no masks"):
        evaluate([sample], metric="segm")


def test_an_object_of_id_0_counts(write):
    content = make_content(8)
    samples = perturbed(content, 9)
    expected = evaluate(samples, ann_file=write(content))
    for one in content["annotations"]:
        one["id"] -= 1
        del one["iscrowd" if not one["iscrowd"] else "id"]
    for backend in ("hotcoco", "pycocotools"):
        assert evaluate(samples, ann_file=write(content), backend=backend) == exactly(expected)


def test_ids_may_be_names(write):
    content = make_content(8)
    samples = perturbed(content, 9)
    expected = evaluate(samples, ann_file=write(content))
    for one in content["annotations"]:
        one["image_id"], one["category_id"] = f"i{one['image_id']}", f"c{one['category_id']}"
    for one in (*content["images"], *content["categories"]):
        one["id"] = f"{'i' if 'file_name' in one else 'c'}{one['id']}"
    for sample in samples:
        sample["img_id"] = f"i{sample['img_id']}"
    assert evaluate(samples, ann_file=write(content)) == exactly(expected)


def test_objects_whose_mask_cannot_be_used_are_left_out_of_segm(write, log):
    content = make_content(8, masks=True)
    samples = perturbed(content, 9, masks=True)
    (bad, also_bad) = [one for one in content["annotations"] if not one["iscrowd"]][:2]
    less = {**content, "annotations": [one for one in content["annotations"] if one not in (bad, also_bad)]}
    bad["segmentation"], also_bad["segmentation"] = (
        [[1, 2, 3, 4]],
        {**also_bad["segmentation"], "size": [9, 9]},
    )
    values = evaluate(samples, ann_file=write(content), metric=["bbox", "segm"])
    assert f"left out of 'segm': ids {bad['id']}, {also_bad['id']}" in log.text
    assert values["coco/segm_mAP"] == exactly(referee(less, samples, "segm")[0][0])
    assert values["coco/bbox_mAP"] == exactly(referee(content, samples)[0][0])


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("annotations", {"segmentation": "x"}),
        ("annotations", {"segmentation": {"size": ["120", 120], "counts": [14400]}}),
        ("annotations", {"ignore": float("nan")}),
        ("images", {"height": "120"}),
        ("images", {"file_name": None, "license": float("inf")}),
    ],
)
def test_faults_of_a_file_stop_no_evaluation(write, section, fault):
    """The dataset reports them, and refuses them if it shall."""
    content = make_content(8, masks=True)
    samples = perturbed(content, 9, masks=True)
    place = next(i for i, one in enumerate(content[section]) if not one.get("iscrowd"))
    content[section][place].update(fault)
    values = evaluate(samples, ann_file=write(content), metric=["bbox", "segm"])
    assert 0.1 < values["coco/segm_mAP"] < 0.9
    assert 0.1 < values["coco/bbox_mAP"] < 0.9


def test_fast_recall_takes_no_account_of_classes_and_crowds(write):
    content = make_content(8)
    samples = perturbed(content, 9)
    arguments = {"metric": "proposal_fast", "proposal_nums": (1, 100)}
    values = evaluate(samples, ann_file=write(content), **arguments)
    assert 0 < values["coco/AR@1"] < values["coco/AR@100"] < 1
    crowds = [one for one in content["annotations"] if one["iscrowd"]]
    assert crowds
    content["annotations"] = [one for one in content["annotations"] if not one["iscrowd"]]
    assert evaluate(samples, ann_file=write(content), **arguments) == exactly(values)


def test_files_of_results_are_cocos(write, tmp_path, log):
    content = make_content(8, masks=True)
    samples = perturbed(content, 9, masks=True)
    prefix = str(tmp_path / "deep" / "run")
    arguments = {"ann_file": write(content), "metric": ["bbox", "segm"], "outfile_prefix": prefix}
    assert evaluate(samples, **arguments, format_only=True) == {}
    values = evaluate(samples, **arguments)
    truth = COCO()
    truth.dataset = {"info": {}, **content}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        for kind in ("bbox", "segm"):
            evaluation = COCOeval(truth, truth.loadRes(f"{prefix}.{kind}.json"), kind)
            evaluation.params.catIds = [IDS[name] for name in CLASSES]
            evaluation.params.maxDets = [100, 300, 1000]
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            assert values[f"coco/{kind}_mAP"] == exactly(evaluation.stats[0])
    assert f"{prefix}.segm.json" in log.text
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't write to outfile_prefix"):
        evaluate(samples, outfile_prefix=str(tmp_path / "file" / "run"), format_only=True)


def test_fewer_images_than_the_file_has_are_told(write, log):
    content = make_content(8)
    samples = perturbed(content, 9)[:2]
    values = evaluate(samples, ann_file=write(content))
    assert "2 of the 6 images" in log.text
    content["images"] = content["images"][:2]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] in kept]
    assert values == exactly(evaluate(samples, ann_file=write(content)))


def test_the_file_of_other_images_is_told_by_their_sizes(write, log):
    content = make_content(8)
    samples = perturbed(content, 9)
    evaluate(samples, ann_file=write(content))
    assert "another size" not in log.text
    samples[2]["ori_shape"] = (SIZE, SIZE + 1)
    evaluate(samples, ann_file=write(content))
    assert "1 of the 6 images have another size" in log.text
    assert "(ids 16)" in log.text


def test_images_that_do_not_belong_to_the_file(write):
    content = make_content(8)
    samples = perturbed(content, 9)
    with pytest.raises(DataError, match=r"got 1 images several times: 13"):
        evaluate([*samples, samples[1]], ann_file=write(content))
    samples[0]["img_id"] = 999
    with pytest.raises(DataError, match=r"no image of 1 of the 6 ids that were evaluated: 999"):
        evaluate(samples, ann_file=write(content))
    del samples[0]["img_id"]
    with pytest.raises(DataError, match="meta_keys of PackDetInputs"):
        evaluate(samples, ann_file=write(content))


def test_a_class_that_the_file_lacks_stops_before_evaluation(write):
    metric = CocoMetric(ann_file=write(make_content(8)))
    with pytest.raises(
        DataError, match=r"'newtt'; did you mean 'newt'\? Its categories are: dog, newt, cat, owl"
    ):
        metric.dataset_meta = {"classes": ("cat", "newtt")}


def test_what_is_missing_is_said(write):
    content = make_content(8)
    samples = perturbed(content, 9)
    with pytest.raises(DataError, match="CocoMetric has no ann_file, and finds no ground truth"):
        evaluate(samples)
    with pytest.raises(DataError, match="label 2, but the dataset has 2 classes"):
        evaluate(samples, classes=("cat", "dog"), ann_file=write(content))
    metric = CocoMetric(ann_file=write(content))
    metric.process(None, samples)
    with pytest.raises(DataError, match="needs class names"):
        metric.evaluate(size=6)
    with pytest.raises(DataError, match=r"'an.json'; did you mean 'ann.json'"):
        CocoMetric(ann_file=write(content).replace("ann.json", "an.json"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"metric": "box"}, "metric='box'; did you mean 'bbox'"),
        ({"metric": []}, "at least one metric"),
        ({"metric_items": ["mAP50"]}, "metric_items='mAP50'; did you mean 'mAP_50'"),
        ({"metric_items": ["AR@1000"], "proposal_nums": (1, 10)}, r"AR@1, AR@10, AR_s@10"),
        ({"format_only": True}, "needs outfile_prefix"),
        ({"file_client_args": {}}, "backend_args"),
        ({"backend": "hotcocoa"}, "did you mean 'hotcoco'"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(BuildError, match=words):
        CocoMetric(**arguments)


def test_a_backend_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)  # as Python marks what can't be imported
    with pytest.raises(BuildError, match="pip install faster-coco-eval"):
        CocoMetric(backend="faster-coco-eval")


def test_it_is_found_under_its_name_and_mmdetections_scope():
    assert METRICS.get("CocoMetric") is CocoMetric
    assert METRICS.get("mmdet.CocoMetric") is CocoMetric
