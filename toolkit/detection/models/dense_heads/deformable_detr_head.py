"""The head of Deformable DETR."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.detr_head import (
    DETRHead,
    Gts,
    Metas,
    named_by_layer,
)
from toolkit.detection.models.layers.transformer import moved
from toolkit.detection.registry import MODELS
from toolkit.model import bias_init_with_prob, constant_init
from toolkit.structures import InstanceData


@MODELS.register_module()
class DeformableDETRHead(DETRHead):
    """A classifier and a regression a decoder layer (Zhu et al., "Deformable DETR", 2020).

    State-dict keys: ``cls_branches.{i}.*``, ``reg_branches.{i}.{j}.*``.

    Args:
        *args: See `DETRHead`.
        share_pred_layer: Whether they are the same in all layers.
        num_pred_layer: How many there are.
        as_two_stage: Whether the last of them makes proposals from the encoder's output.
        **kwargs: See `DETRHead`.
    """

    def __init__(
        self,
        *args: Any,
        share_pred_layer: bool = False,
        num_pred_layer: int = 6,
        as_two_stage: bool = False,
        **kwargs: Any,
    ) -> None:
        self._branches = (share_pred_layer, num_pred_layer)
        self._two_stage = as_two_stage
        super().__init__(*args, **kwargs)
        self.share_pred_layer, self.num_pred_layer = share_pred_layer, num_pred_layer
        self.as_two_stage = as_two_stage

    def _init_layers(self) -> None:
        share, count = self._branches
        dims = self.embed_dims
        fc_cls = nn.Linear(dims, self.cls_out_channels)
        hidden = [nn.Sequential(nn.Linear(dims, dims), nn.ReLU()) for _ in range(self.num_reg_fcs)]
        reg = nn.Sequential(*[layer for pair in hidden for layer in pair], nn.Linear(dims, 4))
        self.cls_branches: Any = nn.ModuleList(
            fc_cls if share else copy.deepcopy(fc_cls) for _ in range(count)
        )
        self.reg_branches: Any = nn.ModuleList(reg if share else copy.deepcopy(reg) for _ in range(count))

    def init_weights(self) -> None:
        """Boxes start around their references; with sigmoids, classes start at a probability of 0.01."""
        if self.use_sigmoid_cls:
            for branch in self.cls_branches:
                nn.init.constant_(branch.bias, bias_init_with_prob(0.01))
        for branch in self.reg_branches:
            constant_init(branch[-1], 0)
        # Without proposals the first layer decides on the size, and starts with small boxes.
        nn.init.constant_(self.reg_branches[0][-1].bias[2:], 0.0 if self._two_stage else -2.0)

    def forward(self, hidden_states: Tensor, references: Sequence[Tensor]) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `DETRHead.forward`.

        Args:
            hidden_states: (L, B, Q, D).
            references: Points (B, Q, 2) or boxes (B, Q, 4) as cx, cy, w, h before each layer, from 0 to 1.
        """
        outs = [self._layer(i, hidden_states[i], references[i]) for i in range(len(hidden_states))]
        scores, boxes = zip(*outs, strict=True)
        return torch.stack(scores), torch.stack(boxes)

    def last_layer(self, hidden_states: Tensor, references: Sequence[Tensor]) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `DETRHead.last_layer`."""
        last = len(hidden_states) - 1
        return self._layer(last, hidden_states[last], references[last])

    def _layer(self, index: int, state: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.cls_branches[index](state), moved(self.reg_branches[index](state), reference)

    def loss_by_feat(
        self,
        all_layers_cls_scores: Tensor,
        all_layers_bbox_preds: Tensor,
        gts: Gts,
        metas: Metas,
        enc_outputs_class: Tensor | None = None,
        enc_outputs_coord: Tensor | None = None,
        **_: Any,
    ) -> dict[str, Tensor]:
        """See `DETRHead.loss_by_feat`; and the losses of the proposals, with the prefix ``enc_``.

        Args:
            all_layers_cls_scores: (L, B, Q, C).
            all_layers_bbox_preds: (L, B, Q, 4).
            gts: ``bboxes`` and ``labels`` of each image.
            metas: ``img_shape`` of each image.
            enc_outputs_class: Logits of each place of the encoder's output, (B, N, C), the first of which
                says whether there is an object; None where there are no proposals.
            enc_outputs_coord: Its boxes, (B, N, 4) as cx, cy, w, h from 0 to 1.
        """
        losses = named_by_layer(self.matched_losses(all_layers_cls_scores, all_layers_bbox_preds, gts, metas))
        if enc_outputs_class is not None and enc_outputs_coord is not None:
            objects = [InstanceData(bboxes=gt.bboxes, labels=torch.zeros_like(gt.labels)) for gt in gts]
            proposals = self.matched_losses(enc_outputs_class[None], enc_outputs_coord[None], objects, metas)
            losses.update(named_by_layer(proposals, "enc_"))
        return losses
