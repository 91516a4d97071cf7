"""Region proposal network."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.dense_heads.anchor_head import AnchorHead
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError


@MODELS.register_module()
class RPNHead(AnchorHead):
    """Proposes regions, whatever their class (Ren et al., "Faster R-CNN", 2015).

    State-dict keys: ``rpn_conv.*``, ``rpn_cls.*``, ``rpn_reg.*``. Its proposals suppress each other within a
    level.

    Args:
        in_channels: Channels of the feature maps.
        num_classes: Must be 1.
        init_cfg: See `BaseModule`.
        num_convs: How many convolutions come before the two predictions.
        **kwargs: Those of `AnchorHead`.

    Raises:
        BuildError: `num_classes` is not 1.
    """

    nms_group = "level_ids"

    def __init__(
        self,
        in_channels: int,
        num_classes: int = 1,
        init_cfg: Any = {"type": "Normal", "layer": "Conv2d", "std": 0.01},  # noqa: B006 - read only
        num_convs: int = 1,
        **kwargs: Any,
    ) -> None:
        if num_classes != 1:
            raise BuildError(
                f"RPNHead tells objects from background: num_classes must be 1, got {num_classes}"
            )
        self.num_convs = num_convs
        super().__init__(num_classes, in_channels, init_cfg=init_cfg, **kwargs)

    def _init_layers(self) -> None:
        if self.num_convs > 1:
            self.rpn_conv: nn.Module = nn.Sequential(
                *(
                    ConvModule(
                        self.feat_channels if i else self.in_channels,
                        self.feat_channels,
                        3,
                        padding=1,
                        inplace=False,
                    )
                    for i in range(self.num_convs)
                )
            )
        else:
            self.rpn_conv = nn.Conv2d(self.in_channels, self.feat_channels, 3, padding=1)
        anchors = self.num_base_priors
        self.rpn_cls = nn.Conv2d(self.feat_channels, anchors * self.cls_out_channels, 1)
        self.rpn_reg = nn.Conv2d(self.feat_channels, anchors * self.bbox_coder.encode_size, 1)

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, A, H, W) and regressions (B, A·4, H, W) of one level (B, in_channels, H, W)."""
        x = F.relu(self.rpn_conv(x))
        return self.rpn_cls(x), self.rpn_reg(x)

    def loss_by_feat(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """``loss_rpn_cls`` and ``loss_rpn_bbox``; arguments as `AnchorHead.loss_by_feat`."""
        losses = super().loss_by_feat(*args, **kwargs)
        return {name.replace("loss_", "loss_rpn_", 1): value for name, value in losses.items()}
