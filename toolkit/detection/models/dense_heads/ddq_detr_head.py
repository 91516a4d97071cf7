"""The head of DDQ-DETR."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.detr_head import Metas
from toolkit.detection.models.dense_heads.dino_head import DINOHead
from toolkit.detection.models.layers.transformer import moved
from toolkit.detection.models.losses.ddq_detr_aux_loss import DDQAuxLoss
from toolkit.detection.models.task_modules.assigners.hungarian_assigner import image_scales
from toolkit.detection.models.utils import bbox_cxcywh_to_xyxy, unpack_gt_instances
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.model import bias_init_with_prob, constant_init
from toolkit.structures import InstanceData


@MODELS.register_module()
class DDQDETRHead(DINOHead):
    """The head of DINO with branches for dense queries, which train but don't predict (Zhang et al., "Dense
    Distinct Query for End-to-End Object Detection", 2023).

    State-dict keys: those of `DINOHead` with one branch more, ``aux_cls_branches.{i}.*``,
    ``aux_reg_branches.{i}.{j}.*``.

    Args:
        *args: See `DINOHead`.
        aux_num_pos: How many dense queries match a ground truth.
        **kwargs: See `DINOHead`.
    """

    def __init__(self, *args: Any, aux_num_pos: int = 4, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assigner = {"type": "TopkHungarianAssigner", "topk": aux_num_pos}
        self.aux_loss_for_dense = DDQAuxLoss(train_cfg={"assigner": assigner, "alpha": 1, "beta": 6})

    def _init_layers(self) -> None:
        super()._init_layers()
        layers = len(self.cls_branches) - 1
        # One more for the dense proposals of the encoder.
        self.cls_branches.append(copy.deepcopy(self.cls_branches[-1]))
        self.reg_branches.append(copy.deepcopy(self.reg_branches[-1]))
        self.aux_cls_branches: Any = nn.ModuleList(
            copy.deepcopy(self.cls_branches[-1]) for _ in range(layers)
        )
        self.aux_reg_branches: Any = nn.ModuleList(
            copy.deepcopy(self.reg_branches[-1]) for _ in range(layers)
        )

    def init_weights(self) -> None:
        """Boxes start where they are, classes at a probability of 0.01."""
        for branch in (*self.cls_branches, *self.aux_cls_branches):
            nn.init.constant_(branch.bias, bias_init_with_prob(0.01))
        for branch in (*self.reg_branches, *self.aux_reg_branches):
            constant_init(branch[-1], 0)

    def loss(
        self,
        hidden_states: Tensor,
        batch_data_samples: Sequence[DetDataSample],
        references: Any = None,
        num_dense: int = 0,
        distinct: Sequence[Tensor] = (),
        aux_enc_outputs_class: Tensor | None = None,
        aux_enc_outputs_coord: Tensor | None = None,
        **extra: Any,
    ) -> dict[str, Tensor]:
        """See `DETRHead.loss`; and the losses of the dense queries, ``{i}_aux_aux_*`` and ``aux_enc_aux_*``.

        Args:
            hidden_states: (L, B, Q, D), the dense queries last.
            batch_data_samples: Ground truth, an item an image.
            references: See `DeformableDETRHead.forward`.
            num_dense: How many dense queries there are.
            distinct: Which matching queries count in each layer but the first, (B, S) bool.
            aux_enc_outputs_class: Logits of the dense proposals, (B, num_dense, C).
            aux_enc_outputs_coord: Their boxes, (B, num_dense, 4).
            **extra: For `DINOHead.loss_by_feat`.
        """
        gts, _, metas = unpack_gt_instances(batch_data_samples)
        count = hidden_states.size(2) - num_dense
        scores, boxes = self(hidden_states[:, :, :count], references[:, :, :count])
        every = torch.ones_like(distinct[0])
        valid = torch.stack((every, *distinct, every))  # of each layer, and of the proposals
        losses = self.loss_by_feat(scores, boxes, gts, metas, valid=valid, **extra)
        if aux_enc_outputs_class is None or aux_enc_outputs_coord is None:
            return losses
        layers = len(hidden_states)
        states, starts = hidden_states[:, :, count:], references[:layers, :, count:]
        scores = torch.stack([self.aux_cls_branches[i](states[i]) for i in range(layers)])
        deltas = torch.stack([self.aux_reg_branches[i](states[i]) for i in range(layers)])
        losses.update(
            self._dense_losses(
                torch.cat((scores, aux_enc_outputs_class[None])),
                torch.cat((moved(deltas, starts), aux_enc_outputs_coord[None])),
                gts,
                metas,
            )
        )
        return losses

    def _dense_losses(
        self, scores: Tensor, boxes: Tensor, gts: list[InstanceData], metas: Metas
    ) -> dict[str, Tensor]:
        """Losses by name of dense queries, (L + 1, B, Q, n); the last layer is the encoder."""
        boxes = bbox_cxcywh_to_xyxy(boxes.float()) * image_scales(metas, boxes)[:, None]
        loss_cls, loss_bbox = self.aux_loss_for_dense(scores.float().sigmoid(), boxes, gts, metas)
        names = [f"{i}_aux" for i in range(len(scores) - 1)] + ["aux_enc"]
        losses = {}
        for i, name in enumerate(names):
            losses[f"{name}_aux_loss_cls"], losses[f"{name}_aux_loss_bbox"] = loss_cls[i], loss_bbox[i]
        return losses

    def predict(
        self,
        hidden_states: Tensor,
        batch_data_samples: Sequence[DetDataSample],
        references: Any = None,
        rescale: bool = True,
        distinct: Sequence[Tensor] = (),
        **_: Any,
    ) -> list[InstanceData]:
        """See `DETRHead.predict`; only of queries that are distinct before the last layer.

        Args:
            hidden_states: (L, B, Q, D).
            batch_data_samples: Their metainfo is looked at.
            references: See `DeformableDETRHead.forward`.
            rescale: Give boxes in pixels of the original image.
            distinct: Which queries count in each layer but the first, (B, Q) bool.
        """
        scores, boxes = self.last_layer(hidden_states, references)
        results = []
        for i, sample in enumerate(batch_data_samples):
            keep = distinct[-1][i]
            one = (scores[i, keep][None], boxes[i, keep][None])
            results += self.predict_by_feat(*one, [sample.metainfo], rescale=rescale)
        return results
