"""Regions pooled from cells that move (Dai et al., "Deformable Convolutional Networks", ICCV 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.utils import _pair

from toolkit.detection.models.layers.roi_align import RoIAlign
from toolkit.detection.registry import MODELS
from toolkit.model import constant_init
from toolkit.utils import DataError


def deform_roi_pool(
    input: Tensor,
    rois: Tensor,
    offset: Tensor | None,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    gamma: float = 0.1,
) -> Tensor:
    """RoIAlign whose cells are moved, each by a part of its region's size. In plain PyTorch, in float32.

    Args:
        input: The map (N, C, H, W).
        rois: Regions (K, 5), as image index, x1, y1, x2, y2.
        offset: By how much cells are moved (K, 2, *output_size), x before y, in regions' widths and heights
            times `gamma`; None for not at all.
        output_size: Height and width of the result.
        spatial_scale: Pixels of the feature map a pixel of the image.
        sampling_ratio: Samples a cell and axis; 0: as many as the cell is long.
        gamma: See `offset`.

    Returns:
        (K, C, *output_size).
    """
    if offset is None:
        still: Tensor = RoIAlign(output_size, spatial_scale, sampling_ratio)(input, rois)
        return still
    feat, boxes = input.float(), rois[:, 1:].float() * spatial_scale
    sides = boxes[:, 2:] - boxes[:, :2]  # (K, 2), x before y
    size = sides / sides.new_tensor(output_size[::-1])  # of a cell
    taps = torch.full_like(size, sampling_ratio) if sampling_ratio > 0 else size.ceil()
    # A region without area has no samples, and zero for features; so has one with a corner that is no number.
    taps = torch.where(boxes.isfinite().all(1, keepdim=True), taps, 0.0).clamp(min=0)
    corners = (boxes[:, :2] - 0.5)[:, None, None] + size[:, None, None] * _grid(*output_size, size)
    corners = corners + gamma * sides[:, None, None] * offset.float().permute(0, 2, 3, 1)

    # Regions of one image with as many samples are pooled together.
    kinds, kind = torch.cat([rois[:, :1].float(), taps], 1).long().unique(dim=0, return_inverse=True)
    # Where there are no regions, the offsets keep a gradient, of zero.
    out = feat.new_zeros(len(rois), feat.size(1), *output_size) + 0 * offset.sum()
    for number, (image, across, down) in enumerate(kinds.tolist()):
        if across and down:
            chosen = (kind == number).nonzero().squeeze(1)
            places = (_grid(down, across, size) + 0.5) / size.new_tensor([across, down])
            steps = size[chosen][:, None] * places.view(-1, 2)  # (k, down · across, 2)
            points = corners[chosen][:, :, :, None] + steps[:, None, None]
            out = out.index_copy(0, chosen, _sampled(feat[image : image + 1], points).mean(-1))
    return out.to(input.dtype)


def _grid(height: int, width: int, like: Tensor) -> Tensor:
    """Numbers of columns and rows (height, width, 2)."""
    y, x = (torch.arange(length, dtype=like.dtype, device=like.device) for length in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def _sampled(feat: Tensor, points: Tensor) -> Tensor:
    """Values of a map (1, C, H, W) at points (k, h, w, S, 2) in its pixels: (k, C, h, w, S).

    As RoIAlign has it: up to a pixel outside, a point counts as the nearest within; further away all is zero.
    """
    k, h, w, samples, _ = points.shape
    lengths = points.new_tensor([feat.size(3), feat.size(2)])
    inside = ((points >= -1) & (points <= lengths)).all(-1)
    grid = 2 * points / (lengths - 1).clamp(min=1) - 1
    values = F.grid_sample(
        feat, grid.view(1, k, -1, 2), mode="bilinear", padding_mode="border", align_corners=True
    )
    return values.view(-1, k, h, w, samples).transpose(0, 1) * inside[:, None]


class DeformRoIPool(nn.Module):
    """See `deform_roi_pool`.

    Args:
        output_size: Height and width of the result.
        spatial_scale: Pixels of the feature map a pixel of the image.
        sampling_ratio: Samples a cell and axis; 0: as many as the cell is long.
        gamma: See `deform_roi_pool`.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        gamma: float = 0.1,
    ) -> None:
        super().__init__()
        self.output_size: tuple[int, int] = _pair(output_size)
        self.spatial_scale = float(spatial_scale)
        self.sampling_ratio = int(sampling_ratio)
        self.gamma = float(gamma)

    def forward(self, input: Tensor, rois: Tensor, offset: Tensor | None = None) -> Tensor:
        """A map (N, C, H, W) and regions (K, 5) to (K, C, *output_size)."""
        return deform_roi_pool(
            input, rois, offset, self.output_size, self.spatial_scale, self.sampling_ratio, self.gamma
        )


