"""Normalisation layers by their names in configs, and the attribute names they get in a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from toolkit.registry import MODELS
from toolkit.utils import BuildError, did_you_mean


@MODELS.register_module()
class SyncBN(nn.SyncBatchNorm):
    """`torch.nn.SyncBatchNorm` that is a plain batch norm where there is nothing to synchronise.

    So a config written for many GPUs runs in one process and on a CPU too.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) in, the same shape out."""
        together = (
            self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        )
        if together and input.is_cuda:
            return super().forward(input)
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # cumulative average
            count = self.num_batches_tracked
            momentum = 1.0 / float(count) if self.training and count is not None else 0.0
        own = self.training or self.running_mean is None
        return F.batch_norm(
            input,
            self.running_mean if not self.training or self.track_running_stats else None,
            self.running_var if not self.training or self.track_running_stats else None,
            self.weight,
            self.bias,
            own,
            momentum,
            self.eps,
        )


@MODELS.register_module()
class MMSyncBN(SyncBN):
    """`SyncBN` by MMCV's name and arguments.

    Args:
        num_features: Channels of the input.
        eps: See `torch.nn.BatchNorm2d`, and so for the next three.
        momentum: See there.
        affine: See there.
        track_running_stats: See there.
        group: The process group that shares statistics; all processes by default.
        stats_mode: 'default' or 'N'. Here each place of each sample counts the same either way, as MMCV's 'N'
            has it; MMCV's 'default' differs where processes have batches of different sizes.

    Raises:
        BuildError: Another `stats_mode`.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        group: Any = None,
        stats_mode: str = "default",
    ) -> None:
        if stats_mode not in ("default", "N"):
            raise BuildError(f"stats_mode of MMSyncBN must be 'default' or 'N', got {stats_mode!r}")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, group)
        self.stats_mode = stats_mode


@MODELS.register_module("LN2d")
class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map, at each place.

    Args:
        num_channels: Channels of the input.
        **kwargs: Those of `torch.nn.LayerNorm`.
    """

    def __init__(self, num_channels: int, **kwargs: Any) -> None:
        super().__init__(num_channels, **kwargs)
        self.num_channels = num_channels

    def forward(self, x: Tensor, data_format: str = "channel_first") -> Tensor:
        """(N, C, H, W) in and out; (N, H, W, C) where `data_format` is 'channel_last'."""
        if data_format == "channel_last":
            return super().forward(x)
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


for _name, _layer in {
    "BN": nn.BatchNorm2d,
    "BN1d": nn.BatchNorm1d,
    "BN2d": nn.BatchNorm2d,
    "BN3d": nn.BatchNorm3d,
    "GN": nn.GroupNorm,
    "LN": nn.LayerNorm,
    "IN": nn.InstanceNorm2d,
    "IN1d": nn.InstanceNorm1d,
    "IN2d": nn.InstanceNorm2d,
    "IN3d": nn.InstanceNorm3d,
}.items():
    MODELS.register_module(_name, module=_layer)


def infer_abbr(class_type: type) -> str:
    """The attribute name of a normalisation layer in a model: 'bn', 'gn', 'ln', 'in', or the layer's own
    ``_abbr_``.

    Raises:
        TypeError: `class_type` is not a class.
    """
    if not inspect.isclass(class_type):
        raise TypeError(f"infer_abbr takes a class, got {type(class_type).__name__}")
    if hasattr(class_type, "_abbr_"):
        return str(class_type._abbr_)
    # InstanceNorm is a subclass of _BatchNorm in some versions of torch, so it is asked for first.
    for base, abbr in ((_InstanceNorm, "in"), (_BatchNorm, "bn"), (nn.GroupNorm, "gn"), (nn.LayerNorm, "ln")):
        if issubclass(class_type, base):
            return abbr
    name = class_type.__name__.lower()
    return next((abbr for word, abbr in _BY_WORD.items() if word in name), "norm_layer")


_BY_WORD = {"batch": "bn", "group": "gn", "layer": "ln", "instance": "in"}


def build_norm_layer(
    cfg: Mapping[str, Any], num_features: int, postfix: int | str = ""
) -> tuple[str, nn.Module]:
    """Build a normalisation layer from its config.

    Args:
        cfg: ``type``, the constructor's arguments, and ``requires_grad`` (default True) for its parameters.
        num_features: Channels of its input.
        postfix: Appended to the name.

    Returns:
        The name under which a model keeps it, such as ``bn1``, and the layer.

    Raises:
        BuildError: `cfg` has no ``type``, the name is unknown, or a GroupNorm has no ``num_groups``.
    """
    cfg = dict(cfg)
    if "type" not in cfg:
        raise BuildError(f"norm_cfg needs a 'type' such as 'BN' or 'GN', got {cfg!r}")
    requires_grad = cfg.pop("requires_grad", True)
    kind = cfg["type"]
    layer_type = MODELS.get(kind) if isinstance(kind, str) else kind
    if layer_type is None:
        raise BuildError(f"unknown norm layer {kind!r}{did_you_mean(kind, sorted(MODELS.root.module_dict))}")
    cfg.setdefault("eps", 1e-5)
    if inspect.isclass(layer_type) and issubclass(layer_type, LayerNorm2d):
        layer = MODELS.build({**cfg, "num_channels": num_features})
    elif inspect.isclass(layer_type) and issubclass(layer_type, nn.GroupNorm):
        if "num_groups" not in cfg:
            raise BuildError(f"norm_cfg of type {kind!r} needs num_groups, got {cfg!r}")
        layer = MODELS.build({**cfg, "num_channels": num_features})
    elif inspect.isclass(layer_type) and issubclass(layer_type, nn.LayerNorm):
        layer = MODELS.build({**cfg, "normalized_shape": num_features})
    else:
        layer = MODELS.build({**cfg, "num_features": num_features})
    for param in layer.parameters():
        param.requires_grad = requires_grad
    return f"{infer_abbr(layer_type)}{postfix}", layer
