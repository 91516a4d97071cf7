"""Learning rates that fall from the head of a network to its first layers."""

from __future__ import annotations

from typing import Any

from torch import nn

from toolkit.optim.constructor import DefaultOptimWrapperConstructor, ParamGroup
from toolkit.registry import OPTIM_WRAPPER_CONSTRUCTORS
from toolkit.utils import ConfigError, did_you_mean

_OPTIONS = ("decay_rate", "decay_type", "num_layers")
# Published configs give these beside it, which mean nothing here: vectors and biases don't decay anyway.
_IGNORED = ("norm_decay_mult", "bias_decay_mult", "bypass_duplicate")
_TYPES = ("layer_wise", "stage_wise")
_WITHOUT_DECAY = ("pos_embed", "cls_token")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimizerConstructor(DefaultOptimWrapperConstructor):
    """Multiplies the learning rate of each layer by a power of `decay_rate`, the lower the layer the higher.

    As for the fine-tuning of BEiT (Bao et al. 2021) and ConvNeXt (Liu et al. 2022). The layers are those of
    a backbone of ConvNeXt's structure (``backbone.downsample_layers``, ``backbone.stages``) or, where the
    backbone has the method ``get_layer_depth(name, prefix) -> (layer, layers)``, what that says. All outside
    of the backbone has the full rate. Biases, vectors, position embeddings and class tokens have no weight
    decay.

    Args:
        optim_wrapper_cfg: The wrapper's config, with the optimizer's under `optimizer`.
        paramwise_cfg: ``decay_rate``; ``decay_type``, 'layer_wise' (the default) or 'stage_wise';
            ``num_layers``, how many steps a ConvNeXt is divided into (6 for the tiny one, 12 for others).
            ``norm_decay_mult``, ``bias_decay_mult`` and ``bypass_duplicate`` may stand there and change
            nothing.

    Raises:
        ConfigError: An option is missing or unknown, or the backbone's layers can't be told.
    """

    def _options(self) -> tuple[str, ...]:
        return (*_OPTIONS, *_IGNORED)

    def _validate(self) -> None:
        super()._validate()
        kind = self.paramwise_cfg.get("decay_type", _TYPES[0])
        if kind not in _TYPES:
            raise ConfigError(
                f"paramwise_cfg.decay_type must be one of {_TYPES}, got {kind!r}{did_you_mean(kind, _TYPES)}"
            )
        for name, value in (("decay_rate", self.paramwise_cfg.get("decay_rate")), ("lr", self.base_lr)):
            if value is None:
                raise ConfigError(f"{type(self).__name__} needs {name}")

    def add_params(
        self, params: list[ParamGroup], module: nn.Module, prefix: str = "", is_dcn_module: bool | None = None
    ) -> None:
        """Append a group for each trainable parameter of the model."""
        del is_dcn_module
        backbone = getattr(module, "backbone", None)
        rate = self.paramwise_cfg["decay_rate"]
        for name, param in module.named_parameters(prefix):
            if not param.requires_grad:
                continue
            layer, layers = self._depth(name, backbone)
            settings: ParamGroup = {"lr": self.base_lr * rate ** (layers - layer - 1)}
            if self.base_wd is not None:
                bare = param.ndim == 1 or name.endswith((".bias", *_WITHOUT_DECAY))
                settings["weight_decay"] = 0.0 if bare else self.base_wd
            params.append({"params": [param], **settings})

    def _depth(self, name: str, backbone: Any) -> tuple[int, int]:
        """The layer of a parameter, and how many layers there are."""
        own = getattr(backbone, "get_layer_depth", None)
        if own is not None:
            layer, layers = own(name, prefix="backbone.")
            return int(layer), int(layers)
        steps = self.paramwise_cfg.get("num_layers")
        if not (hasattr(backbone, "downsample_layers") and hasattr(backbone, "stages")) or steps is None:
            raise ConfigError(
                f"{type(self).__name__} can't tell the layers of {type(backbone).__name__}: it knows "
                "backbones of ConvNeXt's structure, given paramwise_cfg.num_layers, and those with a method "
                "get_layer_depth(name, prefix) -> (layer, layers)"
            )
        if self.paramwise_cfg.get("decay_type", _TYPES[0]) == "stage_wise":
            return _stage(name, steps), steps
        return _layer(name, steps), steps + 2


def _layer(name: str, last: int) -> int:
    """The step of a ConvNeXt that a parameter belongs to; the blocks of the third stage go by threes."""
    parts = name.split(".")
    if name.startswith("backbone.downsample_layers"):
        return (0, 2, 3, last)[int(parts[2])]
    if name.startswith("backbone.stages"):
        stage, block = int(parts[2]), int(parts[3])
        return (1, 2, 3 + block // 3, last)[stage]
    return last + 1


def _stage(name: str, stages: int) -> int:
    if name.startswith("backbone.downsample_layers"):
        return 0
    if name.startswith("backbone.stages"):
        return int(name.split(".")[2]) + 1
    return stages - 1
