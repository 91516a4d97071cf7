"""The mask head of Hybrid Task Cascade."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from toolkit.detection.models.roi_heads.mask_heads.fcn_mask_head import FCNMaskHead
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import ConvModule


@MODELS.register_module()
class HTCMaskHead(FCNMaskHead):
    """A mask head that takes the features of the stage before it and gives its own to the next.

    From "Hybrid Task Cascade for Instance Segmentation" (Chen et al., 2019). State-dict keys:
    ``conv_res.conv.*`` beside those of `FCNMaskHead`.

    Args:
        with_conv_res: Whether it takes the features of the stage before.
        *args: Those of `FCNMaskHead`.
        **kwargs: Those of `FCNMaskHead`.
    """

    def __init__(self, with_conv_res: bool = True, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.with_conv_res = with_conv_res
        if with_conv_res:
            self.conv_res = ConvModule(
                self.conv_out_channels,
                self.conv_out_channels,
                1,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
            )

    def forward(
        self,
        x: Tensor,
        res_feat: Tensor | None = None,
        return_logits: bool = True,
        return_feat: bool = True,
    ) -> Any:
        """Logits and features, or one of the two.

        Args:
            x: Features (P, in_channels, h, w).
            res_feat: Those that the stage before gave, (P, conv_out_channels, h, w).
            return_logits: Give logits (P, C, s·h, s·w).
            return_feat: Give features (P, conv_out_channels, h, w).
        """
        if res_feat is not None:
            x = x + self.conv_res(res_feat)
        for conv in self.convs:
            x = conv(x)
        feat = x
        if not return_logits:
            return feat
        if self.upsample is not None:
            x = self.upsample(x)
            if self.upsample_method == "deconv":
                x = self.relu(x)
        logits = self.conv_logits(x)
        return (logits, feat) if return_feat else logits
