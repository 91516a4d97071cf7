"""From a config and a checkpoint to a ready inferencer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from torch import nn

from toolkit.config import Config
from toolkit.dataset import Compose
from toolkit.fileio.checkpoint import weights_of
from toolkit.infer.base import LOADER, BaseInferencer
from toolkit.registry import INFERENCERS, MODELS, DefaultScope
from toolkit.runner import load_state_dict
from toolkit.runner.checkpoint import config_of, find_latest_checkpoint, read_checkpoint
from toolkit.runner.environment import choose_device
from toolkit.runner.preflight import check
from toolkit.runner.sets import is_named_loaders
from toolkit.utils.errors import CheckpointError, ConfigError

# Steps of a test pipeline that read what a lone image doesn't have.
_NEEDS_ANNOTATIONS = ("LoadAnnotations", "LoadPanopticAnnotations", "FilterAnnotations")


def inferencer_from(
    cfg: Config | None,
    checkpoint: str,
    *,
    overrides: Iterable[str] = (),
    device: str | None = None,
    trusted: bool = False,
) -> BaseInferencer:
    """Build the model, load its weights and prepare the test pipeline.

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
    model = build_model(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        # With EMA, training evaluates and stores the averaged weights as `state_dict`: those count.
        load_state_dict(model, weights_of(content), strict="complete", source=path)
        pipeline = Compose(test_pipeline(cfg))
        meta = dataset_meta(content, cfg)
        kind = _inferencer_type(cfg, model)
    model.to(choose_device(device))
    return kind(model, pipeline, meta["classes"], meta.get("palette"))


def build_model(cfg: Config) -> nn.Module:
    """The config's model with random weights, after the config was checked.

    Raises:
        ConfigError: The config has a mistake in it.
    """
    check(cfg, "infer")
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
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


def dataset_config(cfg: Config) -> Mapping[str, Any]:
    """The innermost dataset config of the test dataloader, or of the validation one."""
    for key in ("test_dataloader", "val_dataloader"):
        loader = cfg.get(key)
        loader = next(iter(loader), None) if isinstance(loader, list | tuple) else loader
        if is_named_loaders(loader):
            loader = next(iter(loader.values()))
        if isinstance(loader, Mapping) and isinstance(loader.get("dataset"), Mapping):
            found = loader["dataset"]
            while "pipeline" not in found and ("dataset" in found or "datasets" in found):
                found = found.get("dataset") or found["datasets"][0]
            return found
    raise ConfigError(
        "The config has neither `test_dataloader` nor `val_dataloader`, so the steps that prepare an image "
        "are unknown. Add `test_dataloader=dict(dataset=dict(…, pipeline=test_pipeline))`."
    )


def test_pipeline(cfg: Config) -> list[Any]:
    """The test pipeline for a lone image: no annotations are loaded, and an image loader comes first."""
    steps = dataset_config(cfg).get("pipeline") or []
    kept = [step for step in steps if _name(step) not in _NEEDS_ANNOTATIONS]
    if not kept or _name(kept[0]) != LOADER:
        kept.insert(0, dict(type=LOADER))
    return kept


def _name(step: Any) -> str:
    kind = step.get("type") if isinstance(step, Mapping) else type(step)
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]


def dataset_meta(content: Mapping[str, Any], cfg: Config) -> dict[str, Any]:
    """Class names and palette: from the checkpoint, else from the config's test dataset."""
    meta = content.get("meta") or {}
    found = meta.get("dataset_meta") or {}
    found = {str(key).lower(): value for key, value in found.items()} or {
        str(key).lower(): value for key, value in meta.items() if str(key).lower() in ("classes", "palette")
    }
    if not found.get("classes"):
        found = _declared_meta(dataset_config(cfg))
    classes = found.get("classes")
    if not classes:
        raise CheckpointError(
            "Neither the checkpoint nor the config says what the classes are called; give them with "
            "\"test_dataloader.dataset.metainfo.classes=['cat','dog']\"."
        )
    names: Sequence[str] = [classes] if isinstance(classes, str) else classes
    return {**found, "classes": tuple(names)}


def _declared_meta(dataset: Mapping[str, Any]) -> dict[str, Any]:
    from toolkit.registry import DATASETS

    kind = dataset.get("type")
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return {**getattr(kind, "METAINFO", {}), **(dataset.get("metainfo") or {})}


def _inferencer_type(cfg: Config, model: nn.Module) -> type[BaseInferencer]:
    """The inferencer that the config names, or the registered one that knows this kind of model."""
    named = cfg.get("inferencer")
    if named is not None:
        return cast(
            "type[BaseInferencer]", INFERENCERS.get(named["type"] if isinstance(named, Mapping) else named)
        )
    for kind in INFERENCERS.module_dict.values():
        if kind.handles(model):
            return kind
    raise ConfigError(
        f"No inferencer knows how to show what a {type(model).__name__} predicts. Register one (a subclass "
        "of toolkit.infer.BaseInferencer, under INFERENCERS) and name it: inferencer=dict(type='My')."
    )
