"""The inferencer that fits a config and a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from torch import nn

from toolkit.config import Config
from toolkit.infer.base import BaseInferencer
from toolkit.infer.load import load_model
from toolkit.registry import INFERENCERS, DefaultScope
from toolkit.runner.checkpoint import config_of, find_latest_checkpoint, read_checkpoint
from toolkit.utils.errors import ConfigError


def inferencer_from(
    cfg: Config | None,
    checkpoint: str,
    *,
    overrides: Iterable[str] = (),
    device: str | None = None,
    trusted: bool = False,
) -> BaseInferencer:
    """The inferencer that the config names, or the registered one that knows this kind of model.

    Args:
        cfg: The config, or None for the one that the checkpoint carries.
        checkpoint: A path, a URL, or a work directory, which stands for its newest checkpoint.
        overrides: `KEY=VALUE` texts for the config that the checkpoint carries.
        device: A torch device; the best at hand if None.
        trusted: Unpickle whatever the checkpoint holds.

    Raises:
        CheckpointError: The checkpoint is missing, damaged or of another model, or carries no config.
        ConfigError: The config has no test pipeline, or a mistake in it.
    """
    path = find_latest_checkpoint(checkpoint) or checkpoint
    content = read_checkpoint(path, trusted=trusted)
    cfg = cfg or config_of(content, overrides=overrides)
    model = load_model(cfg, content, device, source=path)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        return _build(cfg, model)


def _build(cfg: Config, model: nn.Module) -> BaseInferencer:
    named = cfg.get("inferencer")
    if named is not None:
        settings = named if isinstance(named, Mapping) else dict(type=named)
        return cast("BaseInferencer", INFERENCERS.build(settings, default_args=dict(model=model)))
    for kind in INFERENCERS.module_dict.values():
        if kind.handles(model):
            return cast("BaseInferencer", kind(model=model))
    raise ConfigError(
        f"No inferencer knows how to show what a {type(model).__name__} predicts. Register one (a subclass "
        "of toolkit.infer.BaseInferencer, under INFERENCERS) and name it: inferencer=dict(type='My')."
    )
