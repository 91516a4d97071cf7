"""Swin Transformer: attention within windows that shift from block to block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model.backbones.common import (
    PartlyFrozen,
    backbone_init,
    drop_path_rates,
    freeze,
    maybe_recomputed,
)
from toolkit.model.backbones.swin_attention import ShiftWindowMSA
from toolkit.model.backbones.swin_weights import convert_swin_weights, resize_position_biases
from toolkit.model.base_module import BaseModule, InitCfg, ModuleList
from toolkit.model.cnn import build_norm_layer
from toolkit.model.pretrained import load_pretrained
from toolkit.model.transformer import FFN, PatchEmbed, PatchMerging
from toolkit.model.weight_init import constant_init, trunc_normal_init
from toolkit.registry import MODELS
from toolkit.utils import BuildError, ConfigError

Cfg = dict[str, Any]
_GELU = {"type": "GELU"}
_LN = {"type": "LN"}


class SwinBlock(BaseModule):
    """Attention within windows and a feed-forward network, each behind a norm and with a shortcut.

    Args:
        embed_dims: Channels.
        num_heads: Heads of the attention.
        feedforward_channels: Channels inside the feed-forward network.
        window_size: Side of a window.
        shift: Whether windows are shifted by half their side.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the products; None: ``head_dim ** -0.5``.
        drop_rate: Dropout of outputs.
        attn_drop_rate: Dropout of attention weights.
        drop_path_rate: Probability of a residual to be dropped.
        act_cfg: Config of the activation.
        norm_cfg: Config of the norms.
        with_cp: Recompute the block in the backward pass to save memory.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        window_size: int = 7,
        shift: bool = False,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_cfg: Cfg = _GELU,
        norm_cfg: Cfg = _LN,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp = with_cp
        path = {"type": "DropPath", "drop_prob": drop_path_rate}
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = ShiftWindowMSA(
            embed_dims,
            num_heads,
            window_size,
            shift_size=window_size // 2 if shift else 0,
            qkv_bias=qkv_bias,
            qk_scale=qk_scale,
            attn_drop_rate=attn_drop_rate,
            proj_drop_rate=drop_rate,
            dropout_layer=path,
        )
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(
            embed_dims, feedforward_channels, act_cfg=act_cfg, ffn_drop=drop_rate, dropout_layer=path
        )

    def forward(self, x: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """(N, H·W, embed_dims) in and out; `hw_shape` is (H, W)."""

        def whole(x: Tensor) -> Tensor:
            x = x + self.attn(self.norm1(x), hw_shape)
            return self.ffn(self.norm2(x), identity=x)

        return maybe_recomputed(whole, x, self.with_cp)


class SwinBlockSequence(BaseModule):
    """A stage: blocks, every second one shifted, and the merging of patches behind them.

    Args:
        embed_dims: Channels.
        num_heads: Heads of the attention.
        feedforward_channels: Channels inside the feed-forward networks.
        drop_path_rates: Of each block.
        downsample: Merges the patches; None in the last stage.
        **kwargs: Those of `SwinBlock`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        drop_path_rates: Sequence[float],
        downsample: PatchMerging | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.blocks = ModuleList(
            SwinBlock(
                embed_dims,
                num_heads,
                feedforward_channels,
                shift=bool(index % 2),
                drop_path_rate=rate,
                **kwargs,
            )
            for index, rate in enumerate(drop_path_rates)
        )
        self.downsample = downsample

    def forward(self, x: Tensor, hw_shape: tuple[int, int]) -> tuple[Tensor, tuple[int, int], Tensor]:
        """(N, H·W, embed_dims) and (H, W) to the next stage's input, its shape, and this one's output."""
        for block in self.blocks:
            x = block(x, hw_shape)
        if self.downsample is None:
            return x, hw_shape, x
        return *self.downsample(x, hw_shape), x


@MODELS.register_module()
class SwinTransformer(PartlyFrozen):
    """Hierarchical transformer (Liu et al., "Swin Transformer", 2021).

    Args:
        pretrain_img_size: Size of the images it was trained on first, for `use_abs_pos_embed`.
        in_channels: Channels of the images.
        embed_dims: Channels of the first stage; each stage doubles them.
        patch_size: Side of a patch.
        window_size: Side of a window.
        mlp_ratio: Channels inside the feed-forward networks, as a multiple.
        depths: Blocks of each stage.
        num_heads: Heads of each stage.
        strides: Of the patches, then of each merging; the first is `patch_size`.
        out_indices: The stages whose outputs are given, from 0.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the products; None: ``head_dim ** -0.5``.
        patch_norm: Whether patches are normalised.
        drop_rate: Dropout of outputs.
        attn_drop_rate: Dropout of attention weights.
        drop_path_rate: Probability of the last residual to be dropped; it rises from 0 evenly.
        use_abs_pos_embed: Add a learned position to the patches. It is resized to the image's size.
        act_cfg: Config of the activations.
        norm_cfg: Config of the norms.
        with_cp: Recompute the blocks in the backward pass to save memory.
        pretrained: A checkpoint; the older spelling of `init_cfg`.
        convert_weights: Whether that checkpoint is of the authors' code, whose keys differ.
        frozen_stages: The patches (0) and this many stages don't train; -1: all train.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, or None for random weights.

    Raises:
        BuildError: `strides` and `patch_size` differ, or an argument is given twice.
    """

    def __init__(
        self,
        pretrain_img_size: int | Sequence[int] = 224,
        in_channels: int = 3,
        embed_dims: int = 96,
        patch_size: int = 4,
        window_size: int = 7,
        mlp_ratio: float = 4,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        strides: Sequence[int] = (4, 2, 2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        patch_norm: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_abs_pos_embed: bool = False,
        act_cfg: Cfg = _GELU,
        norm_cfg: Cfg = _LN,
        with_cp: bool = False,
        pretrained: str | None = None,
        convert_weights: bool = False,
        frozen_stages: int = -1,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(backbone_init(pretrained, init_cfg))
        if strides[0] != patch_size:
            raise BuildError(
                f"patches of SwinTransformer must not overlap: strides[0] is {strides[0]}, "
                f"patch_size {patch_size}"
            )
        self.out_indices, self.frozen_stages = out_indices, frozen_stages
        self.convert_weights, self.use_abs_pos_embed = convert_weights, use_abs_pos_embed
        patch_norm_cfg = norm_cfg if patch_norm else None
        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=patch_size, stride=patch_size, norm_cfg=patch_norm_cfg
        )
        if use_abs_pos_embed:
            size = [pretrain_img_size] if isinstance(pretrain_img_size, int) else list(pretrain_img_size)
            self.pos_size = (size[0] // patch_size, size[-1] // patch_size)
            places = self.pos_size[0] * self.pos_size[1]
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, places, embed_dims))
        self.drop_after_pos = nn.Dropout(drop_rate)
        self.num_features = [embed_dims * 2**i for i in range(len(depths))]
        rates = drop_path_rates(drop_path_rate, sum(depths))
        self.stages = ModuleList()
        for i, channels in enumerate(self.num_features):
            last = i == len(depths) - 1
            merging = (
                None
                if last
                else PatchMerging(channels, 2 * channels, stride=strides[i + 1], norm_cfg=patch_norm_cfg)
            )
            self.stages.append(
                SwinBlockSequence(
                    channels,
                    num_heads[i],
                    int(mlp_ratio * channels),
                    rates[sum(depths[:i]) : sum(depths[: i + 1])],
                    merging,
                    window_size=window_size,
                    qkv_bias=qkv_bias,
                    qk_scale=qk_scale,
                    drop_rate=drop_rate,
                    attn_drop_rate=attn_drop_rate,
                    act_cfg=act_cfg,
                    norm_cfg=norm_cfg,
                    with_cp=with_cp,
                )
            )
        for i in out_indices:
            self.add_module(f"norm{i}", build_norm_layer(norm_cfg, self.num_features[i])[1])
        self._freeze_stages()

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        freeze([self.patch_embed, self.drop_after_pos, *self.stages[: self.frozen_stages]])
        freeze(getattr(self, f"norm{i}") for i in self.out_indices if i < self.frozen_stages)
        if self.use_abs_pos_embed:
            self.absolute_pos_embed.requires_grad = False

    def init_weights(self) -> None:
        """Load the checkpoint of `init_cfg`, or draw the weights.

        Position biases of a checkpoint for another window size are resized.

        Raises:
            ConfigError: `init_cfg` is something else than a 'Pretrained' one.
            CheckpointError: The checkpoint can't be had or read, or nothing in it fits.
        """
        if self.init_cfg is not None:
            self._load_pretrained(self.init_cfg)
            self._is_init = True
            return
        if self.use_abs_pos_embed:
            nn.init.trunc_normal_(self.absolute_pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02, bias=0.0)
            elif isinstance(module, nn.LayerNorm):
                constant_init(module, 1.0)
            elif isinstance(module, ShiftWindowMSA):
                nn.init.trunc_normal_(module.w_msa.relative_position_bias_table, std=0.02)
        self._is_init = True

    def _load_pretrained(self, cfg: Any) -> None:
        if not isinstance(cfg, dict) or "checkpoint" not in cfg:
            raise ConfigError(
                f"init_cfg of SwinTransformer is dict(type='Pretrained', checkpoint=...) or None, got {cfg!r}"
            )

        def fitted(weights: dict[str, Tensor]) -> dict[str, Tensor]:
            weights = convert_swin_weights(weights) if self.convert_weights else weights
            weights = {key.removeprefix("backbone."): value for key, value in weights.items()}
            return resize_position_biases(weights, self.state_dict())

        load_pretrained(self, cfg["checkpoint"], cfg.get("prefix"), revise=fitted)

    def _positions(self, hw_shape: tuple[int, int]) -> Tensor:
        """The learned positions for a map of (H, W): (1, H·W, embed_dims)."""
        if hw_shape == self.pos_size:
            return self.absolute_pos_embed
        grid = self.absolute_pos_embed.unflatten(1, self.pos_size).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=hw_shape, mode="bicubic", align_corners=False)
        return grid.flatten(2).transpose(1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the stages in `out_indices`.

        Args:
            x: Images, (N, in_channels, H, W), of any size.

        Returns:
            A map a stage: stage i is (N, embed_dims·2^i, H/s, W/s), where s is `patch_size` times 2^i.
        """
        x, hw_shape = self.patch_embed(x)
        if self.use_abs_pos_embed:
            x = x + self._positions(hw_shape)
        x = self.drop_after_pos(x)
        outs = []
        for i, stage in enumerate(self.stages):
            shape = hw_shape
            x, hw_shape, out = stage(x, hw_shape)
            if i in self.out_indices:
                out = getattr(self, f"norm{i}")(out)
                outs.append(out.unflatten(1, shape).permute(0, 3, 1, 2).contiguous())
        return tuple(outs)
