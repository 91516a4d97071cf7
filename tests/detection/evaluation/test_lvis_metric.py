"""LVISMetric, against what lvis-api 0.5.3 gives for the same data, and LVIS's rules one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from toolkit.detection.evaluation import LVISMetric
from toolkit.detection.registry import METRICS
from toolkit.utils import BuildError, DataError

# of lvis-api's LVISEval on `make_content(0)` and `detections(content, 1)`
FIGURES = {
    "bbox_AP": 0.1798231966053748,
    "bbox_AP50": 0.357967939651108,
    "bbox_AP75": 0.15938236680810935,
    "bbox_APs": 0.025388967468175386,
    "bbox_APm": 0.2943140028288543,
    "bbox_APl": 0.43088558855885584,
    "bbox_APr": 0.19051155115511553,
    "bbox_APc": 0.2625082508250825,
    "bbox_APf": 0.11757425742574257,
}

# the same with `outline` of each detection as its mask
MASK_FIGURES = {
    "segm_AP": 0.140046361779035,
    "segm_AP50": 0.29382366808109384,
    "segm_AP75": 0.1329325789721829,
    "segm_APs": 0.007355021216407353,
    "segm_APm": 0.24117279585101367,
    "segm_APl": 0.34326182618261825,
    "segm_APr": 0.15231023102310234,
    "segm_APc": 0.18629262926292628,
    "segm_APf": 0.10103960396039605,
}


def make_content(seed: int, images: int = 20, classes: int = 9) -> dict:
    """Images with three classes that are there, two that aren't, and some that aren't marked throughout."""
    rng = np.random.RandomState(seed)
    content: dict = {"images": [], "annotations": [], "info": {}}
    for image in range(1, images + 1):
        order = (rng.permutation(classes) + 1).tolist()
        content["images"].append(
            {
                "id": image, "height": 200, "width": 200, "coco_url": "x",
                "neg_category_ids": order[3:5],
                "not_exhaustive_category_ids": [one for one in order[:3] if rng.rand() < 0.3],
            }
        )  # fmt: skip
        for _ in range(rng.randint(0, 8)):
            side = rng.choice([12, 40, 110])
            x, y = rng.randint(0, 60, 2).tolist()
            w, h = (side + rng.randint(0, 6, 2)).tolist()
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1, "image_id": image, "area": w * h,
                    "category_id": int(rng.choice(order[:3])), "bbox": [x, y, w, h],
                    "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )  # fmt: skip
    content["categories"] = [
        {"id": one + 1, "name": f"c{one}", "frequency": "rcf"[one % 3], "image_count": 1, "instance_count": 1}
        for one in range(classes)
    ]
    return content


def detections(content: dict, seed: int) -> list[dict]:
    """Moved copies of the objects, some of another class, and false ones; as COCO's list of results."""
    rng = np.random.RandomState(seed)
    found = []
    classes = len(content["categories"])
    for one in content["annotations"]:
        for _ in range(rng.randint(0, 3)):
            box = np.asarray(one["bbox"]) + rng.uniform(-6, 6, 4)
            label = one["category_id"] if rng.rand() < 0.8 else rng.randint(classes) + 1
            found.append((one["image_id"], int(label), [*box[:2], *np.maximum(box[2:], 2)]))
    for _ in range(60):
        image, label = rng.randint(len(content["images"])) + 1, rng.randint(classes) + 1
        found.append((int(image), int(label), [*rng.uniform(0, 80, 2), *rng.uniform(5, 90, 2)]))
    scores = rng.permutation(len(found)) / len(found)
    return [
        {
            "image_id": i,
            "category_id": c,
            "bbox": np.asarray(b, np.float32).tolist(),
            "score": float(np.float32(s)),
        }
        for (i, c, b), s in zip(found, scores, strict=True)
    ]


