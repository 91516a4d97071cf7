"""The template of detection transformers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.detectors.base import BaseDetector, Cfg
from toolkit.detection.models.layers import SinePositionalEncoding
from toolkit.detection.models.utils import with_settings
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.utils import BuildError

Samples = Sequence[DetDataSample] | None
Inputs = dict[str, Any]


class DetectionTransformer(BaseDetector):
    """Backbone, neck, a transformer and a head.

    What a subclass adds is in four steps: `pre_transformer`, `forward_encoder`, `pre_decoder` and
    `forward_decoder`, each of which gives the arguments of the next ones by name.

    State-dict keys: ``backbone.*``, ``neck.*``, ``bbox_head.*``, ``encoder.*``, ``decoder.*``, and what
    queries are made of. Checkpoints of MMDetection 1.x and 2.x, where the transformer is a part of the head,
    load too.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        encoder: Arguments of the encoder.
        decoder: Arguments of the decoder.
        bbox_head: Config of the head.
        positional_encoding: Arguments of `SinePositionalEncoding`.
        num_queries: How many queries, the most objects that are found.
        train_cfg: Of the head.
        test_cfg: Of the head.
        data_preprocessor: See `BaseModel`.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The encoding hasn't as many channels as the transformer.
    """

    encoder_type: ClassVar[Any]
    decoder_type: ClassVar[Any]

    def __init__(
        self,
        backbone: Cfg,
        neck: Cfg | None = None,
        encoder: Cfg | None = None,
        decoder: Cfg | None = None,
        bbox_head: Cfg | None = None,
        positional_encoding: Cfg | None = None,
        num_queries: int = 100,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.train_cfg, self.test_cfg, self.num_queries = train_cfg, test_cfg, num_queries
        self.backbone = MODELS.build(backbone)
        if neck is not None:
            self.neck = MODELS.build(neck)
        self.bbox_head = MODELS.build(with_settings(bbox_head or {}, train_cfg=train_cfg, test_cfg=test_cfg))
        self.positional_encoding = SinePositionalEncoding(**(positional_encoding or {}))
        self.encoder = self.encoder_type(**(encoder or {}))
        self.decoder = self.decoder_type(**(decoder or {}))
        self.embed_dims = self.encoder.embed_dims
        if self.positional_encoding.num_feats * 2 != self.embed_dims:
            raise BuildError(
                f"num_feats of positional_encoding is {self.positional_encoding.num_feats}; it must be half "
                f"of the encoder's embed_dims, {self.embed_dims // 2}"
            )
        self._init_queries()

    @abstractmethod
    def _init_queries(self) -> None:
        """Make what queries are made of."""

    def init_weights(self) -> None:
        """As its base, then all matrices of the transformer uniformly after Glorot."""
        super().init_weights()
        for coder in (self.encoder, self.decoder):
            for param in coder.parameters():
                if param.dim() > 1:
                    nn.init.xavier_uniform_(param)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        upgrade_keys(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample]) -> dict[str, Any]:
        """See `BaseDetector`."""
        outs = self.forward_transformer(self.extract_feat(batch_inputs), batch_data_samples)
        return self.bbox_head.loss(**outs, batch_data_samples=batch_data_samples)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample], rescale: bool = True
    ) -> Sequence[DetDataSample]:
        """See `BaseDetector`."""
        outs = self.forward_transformer(self.extract_feat(batch_inputs), batch_data_samples)
        results = self.bbox_head.predict(**outs, batch_data_samples=batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: Samples = None) -> Any:
        outs = self.forward_transformer(self.extract_feat(batch_inputs), batch_data_samples)
        return self.bbox_head(outs["hidden_states"], outs.get("references"))

    def forward_transformer(self, img_feats: Sequence[Tensor], batch_data_samples: Samples = None) -> Inputs:
        """From feature maps to the arguments of the head.

        Args:
            img_feats: (B, D, H_l, W_l) each.
            batch_data_samples: Their metainfo says what is padding; None: nothing is.
        """
        encoder_inputs, decoder_inputs = self.pre_transformer(img_feats, batch_data_samples)
        encoded = self.forward_encoder(**encoder_inputs)
        queries, head_inputs = self.pre_decoder(**encoded, batch_data_samples=batch_data_samples)
        return {**head_inputs, **self.forward_decoder(**decoder_inputs, **queries)}

    @abstractmethod
    def pre_transformer(
        self, img_feats: Sequence[Tensor], batch_data_samples: Samples = None
    ) -> tuple[Inputs, Inputs]:
        """Arguments of `forward_encoder`, and of `forward_decoder` beside those that `pre_decoder` gives."""

    @abstractmethod
    def forward_encoder(self, **inputs: Any) -> Inputs:
        """Arguments of `pre_decoder`."""

    @abstractmethod
    def pre_decoder(self, memory: Tensor, **inputs: Any) -> tuple[Inputs, Inputs]:
        """Queries, as arguments of `forward_decoder`, and further arguments of the head.

        Args:
            memory: The encoder's output, (B, N, D).
            **inputs: What else `forward_encoder` gave, and ``batch_data_samples``.
        """

    @abstractmethod
    def forward_decoder(self, **inputs: Any) -> Inputs:
        """Arguments of the head: ``hidden_states`` (L, B, Q, D) and ``references``."""


def padding_masks(
    samples: Samples, sizes: Sequence[tuple[int, int]], device: torch.device
) -> list[Tensor] | None:
    """Which places of feature maps lie in the padding of their images.

    Args:
        samples: ``img_shape`` and ``batch_input_shape`` of each image are looked at.
        sizes: Height and width of each map.
        device: Where to put the masks.

    Returns:
        (B, H_l, W_l) bool each; None where nothing is padding.
    """
    if samples is None:
        return None
    batch_shape = tuple(samples[0].batch_input_shape)
    shapes = [tuple(sample.img_shape[:2]) for sample in samples]
    if all(shape == batch_shape for shape in shapes):
        return None
    # What is padding is a matter of rows and of columns, so those are scaled down, not images.
    ends = torch.tensor(shapes, device=device)
    rows, cols = (
        (torch.arange(side, device=device) >= ends[:, axis, None]).float()[:, None]
        for axis, side in enumerate(batch_shape)
    )
    masks = []
    for height, width in sizes:
        down = F.interpolate(rows, size=height).bool()  # (B, 1, H)
        right = F.interpolate(cols, size=width).bool()
        masks.append(down.transpose(1, 2) | right)
    return masks


def as_sequence(x: Tensor) -> Tensor:
    """The places of a map one after the other, (B, D, H, W) to (B, H·W, D)."""
    return x.flatten(2).transpose(1, 2)


# Where the parts of a head of MMDetection 1.x and 2.x are now.
_MOVED = {
    "bbox_head.input_proj.": "neck.convs.0.conv.",
    "bbox_head.query_embedding.": "query_embedding.",
    "bbox_head.transformer.level_embeds": "level_embed",
    "bbox_head.transformer.reference_points.": "reference_points_fc.",
    "bbox_head.transformer.enc_output.": "memory_trans_fc.",
    "bbox_head.transformer.enc_output_norm.": "memory_trans_norm.",
    "bbox_head.transformer.pos_trans.": "pos_trans_fc.",
    "bbox_head.transformer.pos_trans_norm.": "pos_trans_norm.",
    "bbox_head.transformer.": "",
}
_RENAMED = {
    ".attentions.0.": ".self_attn.",
    ".attentions.1.": ".cross_attn.",
    ".multihead_attn.": ".cross_attn.",
    ".ffns.0.": ".ffn.",
    "decoder.norm.": "decoder.post_norm.",
}


def upgrade_keys(state_dict: dict[str, Any], prefix: str = "") -> None:
    """Rename the keys of a detection transformer of MMDetection 1.x or 2.x, in place; newer ones stay.

    There the transformer is ``bbox_head.transformer``, and its layers have lists of attentions.
    """
    if not any(key.startswith(f"{prefix}bbox_head.transformer.") for key in state_dict):
        return
    for key in [key for key in state_dict if key.startswith(f"{prefix}bbox_head.")]:
        new = key[len(prefix) :]
        inner = new.startswith("bbox_head.transformer.")
        start = next((old for old in _MOVED if new.startswith(old)), None)
        if start is not None:
            new = _MOVED[start] + new[len(start) :]
        if inner:
            for old, name in _RENAMED.items():
                new = new.replace(old, name)
        state_dict[prefix + new] = state_dict.pop(key)
