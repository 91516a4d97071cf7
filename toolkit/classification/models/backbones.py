"""ResNets with the defaults of classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from toolkit.classification.registry import MODELS
from toolkit.model.backbones import ResNet as TaskFreeResNet
from toolkit.model.cnn import build_conv_layer, build_norm_layer
from toolkit.utils.errors import BuildError


@MODELS.register_module()
class ResNet(TaskFreeResNet):
    """ResNet (He et al. 2015) that gives its last feature map, and trains all its norms.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: Channels of the images.
        stem_channels: Channels of the stem.
        base_channels: Channels of the blocks of the first stage.
        num_stages: How many stages.
        strides: Of each stage.
        dilations: Of each stage.
        out_indices: Stages whose maps are given.
        style: 'pytorch' or 'caffe'.
        deep_stem: Three 3x3 convolutions in place of the 7x7 one.
        avg_down: The shortcuts stride by average pooling.
        frozen_stages: The stem and this many stages don't train; -1: all train.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        norm_eval: Norms keep their running statistics while training.
        with_cp: Recompute blocks in the backward pass to save memory.
        zero_init_residual: The last norm of each block starts at 0.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (3,),
        style: str = "pytorch",
        deep_stem: bool = False,
        avg_down: bool = False,
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = {"type": "BN", "requires_grad": True},
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            depth,
            in_channels=in_channels,
            stem_channels=stem_channels,
            base_channels=base_channels,
            num_stages=num_stages,
            strides=strides,
            dilations=dilations,
            out_indices=out_indices,
            style=style,
            deep_stem=deep_stem,
            avg_down=avg_down,
            frozen_stages=frozen_stages,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            zero_init_residual=zero_init_residual,
            init_cfg=init_cfg,
        )


@MODELS.register_module()
class ResNet_CIFAR(ResNet):
    """ResNet for small images: the stem is a 3x3 convolution of stride 1, without pooling.

    A stage's map is (N, C, H/s, W/s), where s is the product of the strides up to it.

    Args:
        depth: 18, 34, 50, 101 or 152.
        deep_stem: Must be False.
        **kwargs: Of `ResNet`.
    """

    def __init__(self, depth: int, deep_stem: bool = False, **kwargs: Any) -> None:
        if deep_stem:
            raise BuildError("ResNet_CIFAR has a stem of its own; leave deep_stem at False")
        super().__init__(depth, deep_stem=deep_stem, **kwargs)

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        self.conv1 = build_conv_layer(
            self.conv_cfg, in_channels, stem_channels, 3, stride=1, padding=1, bias=False
        )
        self.norm1_name, norm = build_norm_layer(self.norm_cfg, stem_channels, postfix=1)
        self.add_module(self.norm1_name, norm)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity()  # type: ignore[assignment]
