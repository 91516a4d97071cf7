"""Initialisers that `init_cfg` names, and `initialize`, which applies them to a module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from torch import nn

from toolkit.model import weight_init as fill
from toolkit.model.pretrained import load_pretrained
from toolkit.registry import WEIGHT_INITIALIZERS
from toolkit.utils import ConfigError, did_you_mean


class BaseInit:
    """An initialiser of the layers of given classes.

    Args:
        bias: Value of the bias.
        bias_prob: Sets the bias to where a sigmoid gives this probability, in place of `bias`.
        layer: Class name or names of the layers to initialise. A layer fits when its class or a direct base
            of it has the name. Without one, only a module that is named by an `override` is initialised.
    """

    function: ClassVar[Callable[..., None]]

    def __init__(
        self, *, bias: float = 0, bias_prob: float | None = None, layer: str | Iterable[str] | None = None
    ) -> None:
        if not isinstance(bias, (int, float)):
            raise ConfigError(f"bias of {type(self).__name__} must be a number, got {bias!r}")
        if bias_prob is not None and not (isinstance(bias_prob, float) and 0 < bias_prob < 1):
            raise ConfigError(
                f"bias_prob of {type(self).__name__} must be a float between 0 and 1, got {bias_prob!r}"
            )
        self.bias = bias if bias_prob is None else fill.bias_init_with_prob(bias_prob)
        self.layer = [layer] if isinstance(layer, str) else list(layer or [])
        self.wholemodule = False
        self.kwargs: dict[str, Any] = {}

    def __call__(self, module: nn.Module) -> None:
        """Initialise what fits in `module`, or all of it where `wholemodule` is set."""
        # Children come before their parents: the order in which random numbers have always been drawn.
        module.apply(self._init_part)

    def _init_part(self, part: nn.Module) -> None:
        names = (type(part).__name__, *(base.__name__ for base in type(part).__bases__))
        if self.wholemodule or any(name in self.layer for name in names):
            type(self).function(part, bias=self.bias, **self.kwargs)

    def __repr__(self) -> str:
        args = {**self.kwargs, "bias": self.bias, "layer": self.layer}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in args.items())})"


@WEIGHT_INITIALIZERS.register_module(name="Constant")
class ConstantInit(BaseInit):
    """Weights of one value. See `BaseInit` for `bias`, `bias_prob` and `layer`."""

    function = fill.constant_init

    def __init__(self, val: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kwargs = {"val": val}


@WEIGHT_INITIALIZERS.register_module(name="Xavier")
class XavierInit(BaseInit):
    """Glorot initialisation. See `weight_init.xavier_init` and `BaseInit`."""

    function = fill.xavier_init

    def __init__(self, gain: float = 1, distribution: str = "normal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kwargs = {"gain": gain, "distribution": distribution}


@WEIGHT_INITIALIZERS.register_module(name="Normal")
class NormalInit(BaseInit):
    """Weights from N(mean, std²). See `BaseInit` for `bias`, `bias_prob` and `layer`."""

    function = fill.normal_init

    def __init__(self, mean: float = 0, std: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kwargs = {"mean": mean, "std": std}


@WEIGHT_INITIALIZERS.register_module(name="TruncNormal")
class TruncNormalInit(BaseInit):
    """Weights from N(mean, std²) within [a, b]. See `BaseInit` for `bias`, `bias_prob` and `layer`."""

    function = fill.trunc_normal_init

    def __init__(self, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kwargs = {"mean": mean, "std": std, "a": a, "b": b}


@WEIGHT_INITIALIZERS.register_module(name="Uniform")
class UniformInit(BaseInit):
    """Weights from U(a, b). See `BaseInit` for `bias`, `bias_prob` and `layer`."""

    function = fill.uniform_init

    def __init__(self, a: float = 0, b: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kwargs = {"a": a, "b": b}


@WEIGHT_INITIALIZERS.register_module(name="Kaiming")
class KaimingInit(BaseInit):
    """He initialisation. See `weight_init.kaiming_init` and `BaseInit`."""

    function = fill.kaiming_init

    def __init__(
        self,
        a: float = 0,
        mode: str = "fan_out",
        nonlinearity: str = "relu",
        distribution: str = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kwargs = {"a": a, "mode": mode, "nonlinearity": nonlinearity, "distribution": distribution}


@WEIGHT_INITIALIZERS.register_module(name="Caffe2Xavier")
class Caffe2XavierInit(BaseInit):
    """Caffe2's XavierFill. See `BaseInit` for the arguments."""

    function = fill.caffe2_xavier_init


