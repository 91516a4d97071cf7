"""Prior generators: anchors and points."""

from toolkit.detection.models.task_modules.prior_generators.anchor_generator import (
    AnchorGenerator,
    anchor_inside_flags,
)

__all__ = ["AnchorGenerator", "anchor_inside_flags"]
