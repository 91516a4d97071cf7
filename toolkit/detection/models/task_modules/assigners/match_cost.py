"""What it costs to match a prediction with a ground truth.

Shapes: Q predictions, K ground truths, C classes. Costs marked `batched` take leading dimensions too, as of
layers and images: predictions (..., Q, n) and ground truths (..., K, n), broadcast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.detection.models.utils import bbox_overlaps, bbox_xyxy_to_cxcywh
from toolkit.detection.registry import TASK_UTILS
from toolkit.utils import BuildError

_FORMATS = ("xyxy", "xywh")


class BaseMatchCost(ABC):
    """Base of costs.

    Args:
        weight: Factor of the cost.
    """

    batched: ClassVar[bool] = False
    """Whether predictions and ground truths may have leading dimensions."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    @abstractmethod
    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """The cost of each pair, (..., Q, K).

        Args:
            pred_instances: What is looked at of ``scores`` (logits), ``bboxes`` (x1, y1, x2, y2 in pixels)
                and ``masks`` (logits).
            gt_instances: What is looked at of ``labels``, ``bboxes`` and ``masks``.
            img_meta: ``img_shape``; or ``box_scale``, (..., 1, 4), for images of several sizes.
            **kwargs: Not used.
        """


@TASK_UTILS.register_module()
class BBoxL1Cost(BaseMatchCost):
    """L1 distance of boxes, as parts of the image's size.

    Args:
        box_format: 'xyxy' to compare corners, 'xywh' to compare centres and sizes.
        weight: Factor of the cost.

    Raises:
        BuildError: `box_format` is another.
    """

    batched = True

    def __init__(self, box_format: str = "xyxy", weight: float = 1.0) -> None:
        super().__init__(weight)
        if box_format not in _FORMATS:
            raise BuildError(f"box_format of BBoxL1Cost must be one of {_FORMATS}, got {box_format!r}")
        self.box_format = box_format

    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """See `BaseMatchCost`."""
        pred, gt = pred_instances.bboxes, gt_instances.bboxes
        if self.box_format == "xywh":
            pred, gt = bbox_xyxy_to_cxcywh(pred), bbox_xyxy_to_cxcywh(gt)
        assert img_meta is not None, "BBoxL1Cost needs the size of the image"
        scale = img_meta.get("box_scale")
        if scale is None:
            height, width = img_meta["img_shape"][:2]
            scale = gt.new_tensor([width, height, width, height])
        return torch.cdist(pred / scale, gt / scale, p=1) * self.weight


@TASK_UTILS.register_module()
class IoUCost(BaseMatchCost):
    """The overlap of boxes, negative.

    Args:
        iou_mode: See `bbox_overlaps`.
        weight: Factor of the cost.
    """

    batched = True

    def __init__(self, iou_mode: str = "giou", weight: float = 1.0) -> None:
        super().__init__(weight)
        self.iou_mode = iou_mode

    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """See `BaseMatchCost`. Computed in float32: areas overflow in half precision."""
        pred = pred_instances.bboxes
        overlaps = bbox_overlaps(pred.float(), gt_instances.bboxes.float(), mode=self.iou_mode)
        return -overlaps.to(pred.dtype) * self.weight


@TASK_UTILS.register_module()
class ClassificationCost(BaseMatchCost):
    """The softmax probability of the ground truth's class, negative.

    Args:
        weight: Factor of the cost.
    """

    batched = True

    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """See `BaseMatchCost`."""
        return -_of_classes(pred_instances.scores.softmax(-1), gt_instances.labels) * self.weight


