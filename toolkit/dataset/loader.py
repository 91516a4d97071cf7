"""DataLoaders from configs, and their position."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler

from toolkit.dataset.collate import pseudo_collate
from toolkit.dataset.position import position_loader
from toolkit.dataset.samplers import DefaultSampler
from toolkit.dataset.seeding import SeededDataset
from toolkit.dataset.wrappers import FirstSamples
from toolkit.dist import broadcast_object_list, get_rank, get_world_size
from toolkit.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS
from toolkit.registry.build import resolve_type
from toolkit.utils.errors import BuildError

logger = logging.getLogger("toolkit")


def worker_init_fn(
    worker_id: int,
    num_workers: int = 0,
    rank: int = 0,
    seed: int = 0,
    disable_subprocess_warning: bool = False,
) -> None:
    """Set up a worker: one thread each, for the workers are the parallelism.

    Args:
        worker_id: Number of the worker.
        num_workers: Workers of this loader.
        rank: Rank of the process.
        seed: Seed of the run; samples are seeded one by one, so that nothing is left to do with it.
        disable_subprocess_warning: Silence Python warnings in all workers but the first.
    """
    torch.set_num_threads(1)
    try:
        import cv2
    except ImportError:
        pass
    else:
        cv2.setNumThreads(0)
    if disable_subprocess_warning and worker_id != 0:
        warnings.simplefilter("ignore")


def build_dataloader(
    cfg: Mapping[str, Any] | DataLoader,
    *,
    seed: int,
    diff_rank_seed: bool = False,
    default_scope: str | None = None,
) -> DataLoader:
    """Build a DataLoader whose batches depend on (seed, epoch, index) alone.

    Args:
        cfg: `dataset` (dict or object), `sampler` or `batch_sampler` (dict, object or None), `batch_size`,
            `collate_fn` (dict, name or callable), `num_batch_per_epoch`, `worker_init_fn`, and the further
            arguments of `torch.utils.data.DataLoader`. A DataLoader passes through as it is.
        seed: Seed of the run.
        diff_rank_seed: Whether `seed` differs between ranks; the data's seed is rank 0's all the same, since
            ranks share one order.
        default_scope: Scope that names of functions and datasets are looked up in first.

    Returns:
        The loader; its `dataset` is a `SeededDataset` around the one of the config.

    Raises:
        BuildError: If a part can't be built.
    """
    if not isinstance(cfg, Mapping):
        return cfg
    args: dict[str, Any] = dict(cfg)
    if diff_rank_seed:
        seed = _seed_of_first_rank(seed)
    with DATASETS.switch_scope_and_registry(default_scope):
        dataset = _build_dataset(args)
        args["collate_fn"] = build_function(args.get("collate_fn") or pseudo_collate, "collate_fn")
        args["worker_init_fn"] = _build_worker_init(args, seed)
        _drop_useless(args)
        if isinstance(dataset, IterableDataset):
            args.pop("sampler", None)
            return DataLoader(dataset, **args)
        _build_samplers(args, dataset, seed)
    # A generator of its own: making an iterator would draw from the global one otherwise.
    args.setdefault("generator", torch.Generator().manual_seed(seed))
    loader = DataLoader(SeededDataset(dataset, seed), **args)
    position_loader(loader)
    return loader


def set_position(loader: Any, epoch: int, batch: int) -> int:
    """Let the next `iter(loader)` start at batch number `batch` of epoch `epoch`.

    Only indices are skipped, no sample is fetched. A loader of `build_dataloader` then gives the very
    batches of the uninterrupted run. The order of another DataLoader is its sampler's affair.

    Args:
        loader: A DataLoader, or any other iterable of batches.
        epoch: Epoch, from 0; under a sampler without end, 0.
        batch: Batches of that epoch that have been used already.

    Returns:
        Batches that the caller has to draw and drop itself: 0 for a DataLoader over a map-style dataset,
        `batch` for anything else.
    """
    sampler = position_loader(loader) if isinstance(loader, DataLoader) else None
    if sampler is not None:
        if batch and not sampler.tag:
            logger.warning(
                "the DataLoader was not built by toolkit: its first %d batches of epoch %d are skipped, "
                "but what its sampler and transforms draw at random is not that of the interrupted run",
                batch,
                epoch,
            )
        sampler.set_position(epoch, batch)
        return 0
    if batch:
        logger.warning(
            "%s can't start in the middle of an epoch: %d batches have to be drawn and dropped",
            type(loader).__name__,
            batch,
        )
    return batch


def _seed_of_first_rank(seed: int) -> int:
    shared = [seed]
    broadcast_object_list(shared, src=0)
    return shared[0]


def _build_dataset(args: dict[str, Any]) -> Any:
    dataset = args.pop("dataset")
    if isinstance(dataset, Mapping):
        dataset = DATASETS.build(dataset)
        if hasattr(dataset, "full_init"):
            dataset.full_init()
    elif isinstance(dataset, SeededDataset):
        dataset = dataset.dataset
    batches = args.pop("num_batch_per_epoch", None)
    if batches is not None:
        dataset = FirstSamples(dataset, batches * args.get("batch_size", 1) * get_world_size())
    return dataset


def build_function(spec: Any, what: str) -> Callable[..., Any]:
    """A function from its name, from `dict(type=name, **arguments)`, or as it is."""
    arguments: dict[str, Any] = {}
    if isinstance(spec, Mapping):
        arguments = dict(spec)
        spec = arguments.pop("type", None)
    function = resolve_type(spec, FUNCTIONS) if not callable(spec) else spec
    if not callable(function):
        raise BuildError(f"{what} must be a function, its name or dict(type=...), but got {spec!r}")
    return partial(function, **arguments) if arguments else function


def _build_worker_init(args: dict[str, Any], seed: int) -> Callable[[int], None] | None:
    spec = args.get("worker_init_fn")
    facts = {"num_workers": args.get("num_workers", 0), "rank": get_rank(), "seed": seed}
    facts["disable_subprocess_warning"] = args.pop("disable_subprocess_warning", False)
    if callable(spec) and not isinstance(spec, Mapping):
        return spec
    if spec is None:
        return partial(worker_init_fn, **facts)
    if isinstance(spec, str):
        spec = {"type": spec}
    return build_function({**facts, **spec}, "worker_init_fn")


def _drop_useless(args: dict[str, Any]) -> None:
    """Take out what has no effect here, but which torch would refuse or warn of."""
    if not args.setdefault("num_workers", 0):
        args.pop("persistent_workers", None)
        args.pop("prefetch_factor", None)
    if args.get("pin_memory") and not torch.cuda.is_available():
        args["pin_memory"] = False


def _build_samplers(args: dict[str, Any], dataset: Any, seed: int) -> None:
    """Replace the configs of the sampler and the batch sampler in `args` by objects."""
    sampler, batch_sampler = args.pop("sampler", None), args.pop("batch_sampler", None)
    shuffle = args.pop("shuffle", False)
    if sampler is None and not isinstance(batch_sampler, Sampler):
        # torch's own random order would depend on the state of a generator, not on (seed, epoch).
        sampler = {"type": DefaultSampler, "shuffle": bool(shuffle)}
    if isinstance(sampler, Mapping):
        sampler = DATA_SAMPLERS.build(sampler, default_args={"dataset": dataset, "seed": seed})
    if batch_sampler is None:
        args["sampler"] = sampler
        return
    if isinstance(batch_sampler, Mapping):
        defaults = {"sampler": sampler, "batch_size": args.get("batch_size", 1)}
        batch_sampler = DATA_SAMPLERS.build(batch_sampler, default_args=defaults)
    for key in ("batch_size", "drop_last"):
        args.pop(key, None)
    args["batch_sampler"] = batch_sampler
