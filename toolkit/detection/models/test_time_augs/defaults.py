"""Test-time augmentation for configs that say nothing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.utils import ConfigError

_META_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
_PACK = "PackDetInputs"
_ANNOTATIONS = "LoadAnnotations"
_FLIPS = ({"type": "RandomFlip", "prob": 0.0}, {"type": "RandomFlip", "prob": 1.0})


def default_tta(pipeline: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[Any]]:
    """A model and a pipeline that see each image as it is and mirrored.

    Annotations are loaded after the mirroring, so that they are those of the image as it is.

    Args:
        pipeline: The test pipeline.

    Returns:
        ``tta_model`` and ``tta_pipeline``.

    Raises:
        ConfigError: The pipeline doesn't end with `PackDetInputs`.
    """
    if not pipeline or _name(pipeline[-1]) != _PACK:
        raise ConfigError(
            f"--tta mirrors images of a test pipeline that ends with {_PACK}; for another one, write "
            "tta_pipeline and tta_model into the config"
        )
    steps, pack = list(pipeline[:-1]), pipeline[-1]
    place = next((i for i, step in enumerate(steps) if _name(step) == _ANNOTATIONS), len(steps))
    keys = tuple(dict.fromkeys((*pack.get("meta_keys", ()), *_META_KEYS)))
    after = [[step] for step in (*steps[place:], {**pack, "meta_keys": keys})]
    views = {"type": "TestTimeAug", "transforms": [[dict(flip) for flip in _FLIPS], *after]}
    return {"type": "DetTTAModel"}, [*steps[:place], views]


def _name(step: Any) -> str:
    kind = step.get("type") if isinstance(step, Mapping) else type(step).__name__
    return str(kind).rpartition(".")[2]
