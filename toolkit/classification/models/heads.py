"""From features to class scores, losses and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.classification.registry import MODELS
from toolkit.classification.structures import DataSample
from toolkit.classification.topk import topk_accuracy
from toolkit.model import BaseModule
from toolkit.utils.errors import DataError


@MODELS.register_module()
class ClsHead(BaseModule):
    """A head whose input already is the scores. It has no weights; subclasses add them.

    Args:
        loss: Config of the loss.
        topk: The numbers k of the top-k accuracy.
        cal_acc: Log the accuracy on the training batch.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        loss: Mapping[str, Any] | nn.Module = {"type": "CrossEntropyLoss", "loss_weight": 1.0},  # noqa: B006 - read only
        topk: int | Sequence[int] = (1,),
        cal_acc: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        self.loss_module = loss if isinstance(loss, nn.Module) else MODELS.build(loss)
        self.cal_acc = cal_acc

    def pre_logits(self, feats: Tensor | Sequence[Tensor]) -> Tensor:
        """The features that scores are made of: those of the last stage."""
        return feats if isinstance(feats, Tensor) else feats[-1]

    def forward(self, feats: Tensor | Sequence[Tensor]) -> Tensor:
        """Features to scores (N, num_classes)."""
        return self.pre_logits(feats)

    def loss(
        self, feats: Tensor | Sequence[Tensor], data_samples: Sequence[DataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """The losses.

        Args:
            feats: Features of the batch.
            data_samples: A sample an image, with `gt_label` or `gt_score`.
            **kwargs: Passed on to the loss.

        Returns:
            `loss`, and with `cal_acc` also `accuracy_top-k`.

        Raises:
            DataError: The samples have no labels, or labels that the head has no score for.
        """
        cls_score = self(feats)
        target = _targets(data_samples)
        losses = {"loss": self.loss_module(cls_score, target, avg_factor=cls_score.size(0), **kwargs)}
        if self.cal_acc:
            if target.dim() != 1:
                raise DataError(
                    "cal_acc needs labels, but the samples have scores (as batch augmentations make them)"
                )
            found = topk_accuracy(cls_score.detach(), target, self.topk)
            losses.update({f"accuracy_top-{k}": acc for k, (acc,) in zip(self.topk, found, strict=True)})
        return losses

    def predict(
        self, feats: Tensor | Sequence[Tensor], data_samples: Sequence[DataSample | None] | None = None
    ) -> list[DataSample]:
        """Samples with `pred_score` (num_classes,) and `pred_label` (1,).

        Args:
            feats: Features of the batch.
            data_samples: Samples to write into; new ones by default.
        """
        scores = F.softmax(self(feats), dim=1)
        labels = scores.argmax(dim=1, keepdim=True)
        samples = data_samples if data_samples is not None else [None] * len(scores)
        found = []
        for sample, score, label in zip(samples, scores, labels, strict=True):
            sample = DataSample() if sample is None else sample
            found.append(sample.set_pred_score(score).set_pred_label(label))
        return found


def _targets(data_samples: Sequence[DataSample]) -> Tensor:
    """Labels (N,), or scores (N, C) where the samples have them."""
    first = data_samples[0] if data_samples else None
    if first is not None and "gt_score" in first:
        return torch.stack([sample.gt_score for sample in data_samples])
    if first is None or "gt_label" not in first:
        raise DataError("the samples have neither gt_label nor gt_score; is the dataset's with_label=False?")
    return torch.cat([sample.gt_label for sample in data_samples])


@MODELS.register_module()
class LinearClsHead(ClsHead):
    """One linear layer, `fc`.

    Args:
        num_classes: Number of classes.
        in_channels: Length of the feature vectors.
        init_cfg: See `BaseModule`.
        **kwargs: Of `ClsHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        init_cfg: Any = {"type": "Normal", "layer": "Linear", "std": 0.01},  # noqa: B006 - read only
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        if num_classes <= 0:
            raise ValueError(f"num_classes must be positive, got {num_classes!r}")
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Tensor | Sequence[Tensor]) -> Tensor:
        """Feature vectors (N, in_channels), the last of a sequence of them, to scores (N, num_classes)."""
        return self.fc(self.pre_logits(feats))