def outline(box) -> np.ndarray:
    """A mask that fills a box but for a corner of it."""
    x, y, w, h = np.clip(np.round(box), 0, None).astype(int)
    mask = np.zeros((200, 200), bool)
    mask[y : y + h, x : x + w] = True
    mask[y : y + h // 3, x : x + w // 3] = False
    return mask


def evaluate(tmp_path, content, found, masks=False, **kwargs):
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(content))
    metric = METRICS.build({"type": "mmdet.LVISMetric", "ann_file": str(path), **kwargs})
    metric.dataset_meta = {"classes": tuple(one["name"] for one in content["categories"])}
    for image in content["images"]:
        own = [one for one in found if one["image_id"] == image["id"]]
        boxes = torch.tensor([one["bbox"] for one in own], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        predicted = {
            "bboxes": boxes,
            "labels": torch.tensor([one["category_id"] - 1 for one in own], dtype=torch.int64),
            "scores": torch.tensor([one["score"] for one in own], dtype=torch.float64),
        }
        if masks:
            bitmaps = np.asarray([outline(one["bbox"]) for one in own], bool).reshape(-1, 200, 200)
            predicted["masks"] = torch.from_numpy(bitmaps)
        metric.process(None, [{"img_id": image["id"], "ori_shape": (200, 200), "pred_instances": predicted}])
    return metric.evaluate(len(content["images"]))


def test_the_numbers_are_lvis_apis(tmp_path):
    content = make_content(0)
    values = evaluate(tmp_path, content, detections(content, 1))
    assert values == pytest.approx({f"lvis/{name}": value for name, value in FIGURES.items()}, abs=1e-9)


def test_the_numbers_of_masks_are_lvis_apis(tmp_path):
    """Sizes of detections are those of their masks. (MMDetection hands over the boxes, too, and so has other
    numbers by size.)"""
    content = make_content(0)
    values = evaluate(tmp_path, content, detections(content, 1), masks=True, metric="segm")
    assert values == pytest.approx({f"lvis/{name}": one for name, one in MASK_FIGURES.items()}, abs=1e-9)


def perfect(content):
    return [
        {key: one[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.5}
        for one in content["annotations"]
    ]


def test_a_class_that_was_not_looked_for_does_not_count(tmp_path):
    content = make_content(0)
    found = perfect(content)
    image = content["images"][2]
    present = {one["category_id"] for one in content["annotations"] if one["image_id"] == image["id"]}
    image["neg_category_ids"] = []
    stray = min({one["category_id"] for one in content["annotations"]} - present)
    false = {"image_id": image["id"], "category_id": stray, "bbox": [9, 9, 9, 9], "score": 0.9}
    assert evaluate(tmp_path, content, [*found, false])["lvis/bbox_AP"] == pytest.approx(1)
    image["neg_category_ids"] = [stray]
    assert evaluate(tmp_path, content, [*found, false])["lvis/bbox_AP"] < 0.999
    # nor does a false one of a class whose objects weren't all marked
    image["neg_category_ids"], false["category_id"] = [], min(present)
    image["not_exhaustive_category_ids"] = [min(present)]
    assert evaluate(tmp_path, content, [*found, false])["lvis/bbox_AP"] == pytest.approx(1)
    image["not_exhaustive_category_ids"] = []
    assert evaluate(tmp_path, content, [*found, false])["lvis/bbox_AP"] < 0.999


def test_proposals_are_of_no_class(tmp_path):
    content = make_content(0)
    found = [{**one, "category_id": 1} for one in perfect(content)]
    values = evaluate(tmp_path, content, found, metric=["proposal", "proposal_fast"])
    assert values["lvis/AR@300"] == values["lvis/AR@100"] == pytest.approx(1)
    half = evaluate(tmp_path, content, found[::2], metric="proposal")["lvis/AR@300"]
    assert half == pytest.approx(len(found[::2]) / len(found), abs=1e-6)


def test_items_classes_and_files(tmp_path):
    content = make_content(0)
    arguments = {"metric_items": ["APr", "AP"], "classwise": True, "outfile_prefix": str(tmp_path / "out")}
    values = evaluate(tmp_path, content, detections(content, 1), **arguments)
    assert list(values)[:2] == ["lvis/bbox_APr", "lvis/bbox_AP"]
    by_class = [values[f"lvis/c{one}_precision"] for one in range(9)]
    assert np.nanmean(by_class) == pytest.approx(values["lvis/bbox_AP"])
    written = json.loads((tmp_path / "out.bbox.json").read_text())
    assert len(written) == len(detections(content, 1))


def test_what_is_missing_is_said(tmp_path):
    content = make_content(0)
    with pytest.raises(BuildError, match="LVISMetric needs ann_file"):
        LVISMetric()
    with pytest.raises(BuildError, match="metric_items='APx'; did you mean"):
        evaluate(tmp_path, content, [], metric_items=["APx"])
    del content["images"][3]["neg_category_ids"]
    with pytest.raises(
        DataError, match="no annotation file of LVIS: some entries have no 'neg_category_ids'"
    ):
        evaluate(tmp_path, content, [])
