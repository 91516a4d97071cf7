"""ClassificationInferencer: a label for each image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import nn

from toolkit.classification.models import ImageClassifier
from toolkit.classification.visualization import UniversalVisualizer
from toolkit.infer.images import ImageInferencer
from toolkit.registry import INFERENCERS
from toolkit.visualization import Visualizer

TOP = 5


@INFERENCERS.register_module()
class ClassificationInferencer(ImageInferencer):
    """Inferencer of models that return classification `DataSample`s with `pred_score`.

    For arguments see `BaseInferencer`, for calls `ImageInferencer`. Pictures show the best class, whatever
    its score.

    Examples:
        >>> inferencer = ClassificationInferencer(weights="work_dirs/shapes")  # doctest: +SKIP
        >>> inferencer("circle.png")["predictions"][0]["pred_class"]  # doctest: +SKIP
        'circle'
    """

    visualizer_type: ClassVar[type[Visualizer]] = UniversalVisualizer

    @classmethod
    def handles(cls, model: nn.Module) -> bool:
        """Whether the model is an image classifier."""
        return isinstance(model, ImageClassifier)

    def pred2dict(self, data_sample: Any) -> dict[str, Any]:
        """The prediction of an image as plain values.

        Returns:
            `pred_scores` of all classes; of the best class `pred_label`, `pred_score` and `pred_class`, its
            name.
        """
        scores = data_sample.pred_score
        label = int(scores.argmax())
        return dict(
            pred_scores=scores.tolist(),
            pred_label=label,
            pred_score=float(scores[label]),
            pred_class=self.classes[label],
        )

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
        self.visualizer.add_datasample("prediction", image, prediction, draw_gt=False)
        return self.visualizer.get_image()
