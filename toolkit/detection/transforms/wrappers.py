"""Transforms that apply other transforms: in several branches, in random order, to proposals too."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.dataset import Compose
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import PER_OBJECT
from toolkit.transforms import BaseTransform, SharedDraws
from toolkit.utils.errors import ConfigError, DataError

Step = Mapping[str, Any] | Callable[[dict], Any]


def compose(steps: Step | Sequence[Step]) -> Compose:
    """Transforms or their configs, of detection before those of other tasks, as one."""
    listed = list(steps) if isinstance(steps, Sequence) else [steps]
    return Compose([TRANSFORMS.build(one) if isinstance(one, Mapping) else one for one in listed])


@TRANSFORMS.register_module()
class MultiBranch(BaseTransform):
    """Make several versions of a sample, one a branch, as semi-supervised detectors need them.

    Reads: none.
    Changes: none.
    Writes: `inputs`, `data_samples`.

    Each is a dict from branches to what that branch's pipeline made, None for a branch that has no pipeline
    here. Their order is that of `branch_field`, then that of the pipelines.

    Args:
        branch_field: Names of all branches, the same for labelled and unlabelled datasets.
        **branch_pipelines: Transforms of those branches that this dataset has.

    Raises:
        ConfigError: A pipeline isn't of one of the branches.
    """

    writes: ClassVar[tuple[str, ...]] = ("inputs", "data_samples")

    def __init__(self, branch_field: Sequence[str], **branch_pipelines: Step | Sequence[Step]) -> None:
        unknown = [name for name in branch_pipelines if name not in branch_field]
        if unknown:
            raise ConfigError(
                f"MultiBranch got a pipeline {unknown[0]!r}; its branch_field is {branch_field}."
            )
        self.branch_field = branch_field
        self.branch_pipelines = {name: compose(steps) for name, steps in branch_pipelines.items()}

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The versions; None where a pipeline drops the sample."""
        versions: dict[str, dict[str, Any]] = {
            branch: {"inputs": None, "data_samples": None} for branch in self.branch_field
        }
        for branch, pipeline in self.branch_pipelines.items():
            version = pipeline(copy.deepcopy(results))
            if version is None:
                return None
            versions[branch] = version
        keys = dict.fromkeys(key for version in versions.values() for key in version)
        return {
            key: {branch: version[key] for branch, version in versions.items() if key in version}
            for key in keys
        }


@TRANSFORMS.register_module()
class RandomOrder(BaseTransform):
    """Apply all of several transforms, in an order drawn for each sample.

    Reads: none.
    Changes: none.
    Writes: none.

    Keys are those of the transforms.

    Args:
        transforms: The transforms.
    """

    def __init__(self, transforms: Step | Sequence[Step]) -> None:
        self.transforms = compose(transforms).transforms

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample after all of them; None where one drops it."""
        sample: dict[str, Any] | None = results
        for place in np.random.permutation(len(self.transforms)):
            sample = self.transforms[place](sample)
            if sample is None:
                return None
        return sample


@TRANSFORMS.register_module()
class ProposalBroadcaster(BaseTransform):
    """Apply transforms to the proposals as to the boxes, with the same random draws.

    Reads: `proposals`.
    Changes: none.
    Writes: `proposals`, `proposals_scores`.

    Further keys are those of the transforms. Proposals that they leave out take their scores along.

    Args:
        transforms: Transforms of images and boxes.

    Raises:
        DataError: There are no proposals.
    """

    reads: ClassVar[tuple[str, ...]] = ("proposals",)
    writes: ClassVar[tuple[str, ...]] = ("proposals", "proposals_scores")

    def __init__(self, transforms: Step | Sequence[Step] = ()) -> None:
        self.transforms = compose(transforms)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample after the transforms; None where they drop it or all of its proposals."""
        proposals = results["proposals"]
        if proposals is None:
            raise DataError(
                "ProposalBroadcaster finds no proposals: load them with LoadProposals, or leave it out"
            )
        # The scores travel in place of labels, so that a proposal and its score stay together.
        stand_in = copy.deepcopy({key: value for key, value in results.items() if key not in PER_OBJECT})
        stand_in["gt_bboxes"] = proposals.copy()
        scores = results.get("proposals_scores")
        if scores is not None:
            stand_in["gt_bboxes_labels"] = scores.copy()
        draws = SharedDraws()
        output = self.transforms(results)
        if output is None:
            return None
        end = SharedDraws()
        draws.rewind()
        moved = self.transforms(stand_in)
        end.rewind()
        if moved is None:
            return None
        output["proposals"] = moved["gt_bboxes"]
        if scores is not None:
            output["proposals_scores"] = moved["gt_bboxes_labels"]
        return output
