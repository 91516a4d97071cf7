"""Configs of MMCV 1.x and MMDetection 2.x, brought to the present schema.

A config is known as old by keys that the present schema doesn't have. The migration works on the merged
names, so that an old config may have old and new bases.
"""

from __future__ import annotations

from toolkit.config.config_dict import ConfigDict
from toolkit.config.migrate.data import migrate_data
from toolkit.config.migrate.edit import Draft, Steps
from toolkit.config.migrate.model import migrate_model
from toolkit.config.migrate.pipeline import Pipelines
from toolkit.config.migrate.runtime import migrate_runtime
from toolkit.config.migrate.schedule import migrate_schedule
from toolkit.config.origin import Origin

__all__ = ["is_old", "migrate"]

_OLD = ("lr_config", "optimizer_config", "checkpoint_config", "log_config", "total_epochs", "workflow")
_PRESENT = ("train_dataloader", "val_dataloader", "test_dataloader", "optim_wrapper", "default_hooks")


def is_old(names: ConfigDict) -> bool:
    """Whether merged names follow the old schema."""
    if any(key in names for key in _PRESENT):
        return False
    data = names.get("data")
    has_parts = isinstance(data, dict) and any(
        isinstance(data.get(p), dict) for p in ("train", "val", "test")
    )
    return has_parts or any(key in names for key in _OLD)


def migrate(names: ConfigDict) -> list[str]:
    """Bring merged names to the present schema, in place.

    Returns:
        A line for each step.

    Raises:
        ConfigError: something has no counterpart that could be chosen.
    """
    steps = Steps()
    draft = Draft(names, steps)
    pipelines = Pipelines(steps)
    migrate_schedule(draft)
    migrate_runtime(draft)
    migrate_data(draft, pipelines)
    migrate_model(draft, pipelines.preprocessing)
    if "default_scope" not in names:
        draft.set("default_scope", "mmdet", Origin(label="migrated"))
    return steps.lines
