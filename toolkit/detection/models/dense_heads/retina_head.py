"""The heads of RetinaNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_head import AnchorHead, Cfg
from toolkit.detection.models.dense_heads.towers import ANCHORS, normal_init_cfg, run, tower
from toolkit.detection.registry import MODELS
from toolkit.model import bias_init_with_prob, normal_init
from toolkit.utils import BuildError

_INIT = normal_init_cfg("retina_cls")


@MODELS.register_module()
class RetinaHead(AnchorHead):
    """One tower for classes and one for boxes (Lin et al., "Focal Loss for Dense Object Detection", 2017).

    State-dict keys: ``cls_convs.i.*``, ``reg_convs.i.*``, ``retina_cls.*``, ``retina_reg.*``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        stacked_convs: Convolutions a tower.
        conv_cfg: Config of the towers' convolutions.
        norm_cfg: Config of the towers' norms.
        anchor_generator: Config of the anchors.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `AnchorHead`.

    Raises:
        BuildError: `stacked_convs` is negative.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        stacked_convs: int = 4,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        anchor_generator: Cfg = ANCHORS,
        init_cfg: Any = _INIT,
        **kwargs: Any,
    ) -> None:
        if stacked_convs < 0:
            raise BuildError(
                f"stacked_convs of {type(self).__name__} must not be negative, got {stacked_convs}"
            )
        self.stacked_convs, self.conv_cfg, self.norm_cfg = stacked_convs, conv_cfg, norm_cfg
        super().__init__(
            num_classes, in_channels, anchor_generator=anchor_generator, init_cfg=init_cfg, **kwargs
        )

    def _init_layers(self) -> None:
        self.cls_convs: Any = self._tower()
        self.reg_convs: Any = self._tower()
        self._init_predictor()

    def _tower(self) -> nn.ModuleList:
        return tower(self.in_channels, self.feat_channels, self.stacked_convs, self.conv_cfg, self.norm_cfg)

    def _init_predictor(self) -> None:
        channels = self.feat_channels if self.stacked_convs else self.in_channels
        anchors = self.num_base_priors
        self.retina_cls = nn.Conv2d(channels, anchors * self.cls_out_channels, 3, padding=1)
        self.retina_reg = nn.Conv2d(channels, anchors * self.bbox_coder.encode_size, 3, padding=1)

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits (B, A·C, H, W) and regressions (B, A·4, H, W) of one level (B, in_channels, H, W)."""
        return self.retina_cls(run(self.cls_convs, x)), self.retina_reg(run(self.reg_convs, x))


@MODELS.register_module()
class RetinaSepBNHead(RetinaHead):
    """A `RetinaHead` whose norms are a level's own; convolutions stay common to all levels.

    State-dict keys: ``cls_convs.level.i.*``, ``reg_convs.level.i.*``, ``retina_cls.*``, ``retina_reg.*``.

    Args:
        num_classes: Without background.
        num_ins: How many levels there are.
        in_channels: Channels of the feature maps.
        stacked_convs: Convolutions a tower.
        conv_cfg: Config of the towers' convolutions.
        norm_cfg: Config of the towers' norms.
        init_cfg: Only None: the head initialises itself.
        **kwargs: Those of `AnchorHead`.

    Raises:
        BuildError: `init_cfg` is given.
    """

    def __init__(
        self,
        num_classes: int,
        num_ins: int,
        in_channels: int,
        stacked_convs: int = 4,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        if init_cfg is not None:
            raise BuildError("RetinaSepBNHead initialises itself: leave out its init_cfg")
        self.num_ins = num_ins
        super().__init__(num_classes, in_channels, stacked_convs, conv_cfg, norm_cfg, init_cfg=None, **kwargs)

    def _init_layers(self) -> None:
        self.cls_convs: Any = nn.ModuleList(self._tower() for _ in range(self.num_ins))
        self.reg_convs: Any = nn.ModuleList(self._tower() for _ in range(self.num_ins))
        for towers in (self.cls_convs, self.reg_convs):
            for layers in towers[1:]:
                for layer, first in zip(layers, towers[0], strict=True):  # type: ignore[call-overload]
                    layer.conv = first.conv
        self._init_predictor()

    def init_weights(self) -> None:
        """Small random weights; logits start at a probability of 0.01."""
        super().init_weights()
        for layers in (self.cls_convs[0], self.reg_convs[0]):
            for layer in layers:
                normal_init(layer.conv, std=0.01)
        normal_init(self.retina_cls, std=0.01, bias=bias_init_with_prob(0.01))
        normal_init(self.retina_reg, std=0.01)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """See `AnchorHead.forward`."""
        scores = [self.retina_cls(run(layers, one)) for layers, one in zip(self.cls_convs, x, strict=True)]
        boxes = [self.retina_reg(run(layers, one)) for layers, one in zip(self.reg_convs, x, strict=True)]
        return scores, boxes
