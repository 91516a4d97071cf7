"""maskrcnn-benchmark's `inference`, over this toolkit's COCO metric."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from toolkit.detection.evaluation import CocoMetric
from toolkit.dist import master_only
from toolkit.logging import MMLogger
from toolkit.runner.expectations import check_results
from toolkit.structures import BaseDataElement
from toolkit.utils import DataError

_ITEMS = {"AP": "mAP", "AP50": "mAP_50", "AP75": "mAP_75", "APs": "mAP_s", "APm": "mAP_m", "APl": "mAP_l"}
# The names that a field of boxes goes by.
_BOXES = ("bbox", "boxes", "bboxes")
_SCORES = ("scores", "objectness")


@torch.no_grad()
def inference(
    model: nn.Module,
    data_loader: Any,
    dataset_name: str,
    iou_types: Sequence[str] = ("bbox",),
    box_only: bool = False,
    device: torch.device | str = "cuda",
    expected_results: Sequence[Sequence[Any]] = (),
    expected_results_sigma_tol: float = 4,
    output_folder: str | None = None,
) -> dict[str, float]:
    """Test a model on a dataset, as COCO does.

    Args:
        model: One of this toolkit (a batch is a dict, `test_step` gives data samples); or one of
            maskrcnn-benchmark, called as ``model(images)``, which gives for each image a `BoxList` or a dict
            of boxes ``bbox`` (N, 4) xyxy, ``labels`` (N,) and ``scores`` (N,).
        data_loader: For the latter it yields ``(images, targets, image_ids)``; targets have ``bbox`` and
            ``labels`` in the same pixels as the predictions, and are the ground truth.
        dataset_name: For the log.
        iou_types: 'bbox', and for models of this toolkit 'segm'.
        box_only: Whether to evaluate the recall of boxes whatever their class.
        device: Where the images are moved to.
        expected_results: ``(task, metric, mean, std)`` each, such as ``('bbox', 'AP', 0.375, 0.001)``.
        expected_results_sigma_tol: How many `std` a number may be off.
        output_folder: Where detections are written, in COCO's format for results.

    Returns:
        The metrics, such as ``coco/bbox_mAP``.

    Raises:
        DataError: The model's results or the targets have no boxes.
        ResultsError: A metric is not the expected one.
    """
    logger = MMLogger.get_current_instance()
    logger.info(f"Start evaluation on {dataset_name} dataset({len(data_loader.dataset)} images).")
    samples: list[dict[str, Any]] = []
    was_training = model.training
    model.eval()
    for batch in data_loader:
        samples += _tested(model, batch) if isinstance(batch, Mapping) else _called(model, batch, device)
    model.train(was_training)
    metric = CocoMetric(
        metric="proposal" if box_only else list(iou_types), outfile_prefix=_prefix(output_folder)
    )
    metric.dataset_meta = {"classes": _classes(data_loader.dataset, samples)}
    metric.process(None, samples)
    metrics: dict[str, float] = metric.evaluate(len(data_loader.dataset))
    expected = {
        f"coco/{task}_{_ITEMS.get(item, item)}": (float(mean), float(std) * expected_results_sigma_tol)
        for task, item, mean, std in expected_results
    }
    _compare(metrics, expected, logger)
    return metrics


@master_only
def _compare(metrics: dict[str, float], expected: dict[str, tuple[float, float]], logger: Any) -> None:
    check_results(metrics, expected, logger)


def _prefix(folder: str | None) -> str | None:
    if not folder:
        return None
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, "detections")


def _tested(model: nn.Module, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    outputs: list[BaseDataElement] = model.test_step(batch)  # type: ignore[operator]
    return [one.to("cpu").to_dict() for one in outputs]


def _called(model: nn.Module, batch: Sequence[Any], device: torch.device | str) -> list[dict[str, Any]]:
    images, targets, image_ids = batch
    moved = images.to(device) if hasattr(images, "to") else [image.to(device) for image in images]
    outputs = model(moved)
    return [
        {
            "img_id": int(image_id),
            "ori_shape": _size(target),
            "pred_instances": {
                "bboxes": _boxes(output, "the model's result"),
                "scores": _field(output, _SCORES, "the model's result"),
                "labels": _labels(output),
            },
            "gt_instances": {"bboxes": _boxes(target, "a target"), "labels": _labels(target)},
        }
        for image_id, target, output in zip(image_ids, targets, outputs, strict=True)
    ]


def _labels(boxes: Any) -> torch.Tensor:
    """The labels; of proposals, which have none, zeros."""
    found = _get(boxes, ("labels",))
    return found.cpu() if found is not None else torch.zeros(len(_boxes(boxes, "boxes")), dtype=torch.long)


def _boxes(boxes: Any, what: str) -> torch.Tensor:
    if getattr(boxes, "mode", "xyxy") != "xyxy":
        boxes = boxes.convert("xyxy")
    return _field(boxes, _BOXES, what).reshape(-1, 4)


def _field(boxes: Any, names: Sequence[str], what: str) -> torch.Tensor:
    found = _get(boxes, names)
    if found is None:
        raise DataError(f"{what} has no {' or '.join(names)}; it is a {type(boxes).__name__}")
    return found.detach().cpu()


def _get(boxes: Any, names: Sequence[str]) -> torch.Tensor | None:
    for name in names:
        if isinstance(boxes, Mapping):
            value = boxes.get(name)
        elif hasattr(boxes, "has_field") and boxes.has_field(name):
            value = boxes.get_field(name)
        else:
            value = getattr(boxes, name, None)
        if isinstance(value, torch.Tensor):
            return value
    return None


def _size(boxes: Any) -> tuple[int, int]:
    """Height and width of the image of a target; (0, 0) where it doesn't say."""
    size = boxes.get("size") if isinstance(boxes, Mapping) else getattr(boxes, "size", None)
    return (int(size[1]), int(size[0])) if isinstance(size, (tuple, list)) else (0, 0)


def _classes(dataset: Any, samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the labels: the dataset's, or the numbers that occur."""
    metainfo = getattr(dataset, "metainfo", None) or {}
    known = metainfo.get("classes") or getattr(dataset, "CLASSES", None)
    if known is not None:
        return list(known)
    labels = [one[part]["labels"] for one in samples for part in ("pred_instances", "gt_instances")]
    highest = max((int(each.max()) for each in labels if each.numel()), default=0)
    return [str(label) for label in range(highest + 1)]
