"""Semantic segmentation beside the regions, whose features help them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule

Cfg = dict[str, Any]


@MODELS.register_module()
class FusedSemanticHead(BaseModule):
    """Brings all levels to the size of one, adds them up, and classifies each pixel.

    From "Hybrid Task Cascade for Instance Segmentation" (Chen et al., 2019). State-dict keys:
    ``lateral_convs.i.conv.*``, ``convs.i.conv.*``, ``conv_embedding.conv.*``, ``conv_logits.*``.

    Args:
        num_ins: How many levels.
        fusion_level: The level whose size the others are brought to.
        seg_scale_factor: Size of the prediction, as a part of the image's.
        num_convs: How many 3x3 convolutions.
        in_channels: Channels of the levels.
        conv_out_channels: Channels of those convolutions.
        num_classes: How many classes.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of their norms.
        ignore_label: The older place of ``loss_seg.ignore_index``.
        loss_weight: The older place of ``loss_seg.loss_weight``.
        loss_seg: Config of the loss.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        num_ins: int,
        fusion_level: int,
        seg_scale_factor: float = 1 / 8,
        num_convs: int = 4,
        in_channels: int = 256,
        conv_out_channels: int = 256,
        num_classes: int = 183,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        ignore_label: int | None = None,
        loss_weight: float | None = None,
        loss_seg: Cfg = {"type": "CrossEntropyLoss", "ignore_index": 255, "loss_weight": 0.2},  # noqa: B006
        init_cfg: Any = {"type": "Kaiming", "override": {"name": "conv_logits"}},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        self.num_ins, self.fusion_level = num_ins, fusion_level
        self.seg_scale_factor = seg_scale_factor
        self.num_classes = num_classes
        common: Cfg = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.lateral_convs = nn.ModuleList(
            ConvModule(in_channels, in_channels, 1, inplace=False, **common) for _ in range(num_ins)
        )
        self.convs = nn.ModuleList(
            ConvModule(conv_out_channels if i else in_channels, conv_out_channels, 3, padding=1, **common)
            for i in range(num_convs)
        )
        self.conv_embedding = ConvModule(conv_out_channels, conv_out_channels, 1, **common)
        self.conv_logits = nn.Conv2d(conv_out_channels, num_classes, 1)
        older = {"ignore_index": ignore_label, "loss_weight": loss_weight}
        self.criterion = MODELS.build({**loss_seg, **{key: value for key, value in older.items() if value}})

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (B, num_classes, H, W) and features (B, conv_out_channels, H, W) of a pyramid."""
        size = feats[self.fusion_level].shape[-2:]
        x = self.lateral_convs[self.fusion_level](feats[self.fusion_level])
        for i, (conv, feat) in enumerate(zip(self.lateral_convs, feats, strict=False)):
            if i != self.fusion_level:
                x = x + conv(F.interpolate(feat, size=size, mode="bilinear", align_corners=True))
        for conv in self.convs:
            x = conv(x)
        return self.conv_logits(x), self.conv_embedding(x)

    def loss(self, mask_preds: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits (B, num_classes, H, W) against classes (B, 1, H / s, W / s)."""
        small = F.interpolate(labels.float(), scale_factor=self.seg_scale_factor, mode="nearest")
        return self.criterion(mask_preds, small.squeeze(1).long())
