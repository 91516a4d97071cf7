"""The head of DINO."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.dense_heads.deformable_detr_head import DeformableDETRHead
from toolkit.detection.models.dense_heads.detr_head import Gts, Metas, named_by_layer
from toolkit.detection.models.task_modules.assigners.hungarian_assigner import Matches
from toolkit.detection.registry import MODELS

_NO_DENOISING = {"num_denoising_queries": 0, "num_denoising_groups": 1}


@MODELS.register_module()
class DINOHead(DeformableDETRHead):
    """The head of Deformable DETR with losses of the denoising queries (Zhang et al., "DINO: DETR with
    Improved DeNoising Anchor Boxes", 2022). Arguments and keys are those of `DeformableDETRHead`.
    """

    def loss_by_feat(  # type: ignore[override]
        self,
        all_layers_cls_scores: Tensor,
        all_layers_bbox_preds: Tensor,
        gts: Gts,
        metas: Metas,
        enc_outputs_class: Tensor,
        enc_outputs_coord: Tensor,
        dn_meta: dict[str, int] | None = None,
        valid: Tensor | None = None,
        **_: Any,
    ) -> dict[str, Tensor]:
        """Losses of the matching queries as in `DETRHead`; of the chosen proposals, with the prefix ``enc_``;
        and of the denoising queries, ``dn_``.

        Args:
            all_layers_cls_scores: (L, B, Q, C), the denoising queries first.
            all_layers_bbox_preds: (L, B, Q, 4).
            gts: ``bboxes`` and ``labels`` of each image.
            metas: ``img_shape`` of each image.
            enc_outputs_class: Logits of the proposals that became queries, (B, matching queries, C).
            enc_outputs_coord: Their boxes, (B, matching queries, 4).
            dn_meta: See `Denoising.meta`; None where there are no denoising queries.
            valid: Which matching queries and, last, which proposals count, (L + 1, B, Q) bool; None: all.
        """
        count = (dn_meta or _NO_DENOISING)["num_denoising_queries"]
        # The proposals are as many as the queries, so they are matched together with them, as one more layer.
        scores = torch.cat((all_layers_cls_scores[:, :, count:], enc_outputs_class[None]))
        boxes = torch.cat((all_layers_bbox_preds[:, :, count:], enc_outputs_coord[None]))
        found = self.matched_losses(scores, boxes, gts, metas, valid)
        losses = named_by_layer((found[0][:-1], found[1][:-1], found[2][:-1]))
        losses.update(named_by_layer((found[0][-1:], found[1][-1:], found[2][-1:]), "enc_"))
        if dn_meta is not None:
            losses.update(
                named_by_layer(
                    self.loss_dn(
                        all_layers_cls_scores[:, :, :count],
                        all_layers_bbox_preds[:, :, :count],
                        gts,
                        metas,
                        dn_meta,
                    ),
                    "dn_",
                )
            )
        return losses

    def loss_dn(
        self, scores: Tensor, boxes: Tensor, gts: Gts, metas: Metas, dn_meta: dict[str, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses of the denoising queries, as `DETRHead.matched_losses`; whose they are is known."""
        matches = self.dn_matches([len(gt.labels) for gt in gts], dn_meta)
        matches = Matches(
            matches.pred.to(scores.device).expand(len(scores), -1),
            matches.gt.to(scores.device).expand(len(scores), -1),
        )
        num_neg = matches.pred.size(1)  # each ground truth has as many far copies as near ones
        return self.losses_of_matches(scores.float(), boxes.float(), matches, num_neg, gts, metas)

    @staticmethod
    def dn_matches(counts: list[int], dn_meta: dict[str, int]) -> Matches:
        """Which denoising queries are which ground truth: the near copies of each group, (1, P).

        Args:
            counts: How many ground truths each image has.
            dn_meta: See `Denoising.meta`.
        """
        total, groups = dn_meta["num_denoising_queries"], dn_meta["num_denoising_groups"]
        first = torch.cat([torch.arange(count) + index * total for index, count in enumerate(counts)])
        pred = first + total // groups * torch.arange(groups)[:, None]
        return Matches(pred.flatten()[None], torch.arange(sum(counts)).repeat(groups)[None])
