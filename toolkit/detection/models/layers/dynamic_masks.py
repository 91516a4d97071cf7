"""Small networks with weights of their own an object, which draw masks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class DynamicMasks:
    """Networks of 1x1 convolutions, one an object, whose parameters are predicted.

    From "Conditional Convolutions for Instance Segmentation" (Tian et al. 2020). They take the prototypes of
    masks and two coordinates: how far the object's point is to the right of a place and below it. It has no
    weights itself.

    Args:
        num_prototypes: Channels of the prototypes.
        channels: Channels between the layers.
        num_layers: Layers of a network, at least 2.

    Attributes:
        num_params: How many parameters a network has.
    """

    def __init__(self, num_prototypes: int, channels: int, num_layers: int) -> None:
        widths = [num_prototypes + 2, *[channels] * (num_layers - 1), 1]
        self.shapes = list(zip(widths[1:], widths[:-1], strict=True))
        self.sizes = [out * into for out, into in self.shapes] + [out for out, _ in self.shapes]
        self.num_params = sum(self.sizes)

    def __call__(
        self, prototypes: Tensor, params: Tensor, coords: Tensor, points: Tensor, units: Tensor
    ) -> Tensor:
        """Logits of masks, (K, H, W) float32.

        Args:
            prototypes: Of one image, (C, H, W).
            params: Weights of all layers, then their biases, (K, num_params).
            coords: x and y of the places in pixels, (H, W, 2).
            points: x and y of the objects in pixels, (K, 2).
            units: What the coordinates of an object are divided by, (K,).
        """
        height, width = prototypes.shape[-2:]
        if not len(params):
            return prototypes.new_zeros((0, height, width)) + params.sum()
        # coordinates of large images have more digits than half precision
        with torch.autocast(prototypes.device.type, enabled=False):
            weights, biases = self._parameters(params.float())
            # The coordinates are a difference of the object's and the place's, so that the first layer is one
            # product with the same input for all objects, the object's own part being added to the bias.
            steering = weights[0][:, :, :2]
            biases[0] = biases[0] + (steering * (points / units[:, None])[:, None]).sum(-1)
            first = torch.cat((-steering / units[:, None, None], weights[0][:, :, 2:]), dim=2)
            inputs = torch.cat((coords.permute(2, 0, 1).float(), prototypes.float())).flatten(1)
            x = (first.flatten(0, 1) @ inputs).unflatten(0, first.shape[:2]) + biases[0][:, :, None]
            for weight, bias in zip(weights[1:], biases[1:], strict=True):
                x = torch.baddbmm(bias[:, :, None], weight, F.relu(x))
        return x.view(-1, height, width)

    def _parameters(self, params: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Weights (K, out, in) and biases (K, out) of each layer."""
        parts = params.split(self.sizes, dim=1)
        weights = [
            part.unflatten(1, shape)
            for part, shape in zip(parts[: len(self.shapes)], self.shapes, strict=True)
        ]
        return weights, list(parts[len(self.shapes) :])
