"""Features of regions, pooled to a fixed size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torchvision.ops import roi_align, roi_pool

from toolkit.detection.models.layers.roi_align_cpu import roi_align_cpu
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError


def runs_on_cpu(feat: Tensor) -> bool:
    """Whether to pool with `roi_align_cpu`: on a CPU, unless a graph is being exported or compiled."""
    return feat.is_cpu and not torch.jit.is_tracing() and not torch.compiler.is_compiling()


@MODELS.register_module()
class RoIAlign(nn.Module):
    """Average of bilinear samples in each cell of a region (He et al., "Mask R-CNN", 2017).

    Args:
        output_size: Height and width of the result.
        spatial_scale: Pixels of the feature map a pixel of the image.
        sampling_ratio: Samples a cell and axis; 0: as many as the cell is long.
        pool_mode: Only 'avg'.
        aligned: Pixel centres are at half-integers, as they should be; False is the older, shifted way.
        use_torchvision: Accepted for configs of MMDetection; it always is.

    Raises:
        BuildError: `pool_mode` is not 'avg'.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        pool_mode: str = "avg",
        aligned: bool = True,
        use_torchvision: bool = False,
    ) -> None:
        super().__init__()
        if pool_mode != "avg":
            raise BuildError(f"RoIAlign pools by 'avg' only, got pool_mode {pool_mode!r}")
        self.output_size: tuple[int, int] = _pair(output_size)
        self.spatial_scale = float(spatial_scale)
        self.sampling_ratio = int(sampling_ratio)
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """A map (N, C, H, W) and regions (K, 5), as image index, x1, y1, x2, y2, to (K, C, *output_size).

        It is computed in float32: in half precision a coordinate of 1000 is rounded to half a pixel.
        """
        feat, settings = input.float(), (self.spatial_scale, self.sampling_ratio, self.aligned)
        if runs_on_cpu(input):
            out = roi_align_cpu([feat], rois.float(), None, self.output_size, [settings[0]], *settings[1:])
        else:
            out = roi_align(feat, rois.float(), self.output_size, *settings)
        return out.to(input.dtype)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"
        )


@MODELS.register_module()
class RoIPool(nn.Module):
    """Largest value in each cell of a region (Girshick, "Fast R-CNN", 2015).

    Args:
        output_size: Height and width of the result.
        spatial_scale: Pixels of the feature map a pixel of the image.
    """

    def __init__(self, output_size: int | tuple[int, int], spatial_scale: float = 1.0) -> None:
        super().__init__()
        self.output_size: tuple[int, int] = _pair(output_size)
        self.spatial_scale = float(spatial_scale)

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """A map (N, C, H, W) and regions (K, 5) to (K, C, *output_size)."""
        return roi_pool(input.float(), rois.float(), self.output_size, self.spatial_scale).to(input.dtype)
