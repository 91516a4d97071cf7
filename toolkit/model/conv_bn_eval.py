"""Convolutions that take the batch norm behind them in, as long as that is in eval mode."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from toolkit.model.parts import chosen_modules
from toolkit.utils import ConfigError

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
Pair = tuple[nn.Module, nn.Module]


def turn_on_efficient_conv_bn_eval(model: nn.Module, modules: Sequence[str] | str) -> int:
    """Fold batch norms in eval mode into the convolutions before them, in the forward pass.

    A batch norm whose statistics are fixed is an affine map of each channel. Applied to the convolution's
    weight instead of to its output, one large activation less is computed and kept for the gradients, and
    those of all weights are the same (You et al., arXiv:2305.11624). Batch norms in training mode work as
    ever, and so do the names and values of all weights.

    Args:
        model: The model; changed in place.
        modules: Names of modules, or patterns with ``*`` for any text, in which pairs are looked for.

    Returns:
        How many pairs were found.

    Raises:
        ConfigError: A name or pattern fits no module, or there is no pair in what was named.
    """
    found: set[Pair] = set()
    for _, module in chosen_modules(model, modules, "efficient_conv_bn_eval"):
        found |= _pairs_in(module)
    # A layer that stands at several places, as convolutions shared by levels with norms of their own do,
    # belongs to no one pair.
    places = Counter(module for _, module in model.named_modules(remove_duplicate=False))
    norms_of, convs_of = Counter(conv for conv, _ in found), Counter(norm for _, norm in found)
    pairs = [
        (conv, norm)
        for conv, norm in found
        if {places[conv], places[norm], norms_of[conv], convs_of[norm]} == {1}
    ]
    if not pairs:
        raise ConfigError(
            f"efficient_conv_bn_eval: there is no convolution with a batch norm behind it in {modules!r}"
        )
    for conv, norm in pairs:
        # On the instances, so that neither the classes nor the names of the weights change.
        conv.forward = partial(_conv_or_both, conv, norm)
        norm.forward = partial(_done_by_conv, norm)
    return len(pairs)


def _conv_or_both(conv: Any, norm: Any, inputs: Tensor) -> Tensor:
    return type(conv).forward(conv, inputs) if norm.training else folded(conv, norm, inputs)


def can_fold(conv: Any, norm: Any) -> bool:
    """Whether `folded` computes what the two layers do in eval mode."""
    return type(conv) in _CONVS and _is_plain_norm(norm)


def folded(conv: Any, norm: Any, inputs: Tensor) -> Tensor:
    """A convolution and the batch norm behind it, with the statistics that it has, in one step."""
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = norm.weight * scale
    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = shift * scale
    if norm.bias is not None:
        bias = bias + norm.bias
    weight = conv.weight * scale.reshape(-1, *[1] * (conv.weight.dim() - 1))
    # Statistics are float32 where the weights may be half.
    return conv._conv_forward(inputs, weight.to(conv.weight.dtype), bias.to(conv.weight.dtype))


def _done_by_conv(norm: Any, inputs: Tensor) -> Tensor:
    return type(norm).forward(norm, inputs) if norm.training else inputs


class _Tracer(fx.Tracer):
    """Follows a forward pass down to convolutions, batch norms and torch's own modules."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (*_CONVS, *_NORMS)) or super().is_leaf_module(m, module_qualified_name)


def _pairs_in(module: nn.Module) -> set[Pair]:
    """Convolutions whose output goes to a batch norm and nowhere else, each of both called once."""
    optional = {
        name: one.default
        for name, one in inspect.signature(module.forward).parameters.items()
        if one.default is not inspect.Parameter.empty
    }
    try:
        graph = _Tracer().trace(module, concrete_args=optional)
    except Exception:  # a forward pass that depends on values: those of its parts may not
        return {pair for child in module.children() for pair in _pairs_in(child)}
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(node.target for node in calls)
    pairs = set()
    for node in calls:
        source = node.args[0] if len(node.args) == 1 else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        conv, norm = module.get_submodule(str(source.target)), module.get_submodule(str(node.target))
        once = times[node.target] == times[source.target] == 1
        if once and can_fold(conv, norm):
            pairs.add((conv, norm))
    return pairs


def _is_plain_norm(norm: Any) -> bool:
    """Whether it normalises by its running statistics in eval mode, as torch's do."""
    forwards = [cls.forward for cls in _NORMS]
    return isinstance(norm, _NORMS) and type(norm).forward in forwards and norm.running_mean is not None
