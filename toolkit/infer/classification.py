"""ClassificationInferencer: a label for each image."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from toolkit.classification.models import ImageClassifier
from toolkit.classification.visualization import UniversalVisualizer
from toolkit.infer.base import BaseInferencer
from toolkit.registry import INFERENCERS

TOP = 5


@INFERENCERS.register_module()
class ClassificationInferencer(BaseInferencer):
    """Inferencer of models that return classification `DataSample`s with `pred_score`."""

    @classmethod
    def handles(cls, model: nn.Module) -> bool:
        """Whether the model is an image classifier."""
        return isinstance(model, ImageClassifier)

    def as_record(self, prediction: Any, score_thr: float) -> dict[str, Any]:
        """The best classes of one prediction.

        Returns:
            `{label: name, score: float, labels: [name, …], scores: [float, …]}`: the best class, and
            up to five that score at least `score_thr` (the best one always), highest first.
        """
        scores, labels = prediction.pred_score.topk(min(TOP, len(self.classes)))
        names = [self.classes[label] for label in labels.tolist()]
        values = [round(score, 5) for score in scores.tolist()]
        kept = max(1, sum(score >= score_thr for score in values))
        return dict(label=names[0], score=values[0], labels=names[:kept], scores=values[:kept])

    def draw(self, image: np.ndarray, prediction: Any, score_thr: float) -> np.ndarray:
        """The best label and its score as a caption on an RGB uint8 (H, W, 3) image."""
        visualizer = UniversalVisualizer(vis_backends=None)
        visualizer.dataset_meta = dict(classes=self.classes)
        visualizer.visualize_cls(image, prediction, classes=self.classes, draw_gt=False, name="prediction")
        picture: np.ndarray = visualizer.get_image()
        return picture
