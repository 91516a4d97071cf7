"""From a config and a checkpoint to a model that is ready to predict, and the pipeline that feeds it."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn

from toolkit.config import Config
from toolkit.config.paths import SUFFIXES, config_files
from toolkit.fileio.checkpoint import weights_of
from toolkit.registry import MODELS, DefaultScope
from toolkit.runner import load_state_dict
from toolkit.runner.checkpoint import config_of, find_latest_checkpoint, read_checkpoint
from toolkit.runner.environment import choose_device
from toolkit.runner.preflight import check
from toolkit.runner.sets import is_named_loaders
from toolkit.utils.errors import CheckpointError, ConfigError
from toolkit.utils.suggest import did_you_mean

# Steps of a test pipeline that read what a lone image doesn't have.
_NEEDS_ANNOTATIONS = ("LoadAnnotations", "LoadPanopticAnnotations", "FilterAnnotations")
_UNNAMED = "the checkpoint"

Weights: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | None
Put: TypeAlias = Callable[[nn.Module, Mapping[str, Any] | None, Config], None]


def find_config(
    model: Any, weights: Weights = None, scope: str | None = None, *, trusted: bool = False
) -> Config:
    """The config that a user means.

    Args:
        model: Its path, a `Config`, a dict, the name of a shipped one, a model that has it as `cfg`, or None
            for the one that `weights` carries.
        weights: A checkpoint's path or URL, or a work directory.
        scope: The project whose shipped configs a name is looked for in.
        trusted: Unpickle whatever the checkpoint holds.

    Raises:
        ConfigError: There is no such config, or neither a model nor weights are given.
        CheckpointError: `weights` carries no config; or `model` is a name and no weights are given.
        TypeError: `model` is none of these.
    """
    if model is None:
        if weights is None:
            raise ConfigError(
                "neither a model nor weights are given: give a config, or a checkpoint that carries one"
            )
        return config_of(_read(weights, trusted))
    if isinstance(model, nn.Module):
        model = getattr(model, "cfg", None)
        if model is None:
            raise ConfigError(
                "the model has no `cfg`: make it with toolkit.infer.init_detector or load_model"
            )
    if isinstance(model, (str, os.PathLike)):
        return _named_config(os.fspath(model), weights, scope)
    if isinstance(model, Config):
        return model
    if isinstance(model, Mapping):
        return Config(model)
    raise TypeError(
        f"a model is given as the path of a config, a Config or a dict, not as {type(model).__name__}"
    )


def _named_config(name: str, weights: Any, scope: str | None) -> Config:
    if name.endswith(SUFFIXES) or os.sep in name or "::" in name:
        return Config.fromfile(name)
    known = config_files(scope)
    if name not in known:
        raise ConfigError(
            f"no config is called {name!r}{did_you_mean(name, known)} A model is the path of a config, or "
            "one of list_models(); names of OpenMMLab's model index, which stand for weights too, are unknown"
        )
    if weights is None:
        raise CheckpointError(
            f"{name} is the config {known[name]}; which weights go with it is not known, give weights="
        )
    return Config.fromfile(known[name])


def list_names(scope: str | None = None, patterns: str = ".*") -> list[str]:
    """The names of shipped configs that match a regular expression from their beginning, sorted."""
    return sorted(name for name in config_files(scope) if re.match(patterns, name))


def _read(weights: Any, trusted: bool) -> Mapping[str, Any]:
    if isinstance(weights, Mapping):
        return weights
    path = os.fspath(weights)
    return read_checkpoint(find_latest_checkpoint(path) or path, trusted=trusted)


def load_model(
    cfg: Config,
    weights: Weights,
    device: str | None = None,
    *,
    trusted: bool = False,
    scope: str | None = None,
    source: str | None = None,
    put: Put | None = None,
) -> nn.Module:
    """Build a config's model and load its weights.

    Args:
        cfg: The config.
        weights: A checkpoint: its path, URL or work directory, or what was read of it. None for random ones.
        device: A torch device; the best at hand if None.
        trusted: Unpickle whatever the checkpoint holds.
        scope: The scope of the names in the config; if None, the config's `default_scope`.
        source: What `weights` are called in messages, if they have been read already.
        put: Called instead of `put_weights`.

    Returns:
        The model in evaluation mode, with the attributes `cfg` and `dataset_meta`.

    Raises:
        CheckpointError: The checkpoint is missing, damaged or of another model.
        ConfigError: The config has a mistake in it, or there is no such device.
    """
    content = None if weights is None else _read(weights, trusted)
    model = build_model(cfg, scope)
    model.cfg = cfg  # type: ignore[assignment]
    if put is None:
        put_weights(model, content, cfg, source or (weights if isinstance(weights, str) else _UNNAMED))
    else:
        put(model, content, cfg)
    model = model.to(choose_device(device)).eval()
    # As the runner does, so that it is as fast as in a test.
    if (cfg.get("env_cfg") or {}).get("channels_last"):
        model = model.to(memory_format=torch.channels_last)
    return model


def put_weights(
    model: nn.Module, checkpoint: Mapping[str, Any] | None, cfg: Config, source: str = _UNNAMED
) -> None:
    """Put a checkpoint's weights into a model, and class names and palette into its `dataset_meta`.

    Without a checkpoint a warning says that the weights are random. `source` names it in messages.

    Raises:
        CheckpointError: The weights are those of another model.
    """
    if checkpoint is None:
        warnings.warn(f"no weights are given: {type(model).__name__} predicts with random ones", stacklevel=4)
    else:
        # With EMA, training evaluates and stores the averaged weights as `state_dict`: those count.
        load_state_dict(model, weights_of(checkpoint), strict="complete", source=source)
    model.dataset_meta = dataset_meta(checkpoint or {}, cfg)  # type: ignore[assignment]


def build_model(cfg: Config, scope: str | None = None) -> nn.Module:
    """The config's model with random weights, after the config was checked.

    Raises:
        ConfigError: The config has a mistake in it.
    """
    with DefaultScope.overwrite_default_scope(scope or cfg.get("default_scope")):
        check(cfg, "infer")
        model: nn.Module = MODELS.build(_without_pretrained(cfg["model"]))
    return model


def _without_pretrained(model: Mapping[str, Any]) -> Any:
    """The model's config without `init_cfg` and `pretrained`, since all weights come from the checkpoint."""
    if isinstance(model, Mapping):
        kept = {key: value for key, value in model.items() if key not in ("init_cfg", "pretrained")}
        return {key: _without_pretrained(value) for key, value in kept.items()}
    if isinstance(model, list | tuple):
        return type(model)(_without_pretrained(item) for item in model)
    return model


