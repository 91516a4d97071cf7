"""Detectors by MMDetection's functions: `init_detector` makes one, `inference_detector` asks it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn

from toolkit.config import Config
from toolkit.dataset import Compose, pseudo_collate
from toolkit.detection.datasets import CityscapesDataset, CocoDataset, VOCDataset
from toolkit.infer import load
from toolkit.infer.inputs import as_sample
from toolkit.infer.load import find_config, load_model
from toolkit.registry import DefaultScope
from toolkit.utils.errors import ConfigError, DataError
from toolkit.utils.suggest import did_you_mean

_OF_DATASETS: dict[str, Any] = {"coco": CocoDataset, "voc": VOCDataset, "citys": CityscapesDataset}
_PALETTES = (*_OF_DATASETS, "random", "none")


def init_detector(
    config: str | os.PathLike[str] | Config,
    checkpoint: str | os.PathLike[str] | None = None,
    palette: Any = "none",
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    *,
    trusted: bool = False,
) -> nn.Module:
    """Make a detector of a config and a checkpoint.

    Args:
        config: The config, or its path.
        checkpoint: A path, a URL, or a work directory, which stands for its newest checkpoint; None for
            random weights.
        palette: Colours of the classes; see `DetInferencer`.
        device: A torch device, such as ``cuda:0``; the best at hand if None.
        cfg_options: Changes of the config, values by dotted key.
        trusted: Unpickle whatever the checkpoint holds.

    Returns:
        The model on its device, in evaluation mode, with the attributes `cfg` and `dataset_meta`.

    Raises:
        ConfigError: The config can't be found, or has a mistake in it.
        CheckpointError: The checkpoint is missing, damaged or of another model.
    """
    if isinstance(config, (str, os.PathLike)):
        cfg = Config.fromfile(config, overrides=cfg_options)
    else:
        cfg = find_config(config)
        if cfg_options:
            cfg = copy.deepcopy(cfg)
            cfg.merge_from_dict(cfg_options)
    model = load_model(cfg, checkpoint, device, trusted=trusted)
    set_palette(model, palette)
    return model


def inference_detector(
    model: nn.Module,
    imgs: Any,
    test_pipeline: Callable[[dict[str, Any]], Any] | None = None,
    text_prompt: str | None = None,
    custom_entities: bool = False,
) -> Any:
    """Detect on images, one after the other.

    Args:
        model: A detector from `init_detector`.
        imgs: A path, URL or uint8 BGR array of shape (H, W, 3), or a list or tuple of these.
        test_pipeline: Makes a sample of a dict with `img_path` or `img`; by default the config's test
            pipeline without annotations.
        text_prompt: For models that read a text, which goes to the pipeline as `text`.
        custom_entities: For these, too: the text lists the classes.

    Returns:
        A `DetDataSample` with `pred_instances`; for a list or tuple a list of them.

    Raises:
        DataError: An image can't be read.
    """
    pipeline = test_pipeline or _pipeline_of(model)
    extra = {} if text_prompt is None else dict(text=text_prompt, custom_entities=custom_entities)
    step = cast("Callable[[Any], list[Any]]", model.test_step)
    found: list[Any] = []
    for image in imgs if isinstance(imgs, (list, tuple)) else [imgs]:
        sample = pipeline({**as_sample(image), **extra})
        if sample is None:
            raise DataError("the test pipeline drops the image")
        with torch.no_grad():
            found += step(pseudo_collate([sample]))
    return found if isinstance(imgs, (list, tuple)) else found[0]


def _pipeline_of(model: nn.Module) -> Compose:
    cfg = find_config(model)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        return Compose(load.test_pipeline(cfg))


def set_palette(model: nn.Module, palette: Any) -> None:
    """Change the colours in a detector's `dataset_meta`.

    Args:
        model: The detector.
        palette: See `DetInferencer`.

    Raises:
        ConfigError: No palette is called so.
    """
    if isinstance(palette, str):
        if palette not in _PALETTES:
            raise ConfigError(
                f"no palette is called {palette!r}{did_you_mean(palette, _PALETTES)} There are: "
                f"{', '.join(_PALETTES)}; or give RGB colours"
            )
        if palette == "none":
            return
        palette = _OF_DATASETS[palette].METAINFO["palette"] if palette in _OF_DATASETS else None
    model.dataset_meta["palette"] = palette  # type: ignore[operator, index]
