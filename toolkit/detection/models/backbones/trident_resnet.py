"""TridentNet: branches of one set of weights at several dilations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.registry import MODELS
from toolkit.model.backbones import Bottleneck, ResLayer, ResNet
from toolkit.utils import BuildError

_LAST = 2  # the stage with branches


class TridentConv(nn.Module):
    """One convolution at several dilations, each on an input of its own.

    Args:
        in_channels: Channels of the inputs.
        out_channels: Channels of the outputs.
        kernel_size: Of the convolution.
        stride: Of the convolution.
        trident_dilations: Of the branches; zeros around the map are as many.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        trident_dilations: Sequence[int] = (1, 2, 3),
    ) -> None:
        super().__init__()
        self.stride, self.dilations = stride, tuple(trident_dilations)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_uniform_(self.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, inputs: Sequence[Tensor], dilations: Sequence[int]) -> list[Tensor]:
        """A map (N, in_channels, H, W) a dilation to one (N, out_channels, H/stride, W/stride) each."""
        return [
            F.conv2d(x, self.weight, None, self.stride, dilation, dilation)
            for x, dilation in zip(inputs, dilations, strict=True)
        ]


class TridentBottleneck(Bottleneck):
    """A bottleneck of branches that share all weights.

    Args:
        inplanes: Channels of the input.
        planes: Channels of the block.
        trident_dilations: Of the branches.
        test_branch_idx: The branch that alone is computed in evaluation; -1: all are.
        concat_output: Whether branches are given one after the other along the batch, or as a list.
        **kwargs: Those of `Bottleneck`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        trident_dilations: Sequence[int],
        test_branch_idx: int = -1,
        concat_output: bool = False,
        **kwargs: Any,
    ) -> None:
        self.trident_dilations, self.test_branch_idx = tuple(trident_dilations), test_branch_idx
        self.concat_output = concat_output
        super().__init__(inplanes, planes, **kwargs)

    def _spatial_conv(self, channels: int, groups: int = 1) -> nn.Module:
        return TridentConv(channels, channels, 3, self.conv2_stride, self.trident_dilations)

    def _branches(self) -> tuple[int, ...]:
        """Dilations of the branches that are computed now."""
        if self.training or self.test_branch_idx == -1:
            return self.trident_dilations
        return (self.trident_dilations[self.test_branch_idx],)

    def forward(self, x: Tensor | list[Tensor]) -> Any:
        """(N, inplanes, H, W), or a list of such, to a list of (N, planes·expansion, H/stride, W/stride), or
        to one of them all."""
        dilations = self._branches()
        inputs = x if isinstance(x, list) else [x] * len(dilations)
        shortcuts = inputs if self.downsample is None else [self.downsample(one) for one in inputs]
        outs = [self._plugged(self.relu(self.norm1(self.conv1(one))), "after_conv1") for one in inputs]
        outs = [
            self._plugged(self.relu(self.norm2(one)), "after_conv2") for one in self.conv2(outs, dilations)
        ]
        outs = [self._plugged(self.norm3(self.conv3(one)), "after_conv3") for one in outs]
        outs = [self.relu(out + shortcut) for out, shortcut in zip(outs, shortcuts, strict=True)]
        return torch.cat(outs) if self.concat_output else outs


@MODELS.register_module()
class TridentResNet(ResNet):
    """ResNet whose third and last stage has branches (Li et al., "Scale-Aware Trident Networks", 2019).

    In training the batch comes out as many times as there are branches, one branch after the other.

    Args:
        depth: 50, 101 or 152.
        num_branch: How many branches.
        test_branch_idx: The branch that alone is computed in evaluation; -1: all are.
        trident_dilations: Dilations of the branches.
        **kwargs: Those of `ResNet`; `num_stages` is 3.

    Raises:
        BuildError: The arguments don't fit.
    """

    def __init__(
        self,
        depth: int,
        num_branch: int,
        test_branch_idx: int,
        trident_dilations: Sequence[int],
        **kwargs: Any,
    ) -> None:
        if num_branch != len(trident_dilations) or kwargs.get("num_stages") != _LAST + 1 or depth < 50:
            raise BuildError(
                "TridentResNet has depth 50, 101 or 152, num_stages=3 and num_branch dilations; got "
                f"{depth}, {kwargs.get('num_stages', 4)}, and {num_branch} for {tuple(trident_dilations)}"
            )
        self.num_branch, self.test_branch_idx = num_branch, test_branch_idx
        self.trident_dilations = tuple(trident_dilations)
        super().__init__(depth, **kwargs)

    def _stage_kwargs(self, index: int) -> dict[str, Any]:
        own = super()._stage_kwargs(index)
        if index == _LAST:
            own["block"] = TridentBottleneck
        return own

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build a stage; see `ResNet.make_res_layer`."""
        if kwargs["block"] is not TridentBottleneck:
            return super().make_res_layer(**kwargs)
        kwargs["dilation"] = 1
        stage = ResLayer(
            trident_dilations=self.trident_dilations, test_branch_idx=self.test_branch_idx, **kwargs
        )
        last = stage[-1]
        assert isinstance(last, TridentBottleneck)
        last.concat_output = True
        return stage
