"""Counts the work of a forward pass, operation by operation, at the module that does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count


def _deform_conv_flops(args: tuple[Any, ...], out: Tensor) -> int:
    # torchvision.ops.deform_conv2d: what a convolution of the same weight does; sampling is not counted.
    return 2 * args[1][0].numel() * out.numel()


def _attention_flops(args: tuple[Any, ...], out: Tensor) -> int:
    query, key, value = args[:3]
    return sdpa_flop_count(query.shape, key.shape, value.shape)


# What torch's own registry lacks; attention on the CPU came to it only in torch 2.15.
_EXTRA: dict[str, Callable[[tuple[Any, ...], Tensor], int]] = {
    "torchvision.deform_conv2d": _deform_conv_flops,
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention_flops,
    "aten._scaled_dot_product_fused_attention_overrideable": _attention_flops,
}


class WorkCounter(TorchDispatchMode):
    """While it is entered, counts what convolutions, matrix products and attention do.

    The formulas are those of `torch.utils.flop_counter`: a multiply-add is two FLOPs. All other operations
    (norms, activation functions, pooling, resizing) are left out.

    Attributes:
        flops: FLOPs by the name of the innermost module.
        activations: Numbers that these operations put out, likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops: Counter[str] = Counter()
        self.activations: Counter[str] = Counter()
        self.stack: list[str] = [""]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        packet = func._overloadpacket
        known = packet in flop_registry or str(packet) in _EXTRA
        if not known:
            # In inference mode, operations such as `linear` come here whole.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if known:
            first = out[0] if isinstance(out, (tuple, list)) else out
            if str(packet) in _EXTRA:
                done = _EXTRA[str(packet)](args, first)
            else:
                done = flop_registry[packet](*args, **kwargs, out_val=out)
            self.flops[self.stack[-1]] += int(done)
            self.activations[self.stack[-1]] += first.numel()
        return out


@contextmanager
def counting(model: nn.Module) -> Iterator[WorkCounter]:
    """Counts what the model does inside of the block; the model is as before after it."""
    counter = WorkCounter()
    handles = []

    def enter(name: str) -> Callable[..., None]:
        return lambda module, inputs: counter.stack.append(name)

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        counter.stack.pop()

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave, always_call=True))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # whole layers of transformers as one operation
    try:
        with torch.no_grad(), counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
