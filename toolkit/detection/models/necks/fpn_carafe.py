"""FPN whose upsampling is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.models.necks.levels import check_inputs, no_init_cfg, used_levels
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, ModuleList, xavier_init
from toolkit.model.cnn import CARAFEPack, ConvModule, build_upsample_layer
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_CARAFE = {"type": "carafe", "up_kernel": 5, "up_group": 1, "encoder_kernel": 3, "encoder_dilation": 1}
_UPSAMPLINGS = ("nearest", "bilinear", "deconv", "pixel_shuffle", "carafe", None)
_ORDERS = (("conv", "norm", "act"), ("act", "conv", "norm"))


@MODELS.register_module()
class FPN_CARAFE(BaseModule):
    """Top-down pyramid whose upsampling is a layer, also from the levels that are coarser than the inputs
    (Wang et al., "CARAFE", 2019).

    State-dict keys: ``lateral_convs.i.*``, ``fpn_convs.i.*``, ``upsample_modules.i.*``.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        out_channels: Channels of all outputs.
        num_outs: How many outputs.
        start_level: First input that is used.
        end_level: Last input that is used, itself included; -1 for the last one.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        order: The order of convolution, norm and activation: one of two.
        upsample_cfg: Config of the upsampling: ``type`` 'carafe' with its arguments, 'nearest', 'bilinear',
            or 'deconv' or 'pixel_shuffle' with ``upsample_kernel``; a type of None for none.
        init_cfg: None.

    Raises:
        BuildError: The levels don't fit `in_channels` and `num_outs`, the order or the upsampling is unknown,
            or there is an `init_cfg`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        order: Sequence[str] = _ORDERS[0],
        upsample_cfg: Cfg = _CARAFE,
        init_cfg: Any = None,
    ) -> None:
        no_init_cfg("FPN_CARAFE", init_cfg)
        super().__init__()
        if tuple(order) not in _ORDERS or upsample_cfg.get("type") not in _UPSAMPLINGS:
            raise BuildError(
                f"order of FPN_CARAFE must be one of {_ORDERS}, got {tuple(order)}; the type of upsample_cfg "
                f"one of {_UPSAMPLINGS}, got {upsample_cfg.get('type')!r}"
            )
        self.num_ins = len(in_channels)
        end = used_levels("FPN_CARAFE", self.num_ins, num_outs, start_level, end_level)
        self.start_level, self.backbone_end_level = start_level, end
        self.upsample = upsample_cfg.get("type")
        used = list(in_channels[start_level:end])
        count = max(num_outs, len(used))
        common: dict[str, Any] = {
            "norm_cfg": norm_cfg,
            "bias": norm_cfg is None,
            "act_cfg": act_cfg,
            "inplace": False,
            "order": tuple(order),
        }
        self.lateral_convs = ModuleList(ConvModule(channels, out_channels, 1, **common) for channels in used)
        for i in range(count - len(used)):
            channels = out_channels if i else in_channels[end - 1]
            self.lateral_convs.append(ConvModule(channels, out_channels, 3, stride=2, padding=1, **common))
        self.fpn_convs = ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, **common) for _ in range(count)
        )
        settings = self._upsample_settings(upsample_cfg, out_channels)
        self.upsample_modules = ModuleList(
            nn.Identity() if settings is None else build_upsample_layer(settings) for _ in range(count - 1)
        )

    def _upsample_settings(self, cfg: Cfg, channels: int) -> Cfg | None:
        """Config of each upsampling layer, whole."""
        kind, own = cfg.get("type"), dict(cfg)
        if kind is None:
            return None
        if kind in ("nearest", "bilinear"):
            return {"type": kind, "scale_factor": 2, "align_corners": None if kind == "nearest" else False}
        if kind == "carafe":
            return {**own, "channels": channels, "scale_factor": 2}
        kernel = own.pop("upsample_kernel", None)
        if not kernel:
            raise BuildError(f"upsample_cfg of FPN_CARAFE with type {kind!r} needs 'upsample_kernel'")
        both = {**own, "in_channels": channels, "out_channels": channels}
        if kind == "pixel_shuffle":
            return {**both, "scale_factor": 2, "upsample_kernel": kernel}
        margin = (kernel - 1) // 2
        return {**both, "kernel_size": kernel, "stride": 2, "padding": margin, "output_padding": margin}

    def init_weights(self) -> None:
        """Xavier for the convolutions; upsampling by content starts nearly even."""
        super().init_weights()
        for part in self.modules():
            if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
                xavier_init(part, distribution="uniform")
        for part in self.upsample_modules:
            if isinstance(part, CARAFEPack):
                part.init_weights()

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of a backbone's maps.

        Args:
            inputs: Map i is (N, in_channels[i], H_i, W_i), finest first; at most twice as large as the next.

        Returns:
            `num_outs` maps (N, out_channels, H, W), finest first.
        """
        check_inputs("FPN_CARAFE", self.num_ins, len(inputs))
        used = self.backbone_end_level - self.start_level
        laterals: list[Tensor] = []
        for i, conv in enumerate(self.lateral_convs):
            source = inputs[min(i + self.start_level, len(inputs) - 1)] if i <= used else laterals[-1]
            laterals.append(conv(source))
        for i in range(len(laterals) - 1, 0, -1):
            finer, upsampled = laterals[i - 1], self.upsample_modules[i - 1](laterals[i])
            laterals[i - 1] = finer + upsampled[:, :, : finer.shape[2], : finer.shape[3]]
        return tuple(conv(lateral) for conv, lateral in zip(self.fpn_convs, laterals, strict=True))
