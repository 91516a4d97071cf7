"""Counts the work of a forward pass, operation by operation, at the module that does it."""

from __future__ import annotations

from collections import Counter, defaultdict
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
        flops: FLOPs by the name of the innermost module, and by that of the operation, such as ``addmm``.
        activations: Numbers that these operations put out, likewise.
        others: How often operations ran that are left out, likewise.
        called: Names of the modules that ran.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops: dict[str, Counter[str]] = defaultdict(Counter)
        self.activations: dict[str, Counter[str]] = defaultdict(Counter)
        self.others: dict[str, Counter[str]] = defaultdict(Counter)
        self.called: set[str] = {""}
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
        where, operation = self.stack[-1], _name(str(packet))
        if not known:
            self.others[where][operation] += 1
        else:
            first = out[0] if isinstance(out, (tuple, list)) else out
            if str(packet) in _EXTRA:
                done = _EXTRA[str(packet)](args, first)
            else:
                done = flop_registry[packet](*args, **kwargs, out_val=out)
            self.flops[where][operation] += int(done)
            self.activations[where][operation] += first.numel()
        return out


def _name(packet: str) -> str:
    """``conv`` of ``aten.convolution``, ``addmm`` of ``aten.addmm``."""
    return packet.partition(".")[2].replace("convolution", "conv")


@contextmanager
def counting(model: nn.Module) -> Iterator[WorkCounter]:
    """Counts what the model does inside of the block; the model is as before after it."""
    counter = WorkCounter()
    handles = []

    def enter(name: str) -> Callable[..., None]:
        def entered(module: nn.Module, inputs: Any) -> None:
            counter.called.add(name)
            counter.stack.append(name)

        return entered

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