@WEIGHT_INITIALIZERS.register_module(name="Bilinear")
class BilinearInit(BaseInit):
    """Convolutions that start as bilinear upsampling. See `BaseInit` for the arguments."""

    function = fill.bilinear_init


@WEIGHT_INITIALIZERS.register_module(name="Pretrained")
class PretrainedInit:
    """Weights from a checkpoint.

    Args:
        checkpoint: A local file, a URL, or ``torchvision://NAME`` (such as ``torchvision://resnet50``).
        prefix: Load only the keys below this prefix, without it: ``prefix='backbone.'`` takes the backbone
            out of a detector's checkpoint.
        map_location: Where the tensors are read to.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location
        self.wholemodule = False

    def __call__(self, module: nn.Module) -> None:
        """Load the checkpoint into `module`; what doesn't fit is reported, not an error."""
        load_pretrained(module, self.checkpoint, prefix=self.prefix, map_location=self.map_location)


def is_pretrained(cfg: Mapping[str, Any]) -> bool:
    """Whether an initialiser config names `PretrainedInit`, by class or by (scoped) name."""
    kind = cfg["type"]
    if isinstance(kind, str):
        return kind.rpartition(".")[2] in ("Pretrained", "PretrainedInit")
    return kind is PretrainedInit


def initialize(module: nn.Module, init_cfg: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
    """Apply one initialiser config or several, in order, to `module`.

    Args:
        module: Changed in place.
        init_cfg: A dict with `type`, the initialiser's arguments, and optionally `override`: a dict or a list
            of dicts, each with the `name` of a direct attribute of `module` and either a `type` with its
            arguments, or nothing else, which means the arguments of the outer config. An overridden part is
            initialised whole.

    Raises:
        ConfigError: An override has no name, names nothing in the module, or has arguments but no `type`.
    """
    for cfg in [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg:
        # The config is often shared by many modules of one class, so it must come out as it went in.
        own = copy.deepcopy(dict(cfg))
        overrides = own.pop("override", None) or []
        WEIGHT_INITIALIZERS.build(dict(own))(module)
        own.pop("layer", None)
        for override in [overrides] if isinstance(overrides, Mapping) else overrides:
            _apply_override(module, override, own)


def _apply_override(module: nn.Module, override: Mapping[str, Any], outer: dict[str, Any]) -> None:
    owner = type(module).__name__
    if not isinstance(override, Mapping) or "name" not in override:
        raise ConfigError(
            f"an `override` in the init_cfg of {owner} must be a dict with a 'name'; got {override!r}"
        )
    cfg = {key: value for key, value in override.items() if key != "name"}
    name = override["name"]
    if cfg and "type" not in cfg:
        raise ConfigError(
            f"the override of {name!r} in the init_cfg of {owner} has arguments but no 'type': "
            f"{dict(override)!r}; "
            "name the initialiser, or give the name alone to use the outer arguments"
        )
    part = getattr(module, name, None)
    if part is None:
        names = [child for child, _ in module.named_children()]
        raise ConfigError(
            f"the init_cfg of {owner} overrides {name!r}, which it doesn't have{did_you_mean(name, names)}; "
            f"its parts are {', '.join(names) or 'none'}"
        )
    initializer = WEIGHT_INITIALIZERS.build(cfg or dict(outer))
    initializer.wholemodule = True
    initializer(part)