def _find_dataset(cfg: Config) -> Mapping[str, Any] | None:
    """The innermost dataset config of the test dataloader, or of the validation one."""
    for key in ("test_dataloader", "val_dataloader"):
        loader = cfg.get(key)
        loader = next(iter(loader), None) if isinstance(loader, list | tuple) else loader
        if is_named_loaders(loader):
            loader = next(iter(loader.values()))
        if isinstance(loader, Mapping) and isinstance(loader.get("dataset"), Mapping):
            found: Mapping[str, Any] = loader["dataset"]
            while "pipeline" not in found and ("dataset" in found or "datasets" in found):
                found = found.get("dataset") or found["datasets"][0]
            return found
    return None


def test_pipeline(cfg: Config) -> list[Any]:
    """The test pipeline for a lone image: no annotations are loaded, and an image loader comes first.

    Raises:
        ConfigError: The config has no test pipeline.
    """
    dataset = _find_dataset(cfg)
    if dataset is None:
        raise ConfigError(
            "The config has neither `test_dataloader` nor `val_dataloader`, so the steps that prepare an "
            "image are unknown. Add `test_dataloader=dict(dataset=dict(…, pipeline=test_pipeline))`."
        )
    kept = [step for step in dataset.get("pipeline") or [] if _name(step) not in _NEEDS_ANNOTATIONS]
    first = _name(kept[0]) if kept else ""
    if not first.startswith("Load") or first.endswith("NDArray"):
        # It keeps an image that is given as an array.
        kept.insert(0, dict(type="LoadImageFromFile"))
    return kept


def _name(step: Any) -> str:
    kind = step.get("type") if isinstance(step, Mapping) else type(step)
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]


def dataset_meta(checkpoint: Mapping[str, Any], cfg: Config) -> dict[str, Any]:
    """Class names, palette and the like: from the checkpoint, else from the config's test dataset."""
    meta = checkpoint.get("meta") or {}
    found = meta.get("dataset_meta") or {}
    found = {str(key).lower(): value for key, value in found.items()} or {
        str(key).lower(): value for key, value in meta.items() if str(key).lower() in ("classes", "palette")
    }
    if not found.get("classes"):
        found = _declared_meta(_find_dataset(cfg) or {})
    classes = found.get("classes")
    if not classes:
        return found
    names: Iterable[str] = [classes] if isinstance(classes, str) else classes
    return {**found, "classes": tuple(names)}


def _declared_meta(dataset: Mapping[str, Any]) -> dict[str, Any]:
    from toolkit.registry import DATASETS

    kind = dataset.get("type")
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return {**getattr(kind, "METAINFO", {}), **(dataset.get("metainfo") or {})}


def require_classes(classes: Sequence[str]) -> None:
    """Refuse to go on without class names.

    Raises:
        CheckpointError: There are none.
    """
    if not classes:
        raise CheckpointError(
            "Neither the checkpoint nor the config says what the classes are called; give them with "
            "\"test_dataloader.dataset.metainfo.classes=['cat','dog']\"."
        )
