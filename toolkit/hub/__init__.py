"""Configs and models of the configs that are shipped with a package, by ``package::path``."""

from __future__ import annotations

from typing import Any

from torch import nn

from toolkit.config import Config
from toolkit.registry import MODELS, DefaultScope
from toolkit.utils.errors import CheckpointError

__all__ = ["get_config", "get_model"]


def get_config(cfg_path: str, pretrained: bool = False) -> Config:
    """A config of a package.

    Args:
        cfg_path: ``mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py``, also without its ending. ``mmdet``,
            ``mmpretrain`` and ``toolkit`` are the configs of this package, and then those of an installed
            package of that name.
        pretrained: Refused: which weights go with a config is not known here.

    Raises:
        ConfigError: There is no such config.
        CheckpointError: `pretrained` is set.
    """
    if pretrained:
        raise CheckpointError(
            f"which published weights go with {cfg_path} is not known here; leave pretrained out and load "
            "them with toolkit.runner.load_checkpoint(model, URL)"
        )
    return Config.fromfile(cfg_path)


def get_model(cfg_path: str, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The model of a config of a package, as its config initialises it.

    Args:
        cfg_path: See `get_config`.
        pretrained: See `get_config`.
        **kwargs: Arguments of the model that the config does not set.

    Raises:
        ConfigError: There is no such config.
        CheckpointError: `pretrained` is set.
    """
    cfg = get_config(cfg_path, pretrained)
    settings = dict(cfg.model)
    if "data_preprocessor" in cfg:
        settings.setdefault("data_preprocessor", cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        model: nn.Module = MODELS.build(settings, default_args=kwargs)
    return model
