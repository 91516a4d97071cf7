"""DetInferencer: boxes (and masks, where the model has them) on images."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from toolkit.detection.evaluation.mask_runs import encode_masks
from toolkit.detection.models.detectors import BaseDetector
from toolkit.detection.visualization import DetLocalVisualizer
from toolkit.infer.base import BaseInferencer
from toolkit.registry import INFERENCERS


@INFERENCERS.register_module()
class DetInferencer(BaseInferencer):
    """Inferencer of models that return `DetDataSample`s with `pred_instances`."""

    @classmethod
    def handles(cls, model: nn.Module) -> bool:
        """Whether the model is a detector."""
        return isinstance(model, BaseDetector)

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
        visualizer = DetLocalVisualizer(vis_backends=None)
        visualizer.dataset_meta = dict(classes=self.classes, palette=self.palette)
        visualizer.add_datasample(
            "prediction", image, prediction, draw_gt=False, draw_pred=True, pred_score_thr=score_thr
        )
        picture: np.ndarray = visualizer.get_image()
        return picture
