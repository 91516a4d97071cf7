"""The configs of MMDetection 2.28.2, migrated, against those of 3.3.0.

Needs two folders, those of the configs in the two wheels: TOOLKIT_TEST_OLD_CONFIGS and TOOLKIT_TEST_CONFIGS.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.config import Config
from toolkit.config.migrate import is_old

OLD = os.environ.get("TOOLKIT_TEST_OLD_CONFIGS", "")
NEW = os.environ.get("TOOLKIT_TEST_CONFIGS", "")
FAMILIES = ("faster_rcnn", "mask_rcnn", "retinanet", "fcos")
NAMES = (
    "model train_dataloader val_dataloader test_dataloader val_evaluator test_evaluator train_cfg val_cfg "
    "test_cfg param_scheduler optim_wrapper default_hooks custom_hooks env_cfg vis_backends visualizer "
    "log_processor log_level load_from resume auto_scale_lr default_scope"
)
# What was changed on the way from 2.28 to 3.3 in single files: other values, not another schema.
CHANGED = re.compile(
    r"_evaluator\.format_only|metainfo\.palette|\.poly2mask|optim_wrapper\.(loss_scale|clip_grad|optimizer\.lr)"
    r"|dataloader\.(batch_size|sampler\.type)|param_scheduler\.1\.(end|milestones)|data_preprocessor\.(mean|std|bgr)"
    r"|vis_backends\.1\.init_kwargs|init_cfg\.checkpoint"
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (OLD and NEW),
        reason="TOOLKIT_TEST_OLD_CONFIGS and TOOLKIT_TEST_CONFIGS name no folders of configs",
    ),
]


def read(path: Path) -> Config:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Config.fromfile(path)


def words(name: str) -> tuple[str, ...]:
    """The parts of a file's name, as both versions would spell them."""
    for old, new in (("-", "_"), ("mstrain", "ms"), ("fp16", "amp"), ("_coco", ""), ("640_800", "")):
        name = name.replace(old, new)
    return tuple(sorted(part for part in name.split("_") if part))


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Dotted keys whose values differ; None counts as absent."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {*old, *new}:
            if (old.get(key), new.get(key)) != (None, None):
                yield from differences(old.get(key), new.get(key), f"{path}.{key}")
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{path}.{index}")
    elif old != new:
        yield path.strip(".")


def test_every_published_config_of_the_older_version_is_migrated() -> None:
    paths = sorted(Path(OLD).rglob("*.py"))
    assert len(paths) >= 666
    left = [str(path) for path in paths if is_old(read(path)._cfg_dict)]
    assert not left


@pytest.mark.parametrize("family", FAMILIES)
def test_families_equal_their_counterparts(family: str) -> None:
    counterparts = {words(path.stem): path for path in (Path(NEW) / family).glob("*.py")}
    compared, found = 0, {}
    for path in sorted((Path(OLD) / family).glob("*.py")):
        counterpart = counterparts.get(words(path.stem))
        if counterpart is None:
            continue
        compared += 1
        one, two = (
            {key: cfg[key] for key in NAMES.split() if key in cfg}
            for cfg in (read(path).to_dict(), read(counterpart).to_dict())
        )
        keys = [key for key in differences(one, two) if not CHANGED.search(key)]
        if keys:
            found[path.stem] = keys
    assert compared
    assert not found
