"""From a config to an `OptimWrapper`: parameter groups and their multipliers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn.parameter import Parameter

from toolkit.optim.wrapper import BaseOptimWrapper, OptimWrapper
from toolkit.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from toolkit.utils import ConfigError, did_you_mean
from toolkit.utils.dl_utils import is_norm

logger = logging.getLogger(__name__)

ParamGroup = dict[str, Any]

_LR_OPTIONS = ("bias_lr_mult", "dcn_offset_lr_mult")
_DECAY_OPTIONS = ("bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult", "flat_decay_mult")
_OPTIONS = ("custom_keys", *_LR_OPTIONS, *_DECAY_OPTIONS, "bypass_duplicate")


def build_optim_wrapper(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    """Build the optimizer wrapper of a model.

    Args:
        model: Its parameters are optimised.
        cfg: ``dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), ...)`` with the wrapper's
            arguments, and optionally `paramwise_cfg` and `constructor` (see
            `DefaultOptimWrapperConstructor`).

    Returns:
        An `OptimWrapper`, or whatever the constructor makes.
    """
    rest = cfg.copy() if isinstance(cfg, dict) else dict(cfg)
    constructor = rest.pop("constructor", "DefaultOptimWrapperConstructor")
    paramwise_cfg = rest.pop("paramwise_cfg", None)
    make = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {"type": constructor, "optim_wrapper_cfg": rest, "paramwise_cfg": paramwise_cfg}
    )
    return make(model)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DefaultOptimWrapperConstructor:
    """Makes the parameter groups, the optimizer and its wrapper.

    Args:
        optim_wrapper_cfg: The wrapper's config, with the optimizer's under `optimizer`.
        paramwise_cfg: Multipliers of the learning rate and weight decay, parameter by parameter:

            - `custom_keys`: settings by a part of the parameter's name, such as
              ``{'backbone': dict(lr_mult=0.1, decay_mult=0.9)}``. The longest key that is in the name decides
              (the first in alphabetical order among equals), and the options below don't touch such a
              parameter. Other entries than the two multipliers go into the parameter group as they are.
            - `norm_decay_mult`: weights and biases of normalisation layers.
            - `bias_lr_mult`, `bias_decay_mult`: biases, but for those of normalisation layers and those
              inside of deformable convolutions.
            - `dwconv_decay_mult`: depthwise convolutions.
            - `flat_decay_mult`: other parameters of one dimension.
            - `dcn_offset_lr_mult`: the convolutions that give the offsets of deformable ones (`conv_offset`).
            - `bypass_duplicate`: take a parameter that is in the model twice only once.

    Raises:
        ConfigError: A config is not a dict, lacks the optimizer, has an unknown option, or a decay multiplier
            has no `weight_decay` to multiply.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        if not isinstance(optim_wrapper_cfg, Mapping) or "optimizer" not in optim_wrapper_cfg:
            raise ConfigError(
                "optim_wrapper must be a dict with the optimizer in it, such as "
                f"dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)); got {optim_wrapper_cfg!r}"
            )
        self.optim_wrapper_cfg = {
            key: value for key, value in optim_wrapper_cfg.items() if key != "optimizer"
        }
        self.optimizer_cfg = dict(optim_wrapper_cfg["optimizer"])
        self.paramwise_cfg = {} if paramwise_cfg is None else paramwise_cfg
        self.base_lr: Any = self.optimizer_cfg.get("lr")
        self.base_wd: Any = self.optimizer_cfg.get("weight_decay")
        self._validate()

    def _validate(self) -> None:
        if not isinstance(self.paramwise_cfg, Mapping):
            raise ConfigError(f"paramwise_cfg must be a dict, got {self.paramwise_cfg!r}")
        for option in self.paramwise_cfg:
            if option not in self._options():
                raise ConfigError(
                    f"paramwise_cfg has no option {option!r}{did_you_mean(option, self._options())}; "
                    f"it takes {', '.join(self._options())}"
                )
        custom = self._custom_keys()
        if not isinstance(custom, Mapping) or not all(
            isinstance(value, Mapping) for value in custom.values()
        ):
            raise ConfigError(
                "paramwise_cfg.custom_keys must be a dict of dicts, such as {'backbone': dict(lr_mult=0.1)}; "
                f"got {custom!r}"
            )
        self._require("weight_decay", self.base_wd, _DECAY_OPTIONS, "decay_mult")
        self._require("lr", self.base_lr, _LR_OPTIONS, "lr_mult")

    def _options(self) -> tuple[str, ...]:
        """The options that `paramwise_cfg` may hold; a subclass that knows more adds them."""
        return _OPTIONS if type(self) is DefaultOptimWrapperConstructor else (*_OPTIONS, *self.paramwise_cfg)

    def _require(self, name: str, base: Any, options: tuple[str, ...], custom_option: str) -> None:
        if base is not None:
            return
        used = [option for option in options if option in self.paramwise_cfg]
        used += [
            f"custom_keys[{key!r}]" for key, value in self._custom_keys().items() if custom_option in value
        ]
        if used:
            raise ConfigError(
                f"paramwise_cfg {used[0]} multiplies {name}, which the optimizer's config doesn't give"
            )

    def _custom_keys(self) -> Mapping[str, Mapping[str, Any]]:
        return self.paramwise_cfg.get("custom_keys") or {}

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer and its wrapper for a model, or for the model in a wrapper such as DDP."""
        wrapped = getattr(model, "module", None)
        inner = wrapped if isinstance(wrapped, nn.Module) else model
        groups: list[ParamGroup] = []
        if self.paramwise_cfg:
            self.add_params(groups, inner)
            self._report_unused_keys(inner)
            params: Any = merge_groups(groups)
        else:
            params = list(inner.parameters())
        if not params:
            raise ConfigError(f"{type(inner).__name__} has no parameters to optimise")
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, self._params_argument(): params})
        wrapper: OptimWrapper = OPTIM_WRAPPERS.build(
            {"type": "OptimWrapper", **self.optim_wrapper_cfg, "optimizer": optimizer}
        )
        if groups and isinstance(wrapper, BaseOptimWrapper):
            wrapper.parameter_order = [param for group in groups for param in group["params"]]
        return wrapper

    def _params_argument(self) -> str:
        """What the optimizer calls its first argument; not all call it `params`."""
        kind = self.optimizer_cfg["type"]
        cls = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
        return "params" if cls is None else next(iter(inspect.signature(cls).parameters))

    def add_params(
        self, params: list[ParamGroup], module: nn.Module, prefix: str = "", is_dcn_module: bool | None = None
    ) -> None:
        """Append a group for each trainable parameter of a module and of the modules in it.

        Args:
            params: The groups; changed in place. Those with equal settings are merged in the end.
            module: Where the parameters are.
            prefix: Name of the module in the model.
            is_dcn_module: Whether it is a part of a deformable convolution.
        """
        taken = {id(param) for group in params for param in group["params"]}
        bypass = self.paramwise_cfg.get("bypass_duplicate", False)
        for owner, name, param, in_dcn in _walk(module, prefix, bool(is_dcn_module)):
            if not param.requires_grad or (bypass and id(param) in taken):
                continue
            if id(param) in taken:
                raise ConfigError(
                    f"parameter {name} is in the model under another name as well, so its settings are not "
                    "clear; paramwise_cfg.bypass_duplicate=True takes those of the first name"
                )
            taken.add(id(param))
            settings = self._custom_settings(name)
            if settings is None:
                settings = self._settings(owner, name, param, in_dcn)
            params.append({"params": [param], **settings})

    def _custom_settings(self, name: str) -> ParamGroup | None:
        """Settings by the longest of the `custom_keys` that is in the name; None where none is."""
        custom_keys = self._custom_keys()
        key = _deciding_key(custom_keys, name)
        if key is None:
            return None
        settings: ParamGroup = {}
        if self.base_lr is not None:
            settings["lr"] = self.base_lr * custom_keys[key].get("lr_mult", 1.0)
        if self.base_wd is not None:
            settings["weight_decay"] = self.base_wd * custom_keys[key].get("decay_mult", 1.0)
        return {**settings, **custom_keys[key]}

    def _settings(self, owner: nn.Module, name: str, param: Parameter, in_dcn: bool) -> ParamGroup:
        """Settings by the kind of the layer that holds the parameter."""
        option = self.paramwise_cfg.get
        settings: ParamGroup = {}
        path, _, own_name = name.rpartition(".")
        is_bias, in_norm = own_name == "bias", is_norm(owner)
        if is_bias and not (in_norm or in_dcn) and option("bias_lr_mult") is not None:
            settings["lr"] = self.base_lr * option("bias_lr_mult")
        offset_mult = option("dcn_offset_lr_mult")
        if offset_mult is not None and in_dcn and "conv_offset" in path and isinstance(owner, nn.Conv2d):
            settings["lr"] = self.base_lr * offset_mult
        if self.base_wd is None:
            return settings
        is_depthwise = isinstance(owner, nn.Conv2d) and owner.in_channels == owner.groups
        for applies, mult in (
            (in_norm, option("norm_decay_mult")),
            (is_bias and not in_dcn, option("bias_decay_mult")),
            (is_depthwise, option("dwconv_decay_mult")),
            (param.ndim == 1 and not in_dcn, option("flat_decay_mult")),
        ):
            if applies and mult is not None:
                settings["weight_decay"] = self.base_wd * mult
                break
        return settings

    def _report_unused_keys(self, model: nn.Module) -> None:
        names = [name for name, _ in model.named_parameters()]
        deciding = {_deciding_key(self._custom_keys(), name) for name in names}
        for key in self._custom_keys():
            if any(key in name for name in names):
                if key not in deciding:
                    logger.warning(
                        "paramwise_cfg.custom_keys %r has no effect: longer keys take its parameters", key
                    )
                continue
            parts = {part for name in names for part in name.split(".")}
            logger.warning(
                "paramwise_cfg.custom_keys %r has no effect: no parameter of %s has it in its name%s",
                key,
                type(model).__name__,
                did_you_mean(key, sorted(parts)),
            )


def _deciding_key(keys: Mapping[str, Any], name: str) -> str | None:
    # A top-level parameter used to be looked up as '.name', so a key such as '.bias' must fit there as well.
    path = name if "." in name else f".{name}"
    return min((key for key in keys if key in path), key=lambda key: (-len(key), key), default=None)


def _walk(module: nn.Module, prefix: str, in_dcn: bool) -> Iterator[tuple[nn.Module, str, Parameter, bool]]:
    """Each parameter with the module that holds it, its full name, and whether that is a part of a DCN."""
    for name, param in module.named_parameters(recurse=False):
        yield module, f"{prefix}.{name}" if prefix else name, param, in_dcn
    # By name, since torchvision's and our own deformable convolutions, and a user's, have no class in common.
    inside = any("DeformConv2d" in base.__name__ for base in type(module).__mro__)
    for name, child in module.named_children():
        yield from _walk(child, f"{prefix}.{name}" if prefix else name, inside)


def merge_groups(groups: list[ParamGroup]) -> list[ParamGroup]:
    """Join the groups of equal settings, in the order of their first appearance.

    An optimizer works group by group: one group of 100 parameters is a few kernels, 100 groups are hundreds.
    """
    merged: list[ParamGroup] = []
    for group in groups:
        settings = {key: value for key, value in group.items() if key != "params"}
        for other in merged:
            if settings == {key: value for key, value in other.items() if key != "params"}:
                other["params"].extend(group["params"])
                break
        else:
            merged.append({**settings, "params": list(group["params"])})
    return merged
