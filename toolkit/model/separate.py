"""`MMSeparateDistributedDataParallel`: each part of a model exchanges its gradients by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from toolkit.model.wrappers import MMDistributedDataParallel
from toolkit.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class MMSeparateDistributedDataParallel(nn.Module):
    """Wraps each child of a model that has something to train in a `MMDistributedDataParallel` of its own.

    For models whose `train_step` updates its parts in turn with an `OptimWrapperDict`, such as a GAN with its
    generator and its discriminator: one wrapper around both would wait for gradients of the part that rests.
    A child is called through its wrapper; its own attributes are those of ``child.module``.

    Args:
        module: A `BaseModel` on its device, whose own `train_step` takes the steps.
        broadcast_buffers: See `torch.nn.parallel.DistributedDataParallel`, as for the others.
        find_unused_parameters: Whether parts of a child may get no gradient in a step.
        **kwargs: Further arguments of `MMDistributedDataParallel`.
    """

    def __init__(
        self,
        module: nn.Module,
        broadcast_buffers: bool = False,
        find_unused_parameters: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.module: Any = module
        for name, child in module.named_children():
            if any(param.requires_grad for param in child.parameters()):
                wrapped = MMDistributedDataParallel(
                    module=child,
                    broadcast_buffers=broadcast_buffers,
                    find_unused_parameters=find_unused_parameters,
                    **kwargs,
                )
                setattr(module, name, wrapped)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """The model's own `train_step`."""
        log_vars: dict[str, Tensor] = self.module.train_step(data, optim_wrapper)
        return log_vars

    def val_step(self, data: Any) -> Any:
        """Predictions of the model; nothing is synchronised."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """Predictions of the model; nothing is synchronised."""
        return self.module.test_step(data)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within it, no child exchanges gradients."""
        with ExitStack() as stack:
            for child in self.module.children():
                if isinstance(child, MMDistributedDataParallel):
                    stack.enter_context(child.no_sync())
            yield
