"""`MMFullyShardedDataParallel`: each process holds a part of the weights, gradients and optimizer state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.dist import all_reduce, broadcast, is_distributed, is_sharded, shard_like, whole
from toolkit.model.fsdp_options import (
    device_of,
    mesh_of,
    named_function,
    precision_of,
    prefetches_backward,
    sharding_strategy,
    units_of,
)
from toolkit.model.steps import take_step
from toolkit.registry import MODEL_WRAPPERS
from toolkit.utils import BuildError, ConfigError, did_you_mean

# Methods of a part of a model, beside its forward pass, in which its weights are used: dense heads and RoI
# heads are called through these.
_FORWARD_METHODS = ("loss", "predict", "loss_and_predict")


@MODEL_WRAPPERS.register_module()
class MMFullyShardedDataParallel(nn.Module):
    """Shards a model over processes, after ZeRO (Rajbhandari et al., arXiv:1910.02054), stage 3.

    The model is cut into units: itself, and the modules inside that `auto_wrap_policy` names. The weights of
    a unit are put together when it runs and dropped afterwards: a device holds one unit and its share of the
    rest. The sharding is PyTorch's `fully_shard` (FSDP2): parameters keep their names, shapes and settings,
    as `DTensor`, so that optimizers, parameter groups, clipping and checkpoints are those of any run. With
    accumulation, gradients are exchanged after each batch, since whole ones would take the memory saved.

    Args:
        module: A `BaseModel`, on the CPU or on the device. Each unit's weights move to the device when it is
            cut, so the whole model need not fit there.
        process_group: The processes that share the model (all by default): a group, or a dict with the
            arguments of `torch.distributed.new_group`.
        sharding_strategy: ``FULL_SHARD`` (by default), ``SHARD_GRAD_OP`` (weights stay whole between forward
            and backward), ``HYBRID_SHARD`` (sharded within a machine, copied between machines),
            ``_HYBRID_SHARD_ZERO2`` (both), ``NO_SHARD`` (copied), or a member of PyTorch's enumeration.
        cpu_offload: Whether weights, gradients and optimizer state live on the host; also an object with
            ``offload_params``.
        auto_wrap_policy: What becomes a unit: a function ``(module, recurse, nonwrapped_numel) -> bool``, its
            name under FUNCTIONS, or a dict with that name as ``type`` and further arguments, such as
            ``dict(type='size_based_auto_wrap_policy', min_num_params=1e7)`` or
            ``dict(type='transformer_auto_wrap_policy', transformer_layer_cls=['SwinBlock'])``.
        backward_prefetch: ``BACKWARD_PRE`` (by default): fetch the next unit's weights while the gradients of
            one are computed. ``BACKWARD_POST``: only then, which is slower and takes less memory.
        mixed_precision: ``dict(param_dtype='bfloat16', reduce_dtype='float32')``: the types to compute in and
            to exchange gradients in; also ``buffer_dtype``, ``output_dtype`` and ``cast_forward_inputs``.
            The weights that the optimizer changes keep their type.
        param_init_fn: Called with each module whose own weights are on the meta device, to fill them; a
            function or its name under FUNCTIONS. By default they are filled by ``reset_parameters``.
        use_orig_params: Without effect: parameters are the original ones in any case.
        ignored_modules: Modules, or their names, whose parameters are left whole, and without exchange of
            gradients: frozen ones.
        ignored_parameters: The same for single parameters or their names.
        ignored_states: Modules or parameters, to ignore.
        device_id: The device of this process, or the number of a CUDA one; by default the current CUDA device
            under NCCL, otherwise the CPU.
        sync_module_states: Begin with the weights of the first process on all.
        forward_prefetch: Fetch the next unit's weights while one computes, in the order of the modules.
        limit_all_gathers: Without effect: their memory is limited in any case.
        device_mesh: The processes, as a `DeviceMesh` of 1 dimension, or of 2 (copies, shards); in place of
            `process_group`.

    Raises:
        BuildError: There is no process group, or this PyTorch can't shard on the CPU.
        ConfigError: An argument is unknown or contradicts another.
    """

    places_module = True
    """A runner leaves it to the wrapper to bring the model to the device."""

    def __init__(
        self,
        module: nn.Module,
        process_group: Any = None,
        sharding_strategy: Any = None,
        cpu_offload: Any = None,
        auto_wrap_policy: str | Mapping[str, Any] | Callable[..., bool] | None = None,
        backward_prefetch: Any = None,
        mixed_precision: Any = None,
        param_init_fn: str | Callable[[nn.Module], None] | None = None,
        use_orig_params: bool = True,
        ignored_modules: Iterable[str | nn.Module] | None = None,
        ignored_parameters: Iterable[str | nn.Parameter] | None = None,
        ignored_states: Iterable[nn.Module | nn.Parameter] | None = None,
        device_id: int | str | torch.device | None = None,
        sync_module_states: bool = True,
        forward_prefetch: bool = False,
        limit_all_gathers: bool = True,
        device_mesh: Any = None,
    ) -> None:
        super().__init__()
        if not is_distributed():
            raise BuildError(
                "MMFullyShardedDataParallel shares a model between processes, but this run has no process "
                "group: start it with a launcher, such as torchrun with --launcher pytorch"
            )
        self.module: Any = module
        ignored = _ignored(module, ignored_modules, ignored_parameters, ignored_states)
        policy = named_function("auto_wrap_policy", auto_wrap_policy)
        precision, buffer_dtype = precision_of(mixed_precision)
        cut = _Cut(
            device_of(device_id, process_group if not isinstance(process_group, Mapping) else None),
            process_group,
            device_mesh,
            sharding_strategy,
            getattr(cpu_offload, "offload_params", cpu_offload is not None and cpu_offload is not False),
            precision,
        )
        self.units: list[Any] = [*units_of(module, policy, ignored), module]
        if sync_module_states:
            _sync(module, cut.groups)
        # `fully_shard` takes parameters with a dimension to cut along only.
        self._copied = [p for p in module.parameters() if p.ndim == 0 and p not in ignored]
        self._groups, self._size = cut.groups, cut.mesh.size()
        with _hidden(module, {*ignored, *self._copied}):
            for unit in self.units:
                _materialize(unit, named_function("param_init_fn", param_init_fn), cut.device)
                cut.apply(unit, is_root=unit is module)
        self._set_prefetch(prefetches_backward(backward_prefetch), forward_prefetch)
        for tensor in (*ignored, *self._copied):
            tensor.data = tensor.data.to(cut.device)
        for buffer in module.buffers() if buffer_dtype is not None else ():
            if buffer.is_floating_point():
                buffer.data = buffer.data.to(buffer_dtype)
        self._sync_queued = False

    def _set_prefetch(self, backward: bool, forward: bool) -> None:
        for unit in self.units if not backward else ():
            unit.set_modules_to_backward_prefetch([unit])  # nothing but itself, which is there by then
        inner: list[Any] = [one for one in self.module.modules() if one in self.units[:-1]]
        for unit, following in pairwise(inner if forward else ()):
            unit.set_modules_to_forward_prefetch([following])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        output = self.module(*args, **kwargs)
        if not torch.is_grad_enabled():
            self.module.reshard()  # no backward will do it, and the parameters are those of the shards
        elif self._copied:
            for tensor in _tensors(output):
                if tensor.requires_grad:
                    tensor.register_hook(self._queue_sync)
        return output

    def _queue_sync(self, _: Tensor) -> None:
        """At the start of backward, which every process has at the same place: sync at its end."""
        if not self._sync_queued:
            self._sync_queued = True
            torch.autograd.Variable._execution_engine.queue_callback(self._sync_copied)

    def _sync_copied(self) -> None:
        self._sync_queued = False
        given = torch.tensor([float(param.grad is not None) for param in self._copied])
        summed = torch.stack([given.new_zeros(()) if p.grad is None else p.grad.cpu() for p in self._copied])
        both = torch.stack([summed, given])
        for group in self._groups:
            all_reduce(both, "sum", group)
        for param, total, count in zip(self._copied, *both.tolist(), strict=True):
            if count:  # otherwise the loss of no process depends on it
                param.grad = torch.full_like(param, total / self._size)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One optimisation step. See `BaseModel.train_step`."""
        return take_step(self, self.module, data, optim_wrapper)[1]

    def val_step(self, data: Any) -> Any:
        """Predictions of a batch. All processes must call it, for batches of any content."""
        predictions = self.module.val_step(data)
        self.module.reshard()
        return predictions

    def test_step(self, data: Any) -> Any:
        """Predictions of a batch. All processes must call it, for batches of any content."""
        predictions = self.module.test_step(data)
        self.module.reshard()
        return predictions

    @contextmanager
    def whole_parameters(self) -> Iterator[nn.Module]:
        """Within it, the model has whole parameters on the CPU, and can't run; afterwards what they became.

        All processes must enter it, and then have the parameters of the first.
        """
        for unit in self.units:
            unit.reshard()
        kept: dict[nn.Parameter, nn.Parameter] = {}
        owners: list[tuple[nn.Module, str, nn.Parameter]] = []
        for owner in self.module.modules():
            for name, param in owner._parameters.items():
                if param is None or not is_sharded(param):
                    continue
                if param not in kept:
                    kept[param] = nn.Parameter(whole(param).cpu(), requires_grad=param.requires_grad)
                owners.append((owner, name, param))
                owner._parameters[name] = kept[param]
        try:
            yield self.module
            with torch.no_grad():
                for param, edited in kept.items():
                    param.copy_(shard_like(edited, param))
        finally:
            for owner, name, param in owners:
                owner._parameters[name] = param


