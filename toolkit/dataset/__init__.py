"""Datasets, samplers and loaders whose batches depend on (seed, epoch, index) alone."""

from toolkit.dataset.base_dataset import BaseDataset, force_full_init
from toolkit.dataset.collate import default_collate, pseudo_collate
from toolkit.dataset.compose import Compose
from toolkit.dataset.loader import build_dataloader, set_position, worker_init_fn
from toolkit.dataset.multi_image_mix import MultiImageMixDataset
from toolkit.dataset.samplers import DefaultSampler, InfiniteSampler
from toolkit.dataset.seeding import SeededDataset
from toolkit.dataset.serialization import PackedList
from toolkit.dataset.source import current_source, preparing
from toolkit.dataset.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset
from toolkit.registry import FUNCTIONS

# MMEngine's name for the registry that collate functions are in.
COLLATE_FUNCTIONS = FUNCTIONS

__all__ = [
    "COLLATE_FUNCTIONS",
    "BaseDataset",
    "ClassBalancedDataset",
    "Compose",
    "ConcatDataset",
    "DefaultSampler",
    "InfiniteSampler",
    "MultiImageMixDataset",
    "PackedList",
    "RepeatDataset",
    "SeededDataset",
    "build_dataloader",
    "current_source",
    "default_collate",
    "force_full_init",
    "preparing",
    "pseudo_collate",
    "set_position",
    "worker_init_fn",
]
