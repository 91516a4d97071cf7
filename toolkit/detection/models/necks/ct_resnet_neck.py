"""The upsampling neck of CenterNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, bilinear_init
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError


@MODELS.register_module()
class CTResNetNeck(BaseModule):
    """Convolutions and transposed convolutions that enlarge the last map (Zhou et al., "Objects as Points",
    2019).

    State-dict keys: ``deconv_layers.i.*``, convolutions and transposed ones in turn.

    Args:
        in_channels: Channels of the last map.
        num_deconv_filters: Channels of each step.
        num_deconv_kernels: Kernel size of each step's transposed convolution.
        use_dcn: Whether the other convolutions are deformable.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: There are not as many kernels as filters.
    """

    def __init__(
        self,
        in_channels: int,
        num_deconv_filters: Sequence[int],
        num_deconv_kernels: Sequence[int],
        use_dcn: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(num_deconv_filters) != len(num_deconv_kernels):
            raise BuildError(
                f"CTResNetNeck needs as many num_deconv_kernels ({list(num_deconv_kernels)}) as "
                f"num_deconv_filters ({list(num_deconv_filters)})"
            )
        self.use_dcn = use_dcn
        layers: list[nn.Module] = []
        for channels, kernel in zip(num_deconv_filters, num_deconv_kernels, strict=True):
            conv_cfg = {"type": "DCNv2"} if use_dcn else None
            layers.append(
                ConvModule(in_channels, channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg={"type": "BN"})
            )
            layers.append(
                ConvModule(
                    channels,
                    channels,
                    kernel,
                    stride=2,
                    padding=1,
                    conv_cfg={"type": "deconv"},
                    norm_cfg={"type": "BN"},
                )
            )
            in_channels = channels
        self.deconv_layers = nn.Sequential(*layers)

    def init_weights(self) -> None:
        """Transposed convolutions start as bilinear upsampling of one channel each, plain ones as torch's."""
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):
                module.reset_parameters()
                start = nn.ConvTranspose2d(module.in_channels, 1, module.kernel_size, bias=False)  # type: ignore[arg-type]
                bilinear_init(start)
                module.weight.data[:, :1] = start.weight.data.to(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d) and not self.use_dcn:
                module.reset_parameters()
        self._is_init = True

    def forward(self, x: Sequence[Tensor]) -> tuple[Tensor]:
        """Maps of the backbone, of which the last, (N, in_channels, H, W), is used, to one of (N, C,
        H·2^steps, W·2^steps)."""
        return (self.deconv_layers(x[-1]),)
