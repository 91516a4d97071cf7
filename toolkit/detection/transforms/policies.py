"""AutoAugment and RandAugment: which changes, how often, how strong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.transforms import RandomChoice
from toolkit.utils.errors import ConfigError

Policy = Sequence[Mapping[str, Any]]

# Policy v0 of the paper, as (transform, probability, level): one of these pairs is drawn for each image.
_POLICY_V0 = (
    (("Equalize", 0.8, 1), ("ShearY", 0.8, 4)),
    (("Color", 0.4, 9), ("Equalize", 0.6, 3)),
    (("Color", 0.4, 1), ("Rotate", 0.6, 8)),
    (("Solarize", 0.8, 3), ("Equalize", 0.4, 7)),
    (("Solarize", 0.4, 2), ("Solarize", 0.6, 2)),
    (("Color", 0.2, 0), ("Equalize", 0.8, 8)),
    (("Equalize", 0.4, 8), ("SolarizeAdd", 0.8, 3)),
    (("ShearX", 0.2, 9), ("Rotate", 0.6, 8)),
    (("Color", 0.6, 1), ("Equalize", 1.0, 2)),
    (("Invert", 0.4, 9), ("Rotate", 0.6, 0)),
    (("Equalize", 1.0, 9), ("ShearY", 0.6, 3)),
    (("Color", 0.4, 7), ("Equalize", 0.6, 0)),
    (("Posterize", 0.4, 6), ("AutoContrast", 0.4, 7)),
    (("Solarize", 0.6, 8), ("Color", 0.6, 9)),
    (("Solarize", 0.2, 4), ("Rotate", 0.8, 9)),
    (("Rotate", 1.0, 7), ("TranslateY", 0.8, 9)),
    (("ShearX", 0.0, 0), ("Solarize", 0.8, 4)),
    (("ShearY", 0.8, 0), ("Color", 0.6, 4)),
    (("Color", 1.0, 0), ("Rotate", 0.6, 2)),
    (("Equalize", 0.8, 4), ("Equalize", 0.0, 8)),
    (("Equalize", 1.0, 4), ("AutoContrast", 0.6, 2)),
    (("ShearY", 0.4, 7), ("SolarizeAdd", 0.6, 7)),
    (("Posterize", 0.8, 2), ("Solarize", 0.6, 10)),
    (("Solarize", 0.6, 8), ("Equalize", 0.6, 1)),
    (("Color", 0.8, 6), ("Rotate", 0.4, 5)),
)
_SPACE = (
    "AutoContrast",
    "Equalize",
    "Invert",
    "Rotate",
    "Posterize",
    "Solarize",
    "SolarizeAdd",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
)


def policies_v0() -> list[list[dict[str, Any]]]:
    """The policies of the AutoAugment paper, as configs."""
    return [
        [{"type": name, "prob": prob, "level": level} for name, prob, level in policy]
        for policy in _POLICY_V0
    ]


def _checked(name: str, policies: Any, longest: int | None = None) -> list[Policy]:
    """Policies that are lists of configs with a type.

    Raises:
        ConfigError: They are something else.
    """
    fits = isinstance(policies, Sequence) and policies and all(_is_policy(one, longest) for one in policies)
    if not fits:
        what = "one config" if longest == 1 else "configs"
        raise ConfigError(f"{name} is a list of lists of {what}, each with a type, but got {policies!r}")
    return list(policies)


def _is_policy(policy: Any, longest: int | None) -> bool:
    if not isinstance(policy, Sequence) or not policy or (longest is not None and len(policy) > longest):
        return False
    return all(isinstance(step, Mapping) and "type" in step for step in policy)


@TRANSFORMS.register_module()
class AutoAugment(RandomChoice):
    """Apply one of several policies, drawn for each image.

    Cubuk et al., "AutoAugment", CVPR 2019; Zoph et al., "Learning Data Augmentation Strategies for Object
    Detection", ECCV 2020.

    Reads: none.
    Changes: none.
    Writes: none.

    Keys are those of the policy's transforms.

    Args:
        policies: Lists of transforms, each applied one after the other; those of the paper by default.
        prob: Probability of each policy; equal by default.

    Raises:
        ConfigError: The policies aren't lists of configs, or `prob` doesn't fit them.
    """

    def __init__(self, policies: Sequence[Policy] | None = None, prob: Sequence[float] | None = None) -> None:
        self.policies = _checked("policies of AutoAugment", policies_v0() if policies is None else policies)
        super().__init__(self.policies, prob)


@TRANSFORMS.register_module()
class RandAugment(RandomChoice):
    """Apply several transforms, drawn for each image, one after the other.

    Cubuk et al., "RandAugment", NeurIPS 2020.

    Reads: none.
    Changes: none.
    Writes: none.

    Keys are those of the transforms.

    Args:
        aug_space: The transforms to draw from, each as a list of one config.
        aug_num: How many different ones are drawn.
        prob: Probability of each; equal by default.

    Raises:
        ConfigError: The space isn't made of lists of one config, or `prob` doesn't fit it.
    """

    def __init__(
        self,
        aug_space: Sequence[Policy] | None = None,
        aug_num: int = 2,
        prob: Sequence[float] | None = None,
    ) -> None:
        space: Any = [[{"type": name}] for name in _SPACE] if aug_space is None else aug_space
        self.aug_space = _checked("aug_space of RandAugment", space, longest=1)
        if not 0 <= aug_num <= len(self.aug_space):
            raise ConfigError(
                f"RandAugment got aug_num={aug_num}; its aug_space has {len(self.aug_space)} "
                "transforms to draw "
                "different ones from."
            )
        super().__init__(self.aug_space, prob)
        self.aug_num = aug_num

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample after the transforms drawn for it."""
        drawn = np.random.choice(len(self.transforms), self.aug_num, p=self.prob, replace=False)
        sample: dict[str, Any] | None = results
        for place in drawn:
            sample = self.transforms[place](sample)
            if sample is None:
                return None
        return sample