@TASK_UTILS.register_module()
class FocalLossCost(BaseMatchCost):
    """What the focal loss (Lin et al., "Focal Loss for Dense Object Detection", 2017) would say of the
    ground truth's class: its positive term without its negative one.

    Args:
        alpha: Weight of the positive term; that of the negative one is 1 - alpha.
        gamma: How much less easy predictions count.
        eps: Added to what a logarithm is taken of.
        binary_input: Compare masks, place by place, in place of classes.
        weight: Factor of the cost.
    """

    batched = True

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2,
        eps: float = 1e-12,
        binary_input: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        self.alpha, self.gamma, self.eps, self.binary_input = alpha, gamma, eps, binary_input
        self.batched = not binary_input  # type: ignore[misc]

    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """See `BaseMatchCost`."""
        if self.binary_input:
            pred, gt = pred_instances.masks.flatten(1), gt_instances.masks.flatten(1)
            return self._of_targets(pred, gt) / pred.size(1) * self.weight
        # The terms of the few classes that there are, not of all.
        pos, neg = self._terms(_of_classes(pred_instances.scores, gt_instances.labels))
        return (pos - neg) * self.weight

    def _terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The loss if it is the class, and if it is not."""
        prob = logits.sigmoid()
        neg = -(1 - prob + self.eps).log() * (1 - self.alpha) * prob.pow(self.gamma)
        pos = -(prob + self.eps).log() * self.alpha * (1 - prob).pow(self.gamma)
        return pos, neg

    def _of_targets(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of logits (Q, n) with targets (K, n) from 0 to 1, summed, (Q, K)."""
        pos, neg = self._terms(logits)
        targets = targets.float()
        return pos @ targets.T + neg @ (1 - targets).T


@TASK_UTILS.register_module()
class BinaryFocalLossCost(FocalLossCost):
    """The focal loss of several classes at once, of which a ground truth may have any, as of the words of a
    text. Arguments are those of `FocalLossCost`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batched = False  # type: ignore[misc]

    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """See `BaseMatchCost`; ``positive_maps`` (K, T) and ``text_token_mask`` (K, T), of which all rows are
        the same, say what a ground truth is and which words there are.
        """
        words = gt_instances.text_token_mask[0].nonzero().squeeze(-1)
        targets = gt_instances.positive_maps[:, words]
        return self._of_targets(pred_instances.scores[:, words], targets) * self.weight


@TASK_UTILS.register_module()
class DiceCost(BaseMatchCost):
    """The dice loss of masks (Milletari et al., "V-Net", 2016).

    Args:
        pred_act: Take the sigmoid of the predictions.
        eps: Added to numerator and denominator.
        naive_dice: Sum the masks in the denominator, in place of their squares.
        weight: Factor of the cost.
    """

    def __init__(
        self, pred_act: bool = False, eps: float = 1e-3, naive_dice: bool = True, weight: float = 1.0
    ) -> None:
        super().__init__(weight)
        self.pred_act, self.eps, self.naive_dice = pred_act, eps, naive_dice

    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """See `BaseMatchCost`."""
        pred, gt = pred_instances.masks.flatten(1), gt_instances.masks.flatten(1).float()
        if self.pred_act:
            pred = pred.sigmoid()
        common = 2 * pred @ gt.T
        if self.naive_dice:
            sizes = pred.sum(1)[:, None] + gt.sum(1)
        else:
            sizes = pred.square().sum(1)[:, None] + gt.square().sum(1)
        return (1 - (common + self.eps) / (sizes + self.eps)) * self.weight


@TASK_UTILS.register_module()
class CrossEntropyLossCost(BaseMatchCost):
    """The binary cross entropy of masks, the mean over their places.

    Args:
        use_sigmoid: Only True.
        weight: Factor of the cost.

    Raises:
        BuildError: `use_sigmoid` is False.
    """

    def __init__(self, use_sigmoid: bool = True, weight: float = 1.0) -> None:
        super().__init__(weight)
        if not use_sigmoid:
            raise BuildError("CrossEntropyLossCost compares masks: use_sigmoid can only be True")
        self.use_sigmoid = use_sigmoid

    def __call__(
        self, pred_instances: Any, gt_instances: Any, img_meta: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Tensor:
        """See `BaseMatchCost`."""
        pred = pred_instances.masks.flatten(1).float()
        gt = gt_instances.masks.flatten(1).float()
        # -log sigmoid(x) where the target is 1, -log sigmoid(-x) where it is 0
        cost = F.softplus(-pred) @ gt.T + F.softplus(pred) @ (1 - gt).T
        return cost / pred.size(1) * self.weight


def _of_classes(scores: Tensor, labels: Tensor) -> Tensor:
    """The column of each ground truth's class: (..., Q, C) and (..., K) to (..., Q, K)."""
    if labels.dim() == 1:
        return scores[..., labels]
    index = labels.unsqueeze(-2).expand(*scores.shape[:-1], -1)
    return scores.gather(-1, index)
