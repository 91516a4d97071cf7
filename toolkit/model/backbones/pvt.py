"""Pyramid Vision Transformer, both versions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model.backbones.common import backbone_init, drop_path_rates
from toolkit.model.backbones.pvt_weights import convert_pvt_weights
from toolkit.model.base_module import BaseModule, InitCfg, ModuleList, Sequential
from toolkit.model.cnn import build_activation_layer, build_norm_layer
from toolkit.model.pretrained import load_pretrained
from toolkit.model.transformer import (
    MultiheadAttention,
    PatchEmbed,
    build_dropout,
    nchw_to_nlc,
    nlc_to_nchw,
)
from toolkit.model.weight_init import constant_init, normal_init, trunc_normal_init
from toolkit.registry import MODELS
from toolkit.utils import BuildError, ConfigError

Cfg = Mapping[str, Any]
_GELU = {"type": "GELU"}
_LN = {"type": "LN", "eps": 1e-6}


class MixFFN(BaseModule):
    """Feed-forward network of 1x1 convolutions, in the second version with a depthwise one between them.

    State-dict keys: ``layers.0``, ``layers.1`` of the depthwise one, and ``layers.3`` or ``layers.4``.

    Args:
        embed_dims: Channels.
        feedforward_channels: Channels inside.
        act_cfg: Config of the activation.
        ffn_drop: Dropout behind the activation and the last convolution.
        dropout_layer: Config of the dropout of the residual.
        use_conv: Whether there is the depthwise convolution.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_channels: int,
        act_cfg: Cfg = _GELU,
        ffn_drop: float = 0.0,
        dropout_layer: Cfg | None = None,
        use_conv: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        depthwise = nn.Conv2d(
            feedforward_channels, feedforward_channels, 3, padding=1, groups=feedforward_channels
        )
        self.layers = Sequential(
            nn.Conv2d(embed_dims, feedforward_channels, 1),
            *([depthwise] if use_conv else []),
            build_activation_layer(act_cfg),
            nn.Dropout(ffn_drop),
            nn.Conv2d(feedforward_channels, embed_dims, 1),
            nn.Dropout(ffn_drop),
        )
        self.dropout_layer = build_dropout(dropout_layer)

    def forward(self, x: Tensor, hw_shape: Sequence[int], identity: Tensor | None = None) -> Tensor:
        """(N, H·W, embed_dims) in and out; `identity` is added, `x` by default."""
        out = nchw_to_nlc(self.layers(nlc_to_nchw(x, hw_shape)))
        return (x if identity is None else identity) + self.dropout_layer(out)


class SpatialReductionAttention(MultiheadAttention):
    """Attention whose keys and values are on a coarser grid.

    State-dict keys: those of `MultiheadAttention`, ``sr.*`` and ``norm.*``.

    Args:
        embed_dims: Channels.
        num_heads: Heads.
        attn_drop: Dropout of attention weights.
        proj_drop: Dropout of the output.
        dropout_layer: Config of the dropout of the residual.
        qkv_bias: Whether queries, keys and values have a bias.
        norm_cfg: Config of the norm of the coarser grid.
        sr_ratio: How much coarser it is.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Cfg | None = None,
        qkv_bias: bool = True,
        norm_cfg: Cfg = _LN,
        sr_ratio: int = 1,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(
            embed_dims,
            num_heads,
            attn_drop,
            proj_drop,
            dropout_layer=dropout_layer,
            batch_first=True,
            bias=qkv_bias,
            init_cfg=init_cfg,
        )
        self.sr_ratio = sr_ratio
        if sr_ratio > 1:
            self.sr = nn.Conv2d(embed_dims, embed_dims, sr_ratio, stride=sr_ratio)
            self.norm = build_norm_layer(norm_cfg, embed_dims)[1]

    def forward(  # type: ignore[override]
        self, x: Tensor, hw_shape: Sequence[int], identity: Tensor | None = None
    ) -> Tensor:
        """(N, H·W, embed_dims) in and out; `identity` is added, `x` by default."""
        keys = x
        if self.sr_ratio > 1:
            keys = self.norm(nchw_to_nlc(self.sr(nlc_to_nchw(x, hw_shape))))
        return super().forward(x, keys, identity=identity)


class PVTEncoderLayer(BaseModule):
    """Attention and a feed-forward network, each behind a norm and with a shortcut.

    Args:
        embed_dims: Channels.
        num_heads: Heads.
        feedforward_channels: Channels inside the feed-forward network.
        drop_rate: Dropout of outputs.
        attn_drop_rate: Dropout of attention weights.
        drop_path_rate: Probability of a residual to be dropped.
        qkv_bias: Whether queries, keys and values have a bias.
        act_cfg: Config of the activation.
        norm_cfg: Config of the norms.
        sr_ratio: See `SpatialReductionAttention`.
        use_conv_ffn: See `MixFFN`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        qkv_bias: bool = True,
        act_cfg: Cfg = _GELU,
        norm_cfg: Cfg = _LN,
        sr_ratio: int = 1,
        use_conv_ffn: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        path = {"type": "DropPath", "drop_prob": drop_path_rate}
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = SpatialReductionAttention(
            embed_dims, num_heads, attn_drop_rate, drop_rate, path, qkv_bias, norm_cfg, sr_ratio
        )
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = MixFFN(embed_dims, feedforward_channels, act_cfg, drop_rate, path, use_conv_ffn)

    def forward(self, x: Tensor, hw_shape: Sequence[int]) -> Tensor:
        """(N, H·W, embed_dims) in and out."""
        x = self.attn(self.norm1(x), hw_shape, identity=x)
        return self.ffn(self.norm2(x), hw_shape, identity=x)