class _Cut:
    """PyTorch's `fully_shard` with the arguments of one model."""

    def __init__(
        self,
        device: torch.device,
        group: Any,
        mesh: Any,
        strategy: Any,
        offload: bool,
        precision: dict[str, Any],
    ) -> None:
        from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy

        if mesh is not None and group is not None:
            raise ConfigError("MMFullyShardedDataParallel takes a process_group or a device_mesh, not both")
        chosen = sharding_strategy(strategy)
        self.mesh = mesh if mesh is not None else mesh_of(group, device, chosen)
        self.groups = [self.mesh.get_group(dim) for dim in range(self.mesh.ndim)]
        self.device = device
        self.on_cpu = self.mesh.device_type == "cpu"
        if self.on_cpu and not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
            raise BuildError(
                f"sharding on the CPU needs torch 2.8 or newer, this is {torch.__version__}; CUDA devices do "
                "with any version"
            )
        self.arguments: dict[str, Any] = {"mesh": self.mesh, "mp_policy": MixedPrecisionPolicy(**precision)}
        if not chosen.reshard:
            self.arguments["reshard_after_forward"] = False
        if offload and not self.on_cpu:
            self.arguments["offload_policy"] = CPUOffloadPolicy()

    def apply(self, unit: nn.Module, is_root: bool) -> None:
        """Cut the weights of a unit that no unit inside has."""
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        sharded: Any = fully_shard(unit, **self.arguments)
        if self.on_cpu:  # Gloo sums where it is asked for a mean, in some versions
            sharded.set_force_sum_reduction_for_comms(True)
        for name in _FORWARD_METHODS if not is_root else ():
            if callable(getattr(unit, name, None)):
                register_fsdp_forward_method(unit, name)


