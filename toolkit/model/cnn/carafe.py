"""Upsampling by content (CARAFE), in plain PyTorch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.registry import MODELS


def carafe(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    """Each output place is a weighted sum of the neighbourhood of the input place that it lies in.

    Args:
        features: (N, C, H, W).
        masks: Weights of the neighbourhood of each output place, (N, kernel_size²·group_size,
            H·scale_factor, W·scale_factor), the groups one after the other.
        kernel_size: Side of the neighbourhood, odd.
        group_size: Groups of channels with weights of their own; it divides C.
        scale_factor: How much larger the output is.

    Returns:
        (N, C, H·scale_factor, W·scale_factor). Neighbours out of the map count as 0.
    """
    n, channels, height, width = features.shape
    area, scale = kernel_size**2, scale_factor
    weights = masks.view(n, group_size, area, height, scale, width, scale)
    near = F.pad(features, [kernel_size // 2] * 4).view(
        n, group_size, channels // group_size, height + kernel_size - 1, width + kernel_size - 1
    )
    out: Tensor | None = None
    # One neighbour at a time: all of them at once would take kernel_size² times the memory of the output.
    for index in range(area):
        row, column = divmod(index, kernel_size)
        part = near[..., row : row + height, column : column + width]
        term = part[:, :, :, :, None, :, None] * weights[:, :, None, index]
        out = term if out is None else out + term
    assert out is not None
    return out.reshape(n, channels, height * scale, width * scale)


@MODELS.register_module("carafe")
class CARAFEPack(nn.Module):
    """Upsampling whose kernels are predicted from the map (Wang et al., "CARAFE", 2019).

    State-dict keys: ``channel_compressor.*``, ``content_encoder.*``.

    Args:
        channels: Channels of the input and the output.
        scale_factor: How much larger the output is.
        up_kernel: Side of the neighbourhood that is summed up.
        up_group: Groups of channels with kernels of their own.
        encoder_kernel: Kernel size of the convolution that predicts.
        encoder_dilation: Its dilation.
        compressed_channels: Channels of its input.
    """

    def __init__(
        self,
        channels: int,
        scale_factor: int,
        up_kernel: int = 5,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
    ) -> None:
        super().__init__()
        self.channels, self.scale_factor = channels, scale_factor
        self.up_kernel, self.up_group = up_kernel, up_group
        self.channel_compressor = nn.Conv2d(channels, compressed_channels, 1)
        self.content_encoder = nn.Conv2d(
            compressed_channels,
            up_kernel**2 * up_group * scale_factor**2,
            encoder_kernel,
            padding=int((encoder_kernel - 1) * encoder_dilation / 2),
            dilation=encoder_dilation,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Kernels start nearly even."""
        nn.init.xavier_uniform_(self.channel_compressor.weight)
        nn.init.normal_(self.content_encoder.weight, std=0.001)
        for conv in (self.channel_compressor, self.content_encoder):
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, channels, H·scale_factor, W·scale_factor)."""
        masks = F.pixel_shuffle(self.content_encoder(self.channel_compressor(x)), self.scale_factor)
        masks = masks.unflatten(1, (self.up_group, self.up_kernel**2)).softmax(dim=2).flatten(1, 2)
        return carafe(x, masks, self.up_kernel, self.up_group, self.scale_factor)
