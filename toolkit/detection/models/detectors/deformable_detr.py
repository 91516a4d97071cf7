"""Deformable DETR.

Shapes: B images, L maps of N places in all, Q queries, D channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.detectors.base import Cfg
from toolkit.detection.models.detectors.detection_transformer import (
    DetectionTransformer,
    Inputs,
    Samples,
    as_sequence,
    padding_masks,
)
from toolkit.detection.models.layers.positional_encoding import sine_encoding
from toolkit.detection.models.layers.transformer import (
    DeformableDetrTransformerDecoder,
    DeformableDetrTransformerEncoder,
)
from toolkit.detection.models.utils import with_settings
from toolkit.detection.registry import MODELS
from toolkit.model import xavier_init
from toolkit.model.transformer import MultiScaleDeformableAttention
from toolkit.utils import BuildError

Sizes = Sequence[tuple[int, int]]
_SET_HERE = ("share_pred_layer", "num_pred_layer", "as_two_stage")


@MODELS.register_module()
class DeformableDETR(DetectionTransformer):
    """DETR whose attention looks at a few places of maps of several sizes (Zhu et al., "Deformable DETR:
    Deformable Transformers for End-to-End Object Detection", 2020).

    State-dict keys: ``level_embed``, those of its base, and ``query_embedding.weight`` and
    ``reference_points_fc.*``, or with `as_two_stage` ``memory_trans_fc.*``, ``memory_trans_norm.*``,
    ``pos_trans_fc.*`` and ``pos_trans_norm.*``.

    Args:
        *args: See `DetectionTransformer`.
        decoder: Arguments of the decoder.
        bbox_head: Config of the head.
        with_box_refine: Each decoder layer refines the boxes of the one before.
        as_two_stage: Queries are the best proposals of the encoder's output.
        num_feature_levels: How many maps.
        **kwargs: See `DetectionTransformer`.

    Raises:
        BuildError: `bbox_head` sets what is set here.
    """

    encoder_type: ClassVar[Any] = DeformableDetrTransformerEncoder
    decoder_type: ClassVar[Any] = DeformableDetrTransformerDecoder

    def __init__(
        self,
        *args: Any,
        decoder: Cfg | None = None,
        bbox_head: Cfg | None = None,
        with_box_refine: bool = False,
        as_two_stage: bool = False,
        num_feature_levels: int = 4,
        **kwargs: Any,
    ) -> None:
        head, layers = bbox_head or {}, (decoder or {}).get("num_layers", 0)
        given = [key for key in _SET_HERE if key in head]
        if given:
            raise BuildError(
                f"{given} of bbox_head follow from the arguments of {type(self).__name__}: leave them out"
            )
        head = with_settings(
            head,
            share_pred_layer=not with_box_refine,
            num_pred_layer=layers + 1 if as_two_stage else layers,
            as_two_stage=as_two_stage,
        )
        self.with_box_refine, self.as_two_stage = with_box_refine, as_two_stage
        self.num_feature_levels = num_feature_levels
        super().__init__(*args, decoder=decoder, bbox_head=head, **kwargs)  # type: ignore[misc]

    def _init_queries(self) -> None:
        dims = self.embed_dims
        if not self.as_two_stage:
            self.query_embedding = nn.Embedding(self.num_queries, dims * 2)
        self.level_embed = nn.Parameter(torch.zeros(self.num_feature_levels, dims))
        if self.as_two_stage:
            self._init_proposals()
            self.pos_trans_fc = nn.Linear(dims * 2, dims * 2)
            self.pos_trans_norm = nn.LayerNorm(dims * 2)
        else:
            self.reference_points_fc = nn.Linear(dims, 2)

    def _init_proposals(self) -> None:
        self.memory_trans_fc = nn.Linear(self.embed_dims, self.embed_dims)
        self.memory_trans_norm = nn.LayerNorm(self.embed_dims)

    def init_weights(self) -> None:
        """As its base; the attentions as they do themselves."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.init_weights()
        self._init_query_weights()
        nn.init.normal_(self.level_embed)

    def _init_query_weights(self) -> None:
        if self.as_two_stage:
            nn.init.xavier_uniform_(self.memory_trans_fc.weight)
            nn.init.xavier_uniform_(self.pos_trans_fc.weight)
        else:
            xavier_init(self.reference_points_fc, distribution="uniform")

    def pre_transformer(
        self, img_feats: Sequence[Tensor], batch_data_samples: Samples = None
    ) -> tuple[Inputs, Inputs]:
        """See `DetectionTransformer`. The places of all maps become one sequence."""
        batch, device = len(img_feats[0]), img_feats[0].device
        sizes: Sizes = [(int(feat.shape[-2]), int(feat.shape[-1])) for feat in img_feats]
        masks = padding_masks(batch_data_samples, sizes, device)
        pos = [
            as_sequence(self.positional_encoding(None if masks is None else masks[i], input=feat))
            + self.level_embed[i]
            for i, feat in enumerate(img_feats)
        ]
        if masks is None:
            mask = None
            ratios = torch.ones(batch, len(sizes), 2, device=device)
        else:
            mask = torch.cat([one.flatten(1) for one in masks], dim=1)
            ratios = torch.stack([self.get_valid_ratio(one) for one in masks], dim=1)
        shared = {"spatial_shapes": sizes, "valid_ratios": ratios}
        encoder_inputs = {
            "feat": torch.cat([as_sequence(feat) for feat in img_feats], dim=1),
            "feat_mask": mask,
            "feat_pos": torch.cat(pos, dim=1),
            **shared,
        }
        return encoder_inputs, {"memory_mask": mask, **shared}

    def forward_encoder(  # type: ignore[override]
        self,
        feat: Tensor,
        feat_mask: Tensor | None,
        feat_pos: Tensor,
        spatial_shapes: Sizes,
        valid_ratios: Tensor,
    ) -> Inputs:
        """See `DetectionTransformer`.

        Args:
            feat: (B, N, D).
            feat_mask: True where there is padding, (B, N).
            feat_pos: Positions, (B, N, D).
            spatial_shapes: Height and width of each map.
            valid_ratios: See `get_valid_ratio`, (B, L, 2).
        """
        memory = self.encoder(feat, feat_pos, feat_mask, spatial_shapes, valid_ratios)
        return {"memory": memory, "memory_mask": feat_mask, "spatial_shapes": spatial_shapes}

    def pre_decoder(  # type: ignore[override]
        self, memory: Tensor, memory_mask: Tensor | None, spatial_shapes: Sizes, **inputs: Any
    ) -> tuple[Inputs, Inputs]:
        """See `DetectionTransformer`. Queries are learned, or the best proposals."""
        if not self.as_two_stage:
            query_pos, query = self.query_embedding.weight.expand(len(memory), -1, -1).chunk(2, dim=-1)
            references = self.reference_points_fc(query_pos).sigmoid()
            queries = {"query": query, "query_pos": query_pos, "reference_points": references}
            return {**queries, "memory": memory}, {}
        scores, logits = self.proposals(memory, memory_mask, spatial_shapes)
        best = scores[..., 0].topk(self.num_queries, dim=1)[1]
        chosen = taken(logits, best).detach()
        pos = self.get_proposal_pos_embed(chosen, self.embed_dims // 2)
        pos = self.pos_trans_norm(self.pos_trans_fc(pos))
        query_pos, query = pos.chunk(2, dim=-1)
        queries = {"query": query, "query_pos": query_pos, "reference_points": chosen.sigmoid()}
        head_inputs = {"enc_outputs_class": scores, "enc_outputs_coord": logits.sigmoid()}
        return {**queries, "memory": memory}, head_inputs

    def proposals(
        self, memory: Tensor, memory_mask: Tensor | None, spatial_shapes: Sizes
    ) -> tuple[Tensor, Tensor]:
        """Logits of classes (B, N, C) and of boxes (B, N, 4) of each place of the encoder's output."""
        features, anchors = self.gen_encoder_output_proposals(memory, memory_mask, spatial_shapes)
        last = self.decoder.num_layers
        scores = self.bbox_head.cls_branches[last](features)
        return scores, self.bbox_head.reg_branches[last](features) + anchors

    def forward_decoder(  # type: ignore[override]
        self,
        query: Tensor,
        query_pos: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        reference_points: Tensor,
        spatial_shapes: Sizes,
        valid_ratios: Tensor,
    ) -> Inputs:
        """See `DetectionTransformer`."""
        states, references = self.decoder(
            query,
            query_pos,
            memory,
            memory_mask,
            reference_points,
            spatial_shapes,
            valid_ratios,
            reg_branches=self.bbox_head.reg_branches if self.with_box_refine else None,
        )
        return {"hidden_states": states, "references": [reference_points, *references]}

    @staticmethod
    def get_valid_ratio(mask: Tensor) -> Tensor:
        """The parts of a map's width and height that aren't padding, (B, H, W) to (B, 2)."""
        height, width = mask.shape[1:]
        valid = ~mask
        rows, cols = valid[:, :, 0].sum(1), valid[:, 0, :].sum(1)
        return torch.stack((cols / width, rows / height), dim=-1)

    def gen_encoder_output_proposals(
        self, memory: Tensor, memory_mask: Tensor | None, spatial_shapes: Sizes
    ) -> tuple[Tensor, Tensor]:
        """A box around each place, larger in the coarser maps.

        Args:
            memory: The encoder's output, (B, N, D).
            memory_mask: True where there is padding, (B, N).
            spatial_shapes: Height and width of each map.

        Returns:
            What the boxes are told from, (B, N, D), and their logits, (B, N, 4), infinite where a box is in
            the padding or at the border.
        """
        boxes = torch.cat(
            [
                self._level_boxes(level, size, mask)
                for level, (size, mask) in enumerate(
                    zip(spatial_shapes, self._level_masks(memory, memory_mask, spatial_shapes), strict=True)
                )
            ],
            dim=1,
        )
        dropped = ~((boxes > 0.01) & (boxes < 0.99)).all(-1, keepdim=True)
        if memory_mask is not None:
            dropped = dropped | memory_mask.unsqueeze(-1)
        logits = torch.log(boxes / (1 - boxes)).masked_fill(dropped, math.inf)
        return self.memory_trans_norm(self.memory_trans_fc(memory.masked_fill(dropped, 0.0))), logits

    @staticmethod
    def _level_masks(memory: Tensor, mask: Tensor | None, sizes: Sizes) -> list[Tensor]:
        """Where each map has padding, (B, H_l, W_l); (1, H_l, W_l) where there is none."""
        if mask is None:
            return [torch.zeros(1, *size, dtype=torch.bool, device=memory.device) for size in sizes]
        parts = mask.split([height * width for height, width in sizes], dim=1)
        return [part.unflatten(1, size) for part, size in zip(parts, sizes, strict=True)]

    @staticmethod
    def _level_boxes(level: int, size: tuple[int, int], mask: Tensor) -> Tensor:
        """Boxes of 0.05·2^level around the places of a map, over what isn't padding, (B, H·W, 4)."""
        height, width = size
        y, x = torch.meshgrid(
            torch.arange(height, dtype=torch.float32, device=mask.device),
            torch.arange(width, dtype=torch.float32, device=mask.device),
            indexing="ij",
        )
        valid = torch.stack(((~mask[:, 0, :]).sum(1), (~mask[:, :, 0]).sum(1)), dim=-1)  # (B, 2)
        centres = (torch.stack((x, y), dim=-1).flatten(0, 1) + 0.5) / valid[:, None]
        return torch.cat((centres, torch.full_like(centres, 0.05 * 2.0**level)), dim=-1)

    @staticmethod
    def get_proposal_pos_embed(
        proposals: Tensor, num_pos_feats: int = 128, temperature: float = 10000
    ) -> Tensor:
        """Logits of boxes (B, Q, 4) as sines and cosines, (B, Q, 4·num_pos_feats)."""
        return sine_encoding(proposals.sigmoid() * (2 * math.pi), num_pos_feats, temperature).flatten(2)


def taken(x: Tensor, places: Tensor) -> Tensor:
    """The rows at some places of each image: (B, N, n) and (B, Q) to (B, Q, n)."""
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.size(-1)))
