"""DetInferencer: boxes (and masks, where the model has them) on images."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
from torch import nn

from toolkit.detection.evaluation.mask_runs import encode_masks
from toolkit.detection.models.detectors import BaseDetector
from toolkit.detection.visualization import DetLocalVisualizer
from toolkit.infer.base import Model
from toolkit.infer.detector import set_palette
from toolkit.infer.images import ImageInferencer
from toolkit.registry import INFERENCERS
from toolkit.visualization import Visualizer


@INFERENCERS.register_module()
class DetInferencer(ImageInferencer):
    """Inferencer of models that return `DetDataSample`s with `pred_instances`.

    Args:
        model: See `BaseInferencer`.
        weights: See `BaseInferencer`.
        device: A torch device; the best at hand if None.
        scope: The scope of the names in the config; if None, the config's `default_scope`.
        palette: Colours of the classes: ``coco``, ``voc`` or ``citys``; ``random`` for generated ones; RGB
            colours, one a class; or ``none`` for those that the checkpoint or the config names.
        show_progress: Whether calls show a progress bar.
        trusted: Unpickle whatever the checkpoint holds.

    Examples:
        >>> inferencer = DetInferencer("mask-rcnn_r50_fpn_1x_coco.py", "mask_rcnn.pth")  # doctest: +SKIP
        >>> inferencer("demo.jpg", out_dir="outputs")["predictions"][0]["labels"]  # doctest: +SKIP
        [13, 2, 2]
    """

    visualizer_type: ClassVar[type[Visualizer]] = DetLocalVisualizer

    def __init__(
        self,
        model: Model = None,
        weights: str | os.PathLike[str] | None = None,
        device: str | None = None,
        scope: str | None = None,
        palette: Any = "none",
        show_progress: bool = True,
        *,
        trusted: bool = False,
    ) -> None:
        super().__init__(model, weights, device, scope, show_progress, trusted=trusted)
        set_palette(self.model, palette)

    @classmethod
    def handles(cls, model: nn.Module) -> bool:
        """Whether the model is a detector."""
        return isinstance(model, BaseDetector)

    def pred2dict(self, data_sample: Any) -> dict[str, Any]:
        """The detections of an image as plain values.

        Returns:
            `labels`: indices of classes; `scores`; `bboxes`: xyxy in pixels of the original image; with masks
            also `masks`, in COCO's run lengths: `[{size, counts}, …]`. Empty where nothing was predicted.
        """
        if "pred_instances" not in data_sample:
            return {}
        found = data_sample.pred_instances
        plain = {key: found[key].tolist() for key in ("labels", "scores", "bboxes") if key in found}
        return {**plain, "masks": encode_masks(found.masks)} if "masks" in found else plain

    def as_record(self, prediction: Any, score_thr: float) -> dict[str, Any]:
        """Boxes (xyxy, pixels of the original image), label names and scores of one prediction.

        Returns:
            `{height, width, boxes: [[x1, y1, x2, y2], …], labels: [name, …], scores: [float, …]}`,
            highest score first; with masks also `masks`, in COCO's run lengths: `[{size, counts}, …]`.
        """
        found = prediction.pred_instances
        found = found[found.scores >= score_thr]
        found = found[found.scores.argsort(descending=True, stable=True)]
        height, width = prediction.ori_shape[:2]
        masks = dict(masks=encode_masks(found.masks)) if "masks" in found else {}
        return dict(
            height=int(height),
            width=int(width),
            boxes=[[round(value, 2) for value in box] for box in found.bboxes.tolist()],
            labels=[self.classes[label] for label in found.labels.tolist()],
            scores=[round(score, 5) for score in found.scores.tolist()],
            **masks,
        )

    def draw(self, image: np.ndarray, prediction: Any, score_thr: float) -> np.ndarray:
        """Predicted boxes and masks with class names and scores, on an RGB uint8 (H, W, 3) image."""
        self.visualizer.add_datasample(
            "prediction", image, prediction, draw_gt=False, draw_pred=True, pred_score_thr=score_thr
        )
        return self.visualizer.get_image()
