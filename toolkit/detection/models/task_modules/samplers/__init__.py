"""Samplers: which priors train."""

from toolkit.detection.models.task_modules.samplers.balanced_sampler import (
    InstanceBalancedPosSampler,
    IoUBalancedNegSampler,
)
from toolkit.detection.models.task_modules.samplers.base import BaseSampler
from toolkit.detection.models.task_modules.samplers.combined_sampler import CombinedSampler
from toolkit.detection.models.task_modules.samplers.hard_sampler import OHEMSampler
from toolkit.detection.models.task_modules.samplers.pseudo_sampler import PseudoSampler
from toolkit.detection.models.task_modules.samplers.random_sampler import RandomSampler
from toolkit.detection.models.task_modules.samplers.sampling_result import SamplingResult

__all__ = [
    "BaseSampler",
    "CombinedSampler",
    "InstanceBalancedPosSampler",
    "IoUBalancedNegSampler",
    "OHEMSampler",
    "PseudoSampler",
    "RandomSampler",
    "SamplingResult",
]