def _ignored(
    module: nn.Module,
    modules: Iterable[str | nn.Module] | None,
    parameters: Iterable[str | nn.Parameter] | None,
    states: Iterable[nn.Module | nn.Parameter] | None,
) -> set[nn.Parameter]:
    """The parameters to leave whole."""
    both = list(states or ())
    inner = [_named("ignored_modules", one, dict(module.named_modules())) for one in modules or ()]
    own = [_named("ignored_parameters", one, dict(module.named_parameters())) for one in parameters or ()]
    found = {one for one in (*own, *both) if isinstance(one, nn.Parameter)}
    for part in (*inner, *both):
        if isinstance(part, nn.Module):
            found.update(part.parameters())
    return found


def _named(argument: str, one: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(one, str):
        return one
    if one not in known:
        raise ConfigError(
            f"{argument} of MMFullyShardedDataParallel: the model has no {one!r}{did_you_mean(one, known)}"
        )
    return known[one]


@torch.no_grad()
def _sync(module: nn.Module, groups: Sequence[Any]) -> None:
    for tensor in (*module.parameters(), *module.buffers()):
        for group in groups if not tensor.is_meta else ():
            broadcast(tensor, torch.distributed.get_global_rank(group, 0), group)


@contextmanager
def _hidden(module: nn.Module, params: set[nn.Parameter]) -> Iterator[None]:
    """Within it, the modules are without some of their parameters."""
    places = [
        (owner, name, param)
        for owner in module.modules()
        for name, param in owner._parameters.items()
        if param in params
    ]
    for owner, name, _ in places:
        owner._parameters[name] = None  # so that the order stays, which is that of an optimizer's state
    try:
        yield
    finally:
        for owner, name, param in places:
            owner._parameters[name] = param


def _materialize(unit: nn.Module, init: Callable[[nn.Module], None] | None, device: torch.device) -> None:
    """Fill the weights of a unit that are on the meta device, module by module."""
    for part in unit.modules():
        tensors = (*part.parameters(recurse=False), *part.buffers(recurse=False))
        if not any(tensor.is_meta for tensor in tensors):
            continue
        if init is not None:
            init(part)
            continue
        part.to_empty(device=device, recurse=False)
        reset = getattr(part, "reset_parameters", None)
        if reset is None:
            raise ConfigError(
                f"{type(part).__name__} is on the meta device and has no reset_parameters(); give "
                "MMFullyShardedDataParallel a param_init_fn that fills its weights"
            )
        reset()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
