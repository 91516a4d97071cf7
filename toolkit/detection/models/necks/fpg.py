"""Feature pyramid grids: several pyramids side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.necks.levels import check_inputs, used_levels
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError, did_you_mean

Cfg = dict[str, Any]
_INIT = [
    {"type": "Caffe2Xavier", "layer": "Conv2d"},
    {"type": "Constant", "layer": ["_BatchNorm", "_InstanceNorm", "GroupNorm", "LayerNorm"], "val": 1.0},
]
_UP = {"type": "conv", "kernel_size": 3, "stride": 2, "padding": 1}


class UpInterpolationConv(BaseModule):
    """Enlarges a map and convolves it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        scale_factor: How much larger it becomes.
        mode: How it is enlarged; see `torch.nn.functional.interpolate`, also for `align_corners`.
        align_corners: Whether corners stay where they are.
        kernel_size: Of the convolution.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale_factor: int = 2,
        mode: str = "nearest",
        align_corners: bool | None = None,
        kernel_size: int = 3,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.scale_factor, self.mode, self.align_corners = scale_factor, mode, align_corners
        self.conv = ConvModule(
            in_channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2, **kwargs
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H·scale_factor, W·scale_factor)."""
        large = F.interpolate(
            x, scale_factor=self.scale_factor, mode=self.mode, align_corners=self.align_corners
        )
        return self.conv(large)


class LastConv(BaseModule):
    """Convolves the map of the last pyramid, and leaves the others.

    Args:
        in_channels: Channels of the maps.
        out_channels: Channels of the output.
        num_inputs: How many maps.
        kernel_size: Of the convolution.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_inputs: int,
        kernel_size: int = 3,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.num_inputs = num_inputs
        self.conv_out = ConvModule(
            in_channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2, **kwargs
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """`num_inputs` maps (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self.conv_out(inputs[-1])


class _Same(nn.Identity):
    """What it is given."""


_TRANSITIONS: dict[str, type[nn.Module]] = {
    "conv": ConvModule,
    "interpolation_conv": UpInterpolationConv,
    "last_conv": LastConv,
    "identity": _Same,
}


@MODELS.register_module()
class FPG(BaseModule):
    """A grid of pyramids, each connected to the one before it (Chen et al., "Feature Pyramid Grids", 2020).

    State-dict keys: ``lateral_convs.i.*``, ``extra_downsamples.i.*``,
    ``fpn_transitions.PYRAMID.LEVEL.TRANSITION.*`` and ``output_transition.i.*``.

    A transition is a dict with a ``type`` ('conv', 'interpolation_conv', 'last_conv', 'identity') and the
    layer's arguments, or None for none.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        out_channels: Channels of all outputs.
        num_outs: How many outputs.
        stack_times: How many pyramids.
        paths: The direction of each: 'bu' from fine to coarse, 'td' from coarse to fine.
        inter_channels: Channels inside: a number, or one a level; `out_channels` by default.
        same_down_trans: Transition to the next finer level, in pyramids that go down.
        same_up_trans: Transition to the next coarser level, in pyramids that go up.
        across_lateral_trans: From the same level of the pyramid before.
        across_down_trans: From its next coarser level.
        across_up_trans: From its next finer level.
        across_skip_trans: From the same level of the first pyramid.
        output_trans: To the output.
        start_level: First input that is used.
        end_level: Last input that is used, itself included; -1 for the last one.
        add_extra_convs: Whether coarser levels come from strided convolutions, or from every other pixel.
        norm_cfg: Kept for configs; transitions have norms of their own.
        skip_inds: For each level the pyramids that leave it out.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The levels don't fit `in_channels` and `num_outs`, or a transition or path is unknown.
    """

    # Their types are those of `_TRANSITIONS`, which no registry knows.
    foreign_keys = (
        "same_down_trans",
        "same_up_trans",
        "across_lateral_trans",
        "across_down_trans",
        "across_up_trans",
        "across_skip_trans",
        "output_trans",
    )

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        stack_times: int,
        paths: Sequence[str],
        inter_channels: int | Sequence[int] | None = None,
        same_down_trans: Cfg | None = None,
        same_up_trans: Cfg | None = _UP,
        across_lateral_trans: Cfg | None = {"type": "conv", "kernel_size": 1},  # noqa: B006 - read only
        across_down_trans: Cfg | None = {"type": "conv", "kernel_size": 3},  # noqa: B006 - read only
        across_up_trans: Cfg | None = None,
        across_skip_trans: Cfg | None = {"type": "identity"},  # noqa: B006 - read only
        output_trans: Cfg = {"type": "last_conv", "kernel_size": 3},  # noqa: B006 - read only
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool = False,
        norm_cfg: Cfg | None = None,
        skip_inds: Sequence[Sequence[int]] | None = None,
        init_cfg: Any = _INIT,
    ) -> None:
        super().__init__(init_cfg)
        if len(paths) != stack_times or not set(paths) <= {"bu", "td"}:
            raise BuildError(
                f"paths of FPG must be {stack_times} (stack_times) of 'bu' and 'td', got {list(paths)}"
            )
        one = out_channels if inter_channels is None else inter_channels
        self.inter_channels = [one] * num_outs if isinstance(one, int) else list(one)
        self.skip_inds = [list(inds) for inds in skip_inds] if skip_inds else [[] for _ in range(num_outs)]
        if len(self.inter_channels) != num_outs or len(self.skip_inds) != num_outs:
            raise BuildError(
                f"inter_channels and skip_inds of FPG need one value each of the {num_outs} outputs; got "
                f"{self.inter_channels} and {self.skip_inds}"
            )
        self.num_ins, self.num_outs, self.paths = len(in_channels), num_outs, list(paths)
        end = used_levels("FPG", self.num_ins, num_outs, start_level, end_level)
        self.start_level, self.backbone_end_level = start_level, end
        # By name: the config, and how many levels away the map comes from.
        self._plan: dict[str, tuple[Cfg | None, int]] = {
            "same_up": (same_up_trans, -1),
            "same_down": (same_down_trans, 1),
            "across_lateral": (across_lateral_trans, 0),
            "across_down": (across_down_trans, 1),
            "across_up": (across_up_trans, -1),
            "across_skip": (across_skip_trans, 0),
        }
        self.lateral_convs = nn.ModuleList(
            nn.Conv2d(channels, self.inter_channels[i], 1)
            for i, channels in enumerate(in_channels[start_level:end])
        )
        self.extra_downsamples = nn.ModuleList(
            nn.Conv2d(self.inter_channels[i - 1], self.inter_channels[i], 3, stride=2, padding=1)
            if add_extra_convs
            else nn.MaxPool2d(1, stride=2)
            for i in range(end - start_level, num_outs)
        )
        self.fpn_transitions = nn.ModuleList(
            nn.ModuleList(self._transitions(pyramid, level) for level in range(num_outs))
            for pyramid in range(stack_times)
        )
        self.output_transition = nn.ModuleList(
            _transition(output_trans, channels, out_channels, num_inputs=stack_times + 1)
            for channels in self.inter_channels
        )

    def _transitions(self, pyramid: int, level: int) -> nn.ModuleDict:
        found: dict[str, nn.Module] = {}
        if pyramid not in self.skip_inds[level]:
            for name, (cfg, away) in self._plan.items():
                source = level + away
                if cfg is not None and 0 <= source < self.num_outs:
                    found[name] = _transition(cfg, self.inter_channels[source], self.inter_channels[level])
        return nn.ModuleDict(found)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The grid's last pyramid.

        Args:
            inputs: Map i is (N, in_channels[i], H_i, W_i), finest first, each twice as large as the next.

        Returns:
            `num_outs` maps (N, out_channels, H, W), finest first.
        """
        check_inputs("FPG", self.num_ins, len(inputs))
        used = inputs[self.start_level : self.backbone_end_level]
        first = [conv(x) for conv, x in zip(self.lateral_convs, used, strict=True)]
        for downsample in self.extra_downsamples:
            first.append(downsample(first[-1]))
        pyramids = [first]
        for index in range(len(self.paths)):
            pyramids.append(self._next_pyramid(index, first, pyramids[-1]))
        return tuple(
            transition([maps[level] for maps in pyramids])
            for level, transition in enumerate(self.output_transition)
        )

    def _next_pyramid(self, index: int, first: list[Tensor], before: list[Tensor]) -> list[Tensor]:
        down = self.paths[index] == "td"
        levels = range(self.num_outs)
        done: dict[int, Tensor] = {}
        for level in reversed(levels) if down else levels:
            if index in self.skip_inds[level]:
                done[level] = before[level]
                continue
            sources: dict[str, Any] = {
                "same_down" if down else "same_up": done,
                "across_lateral": before,
                "across_up": before,
                "across_down": before,
                "across_skip": first,
            }
            transitions: Any = self.fpn_transitions[index][level]  # type: ignore[index]
            terms = [
                transitions[name](maps[level + self._plan[name][1]])
                for name, maps in sources.items()
                if name in transitions
            ]
            if not terms:
                raise BuildError(
                    f"level {level} of pyramid {index} of FPG has no transition that leads to it"
                )
            done[level] = sum(terms[1:], terms[0])
        return [done[level] for level in levels]


def _transition(cfg: Cfg, in_channels: int, out_channels: int, **kwargs: Any) -> nn.Module:
    settings = dict(cfg)
    kind = settings.pop("type")
    if kind not in _TRANSITIONS:
        raise BuildError(f"FPG has no transition {kind!r}{did_you_mean(kind, _TRANSITIONS)}")
    return _TRANSITIONS[kind](in_channels, out_channels, **settings, **kwargs)
