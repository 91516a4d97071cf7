"""Building the parts of a head, each from its config; what is built already passes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.detection.registry import TASK_UTILS


def _build(cfg: Any, default_args: Mapping[str, Any] | None = None) -> Any:
    if not isinstance(cfg, dict):
        return cfg
    return TASK_UTILS.build(cfg, default_args=dict(default_args) if default_args else None)


def build_assigner(cfg: Any, **default_args: Any) -> Any:
    """Build an assigner, which says what ground truth a prior stands for."""
    return _build(cfg, default_args)


def build_sampler(cfg: Any, **default_args: Any) -> Any:
    """Build a sampler, which chooses the priors that train."""
    return _build(cfg, default_args)


def build_bbox_coder(cfg: Any, **default_args: Any) -> Any:
    """Build a box coder, from boxes to regression targets and back."""
    return _build(cfg, default_args)


def build_iou_calculator(cfg: Any, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a calculator of overlaps."""
    return _build(cfg, default_args)


def build_prior_generator(cfg: Any, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a generator of anchors or points."""
    return _build(cfg, default_args)


def build_anchor_generator(cfg: Any, default_args: Mapping[str, Any] | None = None) -> Any:
    """The older name of `build_prior_generator`."""
    return _build(cfg, default_args)
