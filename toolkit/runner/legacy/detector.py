"""MMDetection 2.x's `train_detector`, over the present runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from torch import nn

from toolkit.config import Config, ConfigDict
from toolkit.config.migrate import is_old, migrate
from toolkit.dataset import ConcatDataset
from toolkit.runner.options import runner_arguments
from toolkit.runner.runner import Runner
from toolkit.utils.errors import ConfigError

_VALIDATION = ("val_dataloader", "val_cfg", "val_evaluator")
_TEST = ("test_dataloader", "test_cfg", "test_evaluator")


def train_detector(
    model: nn.Module,
    dataset: Any,
    cfg: Any,
    distributed: bool = False,
    validate: bool = False,
    timestamp: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Train a model as a config of MMDetection 2.x says, or one of the present schema.

    Args:
        model: Built; one of this toolkit. Its weights are initialised by `init_weights`, or come from the
            config's ``load_from`` or ``resume_from``.
        dataset: Built, or a list with one of them, or with several that are joined. (A second workflow entry
            of MMDetection 2.x, for losses on validation data, is ``val_cfg=dict(loss=True)`` now.)
        cfg: A `Config` or a dict; ``data.samples_per_gpu`` and so on, or ``train_dataloader``.
        distributed: Whether the processes of a launcher train together (``launcher`` of the config, or
            ``pytorch``).
        validate: Whether to validate as the config says.
        timestamp: Accepted for MMDetection's sake: the runner makes its own.
        meta: ``seed`` and ``exp_name`` are taken.

    Returns:
        The trained model.

    Raises:
        ToolkitError: The config is wrong.
    """
    config = _present(cfg)
    facts = dict(meta or {})
    arguments = runner_arguments(config)
    if arguments.get("train_dataloader") is None:
        raise ConfigError("train_detector: cfg has neither data.train nor train_dataloader")
    arguments |= {
        "model": model,
        "train_dataloader": {**arguments["train_dataloader"], "dataset": _joined(dataset)},
        **dict.fromkeys(_TEST if validate else (*_VALIDATION, *_TEST)),
    }
    if distributed and arguments.get("launcher", "none") == "none":
        arguments["launcher"] = "pytorch"
    if facts.get("seed", config.get("seed")) is not None:
        arguments["randomness"] = {
            **(arguments.get("randomness") or {}),
            "seed": int(facts.get("seed", config.get("seed"))),
            "deterministic": bool(config.get("deterministic", False)),
        }
    if facts.get("exp_name"):
        arguments["experiment_name"] = str(facts["exp_name"])
    return Runner(**arguments).train()


def _present(cfg: Any) -> Config:
    """The config in the present schema, a copy. Configs read from files are there already."""
    if isinstance(cfg, Config):
        names, filename = deepcopy(cfg._cfg_dict), cfg.filename
    else:
        names, filename = ConfigDict(dict(cfg)), None
    if is_old(names):
        names.setdefault("model", {})
        migrate(names)
    return Config(names, filename=filename)


def _joined(dataset: Any) -> Any:
    if not isinstance(dataset, Sequence) or hasattr(dataset, "metainfo"):
        return dataset
    if not dataset:
        raise ConfigError("train_detector: the list of datasets is empty")
    return dataset[0] if len(dataset) == 1 else ConcatDataset(list(dataset))
