"""DINO."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.detectors.base import Cfg
from toolkit.detection.models.detectors.deformable_detr import DeformableDETR, Sizes, taken
from toolkit.detection.models.detectors.detection_transformer import Inputs, Samples
from toolkit.detection.models.layers.transformer import CdnQueryGenerator, DinoTransformerDecoder
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

_SET_HERE = ("num_classes", "embed_dims", "num_matching_queries")


@MODELS.register_module()
class DINO(DeformableDETR):
    """Deformable DETR whose queries are learned and start at the best proposals, and which learns to restore
    noisy ground truth beside them (Zhang et al., "DINO: DETR with Improved DeNoising Anchor Boxes for
    End-to-End Object Detection", 2022).

    State-dict keys: ``level_embed``, those of `DetectionTransformer`, ``query_embedding.weight``,
    ``memory_trans_fc.*``, ``memory_trans_norm.*``, ``dn_query_generator.label_embedding.weight``.

    Args:
        *args: See `DeformableDETR`.
        dn_cfg: Arguments of `CdnQueryGenerator`.
        **kwargs: See `DeformableDETR`; `with_box_refine` and `as_two_stage` must be True.

    Raises:
        BuildError: One of those isn't, or `dn_cfg` sets what is set here.
    """

    decoder_type: ClassVar[Any] = DinoTransformerDecoder

    def __init__(self, *args: Any, dn_cfg: Cfg | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = type(self).__name__
        if not (self.as_two_stage and self.with_box_refine):
            raise BuildError(f"{name} needs as_two_stage=True and with_box_refine=True")
        given = [key for key in _SET_HERE if key in (dn_cfg or {})]
        if given:
            raise BuildError(f"{given} of dn_cfg follow from the rest of {name}: leave them out")
        self.dn_query_generator = CdnQueryGenerator(
            num_classes=self.bbox_head.num_classes,
            embed_dims=self.embed_dims,
            num_matching_queries=self.num_queries,
            **(dn_cfg or {}),
        )

    def _init_queries(self) -> None:
        self.query_embedding = nn.Embedding(self.num_queries, self.embed_dims)
        self.level_embed = nn.Parameter(torch.zeros(self.num_feature_levels, self.embed_dims))
        self._init_proposals()

    def _init_query_weights(self) -> None:
        nn.init.xavier_uniform_(self.memory_trans_fc.weight)
        nn.init.xavier_uniform_(self.query_embedding.weight)

    def pre_decoder(  # type: ignore[override]
        self,
        memory: Tensor,
        memory_mask: Tensor | None,
        spatial_shapes: Sizes,
        batch_data_samples: Samples = None,
    ) -> tuple[Inputs, Inputs]:
        """See `DetectionTransformer`. While training, denoising queries come first."""
        scores, logits = self.proposals(memory, memory_mask, spatial_shapes)
        best = scores.amax(-1).topk(self.num_queries, dim=1)[1]
        chosen = taken(logits, best)
        query = self.query_embedding.weight.expand(len(memory), -1, -1)
        references, mask, meta = chosen.detach(), None, None
        if self.training and batch_data_samples is not None:
            noisy = self.dn_query_generator(batch_data_samples)
            query = torch.cat((noisy.label_query, query), dim=1)
            references = torch.cat((noisy.bbox_query, references), dim=1)
            mask, meta = noisy.attn_mask, noisy.meta
        decoder_inputs = {
            "query": query,
            "memory": memory,
            "reference_points": references.sigmoid(),
            "dn_mask": mask,
        }
        head_inputs = {
            "enc_outputs_class": taken(scores, best),
            "enc_outputs_coord": chosen.sigmoid(),
            "dn_meta": meta,
        }
        return decoder_inputs, head_inputs

    def forward_decoder(  # type: ignore[override]
        self,
        query: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        reference_points: Tensor,
        spatial_shapes: Sizes,
        valid_ratios: Tensor,
        dn_mask: Tensor | None = None,
    ) -> Inputs:
        """See `DetectionTransformer`."""
        states, references = self.decoder(
            query,
            memory,
            memory_mask,
            dn_mask,
            reference_points,
            spatial_shapes,
            valid_ratios,
            self.bbox_head.reg_branches,
        )
        return {"hidden_states": states, "references": references}
