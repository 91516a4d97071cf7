"""Testing with test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.runner.runner import Runner, build_runner
from toolkit.runner.sets import is_named_loaders
from toolkit.utils.errors import ConfigError

Defaults = Callable[[Sequence[Mapping[str, Any]]], tuple[dict[str, Any], list[Any]]]


def apply_tta(cfg: Any, defaults: Defaults | None = None) -> None:
    """Make a config one that tests with augmentation, in place.

    The test pipeline becomes ``tta_pipeline``, and ``tta_model`` is put around the model by `PrepareTTAHook`
    once the weights are loaded.

    Args:
        cfg: A config.
        defaults: Gives ``tta_model`` and ``tta_pipeline`` for a test pipeline, where the config lacks them.

    Raises:
        ConfigError: The config has no test data, or lacks ``tta_model`` or ``tta_pipeline``.
    """
    key = "test_dataloader" if cfg.get("test_dataloader") is not None else "val_dataloader"
    loader = cfg.get(key) or {}
    datasets = [_innermost(one) for one in (loader.values() if is_named_loaders(loader) else [loader])]
    model, pipeline = cfg.get("tta_model"), cfg.get("tta_pipeline")
    if (model is None or pipeline is None) and defaults is not None:
        own = defaults(datasets[0].get("pipeline") or ())
        model, pipeline = own[0] if model is None else model, own[1] if pipeline is None else pipeline
    if model is None or pipeline is None:
        missing = [name for name in ("tta_model", "tta_pipeline") if cfg.get(name) is None]
        raise ConfigError(f"test-time augmentation needs {' and '.join(missing)} in the config")
    for dataset in datasets:
        dataset["pipeline"] = pipeline
    hook = {"type": "PrepareTTAHook", "tta_cfg": model}
    cfg["custom_hooks"] = [*(cfg.get("custom_hooks") or []), hook]


def _innermost(dataloader: Any) -> Any:
    """The config of the dataset inside of its wrappers."""
    dataset = dataloader.get("dataset")
    if dataset is None:
        raise ConfigError("test-time augmentation needs a test_dataloader with a dataset")
    while "pipeline" not in dataset and "dataset" in dataset:
        dataset = dataset["dataset"]
    return dataset


def build_runner_with_tta(cfg: Any) -> Runner:
    """The runner of a config that tests with its ``tta_model`` and ``tta_pipeline``."""
    apply_tta(cfg)
    return build_runner(cfg, mode="test")
