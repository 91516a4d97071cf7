"""The head of FCOS as torchvision has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.dense_heads.fcos_head import FCOSHead
from toolkit.detection.models.task_modules.prior_generators import TorchvisionPointGenerator
from toolkit.detection.registry import MODELS
from toolkit.structures import InstanceData

_LEAST = 1e-12


@MODELS.register_module()
class TorchvisionFCOSHead(FCOSHead):
    """For weights that were trained with torchvision: their numbers come out only with its points and scores.

    Points lie in the corners of a feature map's cells, not in their centres; a detection scores the square
    root of the product of class and centerness, and the threshold applies to that.

    Args:
        *args: Those of `FCOSHead`.
        **kwargs: Those of `FCOSHead`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prior_generator = TorchvisionPointGenerator(self.strides)

    def predict_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        score_factors: list[Tensor] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> list[InstanceData]:
        """See `BaseDenseHead`."""
        assert score_factors is not None, "FCOS predicts a centerness"
        logits = [
            torch.logit((score.sigmoid() * factor.sigmoid()).sqrt().clamp(_LEAST, 1))
            for score, factor in zip(cls_scores, score_factors, strict=True)
        ]
        return super().predict_by_feat(logits, bbox_preds, None, *args, **kwargs)
