"""`inference` against pycocotools on the same boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torch.utils.data import DataLoader

from toolkit.detection.legacy import inference
from toolkit.detection.structures import DetDataSample
from toolkit.runner.expectations import ResultsError
from toolkit.structures import InstanceData
from toolkit.utils import DataError

SIZE = (200, 100)  # width, height


class BoxList:
    """As maskrcnn-benchmark has it, as far as it is asked here."""

    def __init__(self, bbox: Tensor, mode: str = "xyxy", **fields: Tensor) -> None:
        self.bbox, self.size, self.mode, self.extra_fields = bbox, SIZE, mode, fields

    def convert(self, mode: str) -> BoxList:
        assert (self.mode, mode) == ("xywh", "xyxy")
        corners = torch.cat([self.bbox[:, :2], self.bbox[:, :2] + self.bbox[:, 2:]], dim=1)
        return BoxList(corners, **self.extra_fields)

    def has_field(self, name: str) -> bool:
        return name in self.extra_fields

    def get_field(self, name: str) -> Tensor:
        return self.extra_fields[name]


def truth(index: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(index)
    corners = torch.rand(5, 2, generator=generator) * 60
    sizes = 15 + torch.rand(5, 2, generator=generator) * 40
    return torch.cat([corners, corners + sizes], 1), torch.randint(1, 4, (5,), generator=generator)


def found(index: int) -> tuple[Tensor, Tensor, Tensor]:
    boxes, labels = truth(index)
    generator = torch.Generator().manual_seed(100 + index)
    moved = boxes + torch.randn(5, 4, generator=generator) * 3
    return moved, labels.roll(index % 2), torch.rand(5, generator=generator)


class Model(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, images: list[Tensor]) -> list[Any]:
        outputs = [found(int(image[0])) for image in images]
        if self.form == "dict":
            return [{"bbox": b, "labels": y, "scores": s} for b, y, s in outputs]
        if self.form == "xywh":
            outputs = [(torch.cat([b[:, :2], b[:, 2:] - b[:, :2]], 1), y, s) for b, y, s in outputs]
        mode = "xywh" if self.form == "xywh" else "xyxy"
        return [BoxList(b, mode, labels=y, scores=s) for b, y, s in outputs]

    def test_step(self, batch: dict[str, Any]) -> list[DetDataSample]:
        samples = []
        for index in batch["ids"]:
            sample = DetDataSample(metainfo={"img_id": index, "ori_shape": SIZE[::-1]})
            boxes, labels = truth(index)
            sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
            boxes, labels, scores = found(index)
            sample.pred_instances = InstanceData(bboxes=boxes, labels=labels, scores=scores)
            samples.append(sample)
        return samples


def loader(form: str) -> Any:
    def collate(ids: list[int]) -> Any:
        if form == "present":
            return {"ids": ids}
        targets = [BoxList(truth(i)[0], labels=truth(i)[1]) for i in ids]
        return [torch.tensor([float(i)]) for i in ids], targets, ids

    return DataLoader(range(6), 4, collate_fn=collate)  # type: ignore[arg-type]


def reference() -> dict[str, float]:
    """Computed by pycocotools."""
    content: dict[str, Any] = {"images": [{"id": i, "width": 200, "height": 100} for i in range(6)]}
    content["categories"] = [{"id": i, "name": str(i)} for i in (1, 2, 3)]
    content["annotations"], results = [], []
    for image in range(6):
        for kind, (boxes, labels, *scores) in (("annotations", truth(image)), ("results", found(image))):
            for place, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
                one = {
                    "image_id": image,
                    "category_id": int(labels[place]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                }
                if kind == "results":
                    results.append({**one, "score": float(scores[0][place])})
                    continue
                number = len(content["annotations"]) + 1
                content["annotations"].append(
                    {**one, "id": number, "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
                )
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    judge = COCOeval(coco, coco.loadRes(results), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return {"mAP": judge.stats[0], "mAP_50": judge.stats[1], "mAP_75": judge.stats[2]}


@pytest.mark.parametrize("form", ["dict", "BoxList", "xywh", "present"])
def test_metrics_are_those_of_pycocotools(form: str) -> None:
    metrics = inference(Model(form), loader(form), "numbers", device="cpu")
    expected = reference()
    assert 0.05 < expected["mAP"] < 0.95
    for name, value in expected.items():
        assert metrics[f"coco/bbox_{name}"] == pytest.approx(value, abs=1e-6)


def test_expected_results(tmp_path: Path) -> None:
    value = reference()["mAP_50"]
    arguments = {"device": "cpu", "output_folder": str(tmp_path / "out")}
    near = [("bbox", "AP50", value + 0.003, 0.001)]
    inference(Model("dict"), loader("dict"), "numbers", expected_results=near, **arguments)
    written = json.loads((tmp_path / "out" / "detections.bbox.json").read_text())
    assert len(written) == 30
    with pytest.raises(ResultsError, match="coco/bbox_mAP_50"):
        inference(
            Model("dict"),
            loader("dict"),
            "numbers",
            expected_results=near,
            expected_results_sigma_tol=2,
            **arguments,
        )


def test_recall_of_proposals() -> None:
    metrics = inference(Model("dict"), loader("dict"), "numbers", box_only=True, device="cpu")
    assert 0 < metrics["coco/AR@100"] <= 1


def test_results_without_boxes_are_refused() -> None:
    class Wrong(nn.Module):
        def forward(self, images: list[Tensor]) -> list[Any]:
            return [{"scores": torch.zeros(1)} for _ in images]

    with pytest.raises(DataError, match="has no bbox"):
        inference(Wrong(), loader("dict"), "numbers", device="cpu")