class AbsolutePositionEmbedding(BaseModule):
    """A learned position for each patch, resized to the map.

    Args:
        pos_shape: Rows and columns it is learned for.
        pos_dim: Channels.
        drop_rate: Dropout of the sum.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self, pos_shape: tuple[int, int], pos_dim: int, drop_rate: float = 0.0, init_cfg: InitCfg = None
    ) -> None:
        super().__init__(init_cfg)
        self.pos_shape = pos_shape
        self.pos_embed = nn.Parameter(torch.zeros(1, pos_shape[0] * pos_shape[1], pos_dim))
        self.drop = nn.Dropout(drop_rate)

    def init_weights(self) -> None:
        """Small random positions."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor, hw_shape: Sequence[int]) -> Tensor:
        """(N, H·W, pos_dim) in and out."""
        count = self.pos_shape[0] * self.pos_shape[1]
        grid = nlc_to_nchw(self.pos_embed[:, -count:], self.pos_shape)
        return self.drop(x + nchw_to_nlc(F.interpolate(grid, size=tuple(hw_shape), mode="bilinear")))


@MODELS.register_module()
class PyramidVisionTransformer(BaseModule):
    """Transformer of stages, each coarser than the one before (Wang et al., "Pyramid Vision Transformer",
    2021).

    Args:
        pretrain_img_size: Size of the images it was trained on first, for the positions.
        in_channels: Channels of the images.
        embed_dims: Channels of a head; stage i has ``embed_dims * num_heads[i]``.
        num_stages: How many stages.
        num_layers: Layers of each stage.
        num_heads: Heads of each stage.
        patch_sizes: Side of the patches of each stage.
        strides: Distance of the patches of each stage.
        paddings: Zeros around the map of each stage.
        sr_ratios: How much coarser keys and values are in each stage.
        out_indices: The stages whose outputs are given, from 0.
        mlp_ratios: Channels inside the feed-forward networks of each stage, as a multiple.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_rate: Dropout of outputs.
        attn_drop_rate: Dropout of attention weights.
        drop_path_rate: Probability of the last residual to be dropped; it rises from 0 evenly.
        use_abs_pos_embed: Whether positions are learned.
        norm_after_stage: Whether a norm stands behind each stage.
        use_conv_ffn: See `MixFFN`.
        act_cfg: Config of the activations.
        norm_cfg: Config of the norms.
        pretrained: A checkpoint; the older spelling of `init_cfg`.
        convert_weights: Whether that checkpoint is of the authors' code, whose keys differ.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, or None for random weights.

    Raises:
        BuildError: The lists are not one value a stage.
    """

    def __init__(
        self,
        pretrain_img_size: int | Sequence[int] = 224,
        in_channels: int = 3,
        embed_dims: int = 64,
        num_stages: int = 4,
        num_layers: Sequence[int] = (3, 4, 6, 3),
        num_heads: Sequence[int] = (1, 2, 5, 8),
        patch_sizes: Sequence[int] = (4, 2, 2, 2),
        strides: Sequence[int] = (4, 2, 2, 2),
        paddings: Sequence[int] = (0, 0, 0, 0),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        mlp_ratios: Sequence[int] = (8, 8, 4, 4),
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_abs_pos_embed: bool = True,
        norm_after_stage: bool = False,
        use_conv_ffn: bool = False,
        act_cfg: Cfg = _GELU,
        norm_cfg: Cfg = _LN,
        pretrained: str | None = None,
        convert_weights: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(backbone_init(pretrained, init_cfg))
        lists = (num_layers, num_heads, patch_sizes, strides, sr_ratios)
        if any(len(one) != num_stages for one in lists) or max(out_indices) >= num_stages:
            raise BuildError(
                f"{type(self).__name__} of {num_stages} stages needs as many num_layers, num_heads, "
                f"patch_sizes, strides and sr_ratios, and out_indices below it; got "
                f"{', '.join(str(tuple(one)) for one in lists)} and {tuple(out_indices)}"
            )
        self.out_indices, self.convert_weights = out_indices, convert_weights
        size = [pretrain_img_size] if isinstance(pretrain_img_size, int) else list(pretrain_img_size)
        rates = iter(drop_path_rates(drop_path_rate, sum(num_layers)))
        self.layers = ModuleList()
        for i in range(num_stages):
            channels = embed_dims * num_heads[i]
            patches = PatchEmbed(
                in_channels,
                channels,
                kernel_size=patch_sizes[i],
                stride=strides[i],
                padding=paddings[i],
                norm_cfg=norm_cfg,
            )
            stage = ModuleList()
            if use_abs_pos_embed:
                scale = math.prod(patch_sizes[: i + 1])
                stage.append(
                    AbsolutePositionEmbedding((size[0] // scale, size[-1] // scale), channels, drop_rate)
                )
            for _ in range(num_layers[i]):
                layer = PVTEncoderLayer(
                    channels,
                    num_heads[i],
                    mlp_ratios[i] * channels,
                    drop_rate=drop_rate,
                    attn_drop_rate=attn_drop_rate,
                    drop_path_rate=next(rates),
                    qkv_bias=qkv_bias,
                    act_cfg=act_cfg,
                    norm_cfg=norm_cfg,
                    sr_ratio=sr_ratios[i],
                    use_conv_ffn=use_conv_ffn,
                )
                stage.append(layer)
            norm = build_norm_layer(norm_cfg, channels)[1] if norm_after_stage else nn.Identity()
            self.layers.append(ModuleList([patches, stage, norm]))
            in_channels = channels

    def init_weights(self) -> None:
        """Load the checkpoint of `init_cfg`, or draw the weights.

        Raises:
            ConfigError: `init_cfg` is something else than a 'Pretrained' one.
            CheckpointError: The checkpoint can't be had or read, or nothing in it fits.
        """
        self._is_init = True
        if self.init_cfg is not None:
            cfg: Any = self.init_cfg
            if not isinstance(cfg, dict) or "checkpoint" not in cfg:
                raise ConfigError(
                    f"init_cfg of {type(self).__name__} is dict(type='Pretrained', checkpoint=...) or None, "
                    f"got {cfg!r}"
                )
            revise = convert_pvt_weights if self.convert_weights else None
            load_pretrained(self, cfg["checkpoint"], cfg.get("prefix"), revise=revise)
            return
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02, bias=0.0)
            elif isinstance(module, nn.LayerNorm):
                constant_init(module, 1.0)
            elif isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                normal_init(module, 0, math.sqrt(2.0 / fan_out))
            elif isinstance(module, AbsolutePositionEmbedding):
                module.init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the stages in `out_indices`.

        Args:
            x: Images, (N, in_channels, H, W), of any size.

        Returns:
            A map a stage: stage i is (N, embed_dims·num_heads[i], H/s, W/s), where s is the product of the
            strides up to it.
        """
        outs = []
        stage: Any
        for i, stage in enumerate(self.layers):
            patches, layers, norm = stage
            x, hw_shape = patches(x)
            for layer in layers:
                x = layer(x, hw_shape)
            x = nlc_to_nchw(norm(x), hw_shape)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


@MODELS.register_module()
class PyramidVisionTransformerV2(PyramidVisionTransformer):
    """The second version: overlapping patches, and convolutions that make positions needless (Wang et al.,
    "PVT v2", 2021).

    Args:
        **kwargs: Those of `PyramidVisionTransformer` that are not part of the version.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            patch_sizes=(7, 3, 3, 3),
            paddings=(3, 1, 1, 1),
            use_abs_pos_embed=False,
            norm_after_stage=True,
            use_conv_ffn=True,
            **kwargs,
        )