@MODELS.register_module()
class DeformRoIPoolPack(DeformRoIPool):
    """Regions are pooled twice: what they are pooled to at first says how their cells move.

    Args:
        output_size: See `DeformRoIPool`.
        output_channels: Channels C of the map.
        deform_fc_channels: Width of the layers that work out the offsets.
        spatial_scale: See `DeformRoIPool`.
        sampling_ratio: See `DeformRoIPool`.
        gamma: See `deform_roi_pool`.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int],
        output_channels: int,
        deform_fc_channels: int = 1024,
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        gamma: float = 0.1,
    ) -> None:
        super().__init__(output_size, spatial_scale, sampling_ratio, gamma)
        self.output_channels = output_channels
        self.deform_fc_channels = deform_fc_channels
        self._add_layers(self.output_size[0] * self.output_size[1], deform_fc_channels)

    def _add_layers(self, cells: int, width: int) -> None:
        # Training begins with cells that don't move.
        self.offset_fc = nn.Sequential(
            nn.Linear(cells * self.output_channels, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, cells * 2),
        )
        constant_init(self.offset_fc[-1], 0)

    def forward(self, input: Tensor, rois: Tensor, offset: Tensor | None = None) -> Tensor:
        """A map (N, C, H, W) and regions (K, 5) to (K, C, *output_size). `offset` is not taken: it is worked
        out.

        Raises:
            DataError: The map has not `output_channels`.
        """
        return super().forward(input, rois, self._offset(self._still(input, rois)))

    def _still(self, input: Tensor, rois: Tensor) -> Tensor:
        if input.size(1) != self.output_channels:
            raise DataError(
                f"{type(self).__name__} was made for {self.output_channels} channels (output_channels), the "
                f"features have {input.size(1)}"
            )
        return super().forward(input, rois).flatten(1)

    def _offset(self, still: Tensor) -> Tensor:
        offset: Tensor = self.offset_fc(still)
        return offset.view(-1, 2, *self.output_size)


@MODELS.register_module()
class ModulatedDeformRoIPoolPack(DeformRoIPoolPack):
    """`DeformRoIPoolPack` whose cells are weighted too (Zhu et al., "Deformable ConvNets v2", 2018).

    Arguments: `DeformRoIPoolPack`.
    """

    def _add_layers(self, cells: int, width: int) -> None:
        super()._add_layers(cells, width)
        # Training begins with cells that weigh the same.
        self.mask_fc = nn.Sequential(
            nn.Linear(cells * self.output_channels, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, cells),
            nn.Sigmoid(),
        )
        constant_init(self.mask_fc[2], 0)

    def forward(self, input: Tensor, rois: Tensor, offset: Tensor | None = None) -> Tensor:
        """See `DeformRoIPoolPack.forward`."""
        still = self._still(input, rois)
        moved = DeformRoIPool.forward(self, input, rois, self._offset(still))
        weights: Tensor = self.mask_fc(still)
        return moved * weights.view(-1, 1, *self.output_size)
