"""What detectors of free text are told: captions, and where in them objects are named."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.extras import required
from toolkit.detection.transforms.instances import PER_OBJECT, keep_objects
from toolkit.fileio import read_bytes
from toolkit.transforms import BaseTransform
from toolkit.utils.errors import ConfigError, DataError

_END = ". "  # between two names of a caption


@TRANSFORMS.register_module()
class LoadTextAnnotations(BaseTransform):
    """Make a list of the names in `text`, or take the places of the phrases of a caption.

    Reads: none.
    Changes: `text`.
    Writes: `tokens_positive`.

    With `phrases`, which has a dict with `tokens_positive` for each phrase of `text`, these make the list
    `tokens_positive`: a list [start, end] of characters or several for each phrase. Without them, `text` is
    a dict or a sequence of the classes' names.

    Raises:
        DataError: There is neither `phrases` nor `text`, or `text` is a caption without phrases.
    """

    changes: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar[tuple[str, ...]] = ("tokens_positive",)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its text."""
        if "phrases" in results:
            phrases = results["phrases"].values()
            results["tokens_positive"] = [phrase["tokens_positive"] for phrase in phrases]
        else:
            results["text"] = list(_names(results.get("text"), type(self).__name__).values())
        return results


def _names(text: Any, who: str) -> dict[str, str]:
    """The classes' names by their label as text."""
    if isinstance(text, Mapping):
        return {str(label): name for label, name in text.items()}
    if isinstance(text, Sequence) and not isinstance(text, str):
        return {str(label): name for label, name in enumerate(text)}
    raise DataError(
        f"{who} needs the names of the classes in results['text'], by label or in their order, but it is "
        f"{text!r}: let the dataset give them (return_classes=True), or give phrases beside a caption"
    )


def _cleaned(name: str) -> str:
    """A name as it stands in a caption: without what is in parentheses, and in lower case."""
    return re.sub(r"\(.*\)", "", name).replace("_", " ").replace("  ", " ").lower()


@TRANSFORMS.register_module()
class RandomSamplingNegPos(BaseTransform):
    """Write a caption of the classes that are in an image and of some that aren't, as GLIP is trained with.

    Labels become places in the caption's order; `tokens_positive` has for each place that is in the image the
    range [[start, end]] of its name's characters. Names like 'a/b' stand for one of their parts, drawn at
    random. Objects of classes that find no room in `max_tokens` are left out.

    With `phrases` (see `LoadTextAnnotations`) the caption stays, and gets the ranges of its objects' phrases.

    Li et al., "Grounded Language-Image Pre-training", CVPR 2022; Zhao et al., "An Open and Comprehensive
    Pipeline for Unified Object Grounding and Detection", arXiv:2401.02361.

    Reads: `gt_bboxes`, `gt_bboxes_labels`.
    Changes: `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`.
    Writes: `gt_bboxes`, `gt_bboxes_labels`, `text`, `tokens_positive`.

    Args:
        tokenizer_name: Name or folder of a tokenizer that `transformers.AutoTokenizer` loads.
        num_sample_negative: How many classes are drawn at most as those that aren't in the image; what is
            in it after all doesn't count.
        max_tokens: Length of the caption at most, in tokens.
        full_sampling_prob: Probability that so many are drawn; else it is a random number of them.
        label_map_file: JSON file of the names by label, where samples don't bring `text` along.

    Raises:
        BuildError: transformers isn't installed.
        ConfigError: The tokenizer can't be loaded.
        DataError: There are no names, or none for a label.
    """

    reads: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_bboxes_labels")
    changes: ClassVar[tuple[str, ...]] = PER_OBJECT[2:]
    writes: ClassVar[tuple[str, ...]] = (*PER_OBJECT[:2], "text", "tokens_positive")

    def __init__(
        self,
        tokenizer_name: str,
        num_sample_negative: int = 85,
        max_tokens: int = 256,
        full_sampling_prob: float = 0.5,
        label_map_file: str | None = None,
    ) -> None:
        package = required("transformers", "RandomSamplingNegPos", "transformers")
        try:
            self._tokenizer = package.AutoTokenizer.from_pretrained(tokenizer_name)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"RandomSamplingNegPos can't load the tokenizer {tokenizer_name!r}: {error}"
            ) from error
        self.tokenizer_name = tokenizer_name
        self.num_sample_negative = num_sample_negative
        self.max_tokens = max_tokens
        self.full_sampling_prob = full_sampling_prob
        self.label_map = json.loads(read_bytes(label_map_file)) if label_map_file else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its caption."""
        return self._grounded(results) if "phrases" in results else self._composed(results)

    @staticmethod
    def _grounded(results: dict[str, Any]) -> dict[str, Any]:
        """With the caption that it has."""
        text = results["text"].lower().strip()
        results["text"] = text if text.endswith(".") else text + _END
        labels = np.unique(results["gt_bboxes_labels"]).tolist()
        results["tokens_positive"] = {label: results["phrases"][label]["tokens_positive"] for label in labels}
        return results

    def _composed(self, results: dict[str, Any]) -> dict[str, Any]:
        """With a caption made of the classes' names."""
        names = _names(results.get("text", self.label_map), type(self).__name__)
        for key, name in names.items():
            if "/" in name:
                names[key] = random.choice(name.split("/")).strip()
        names = {key: _cleaned(name) for key, name in names.items()}
        positives, room = self._fitting_positives(results["gt_bboxes_labels"], names)
        keep_objects(results, np.isin(results["gt_bboxes_labels"], positives))
        drawn = self._drawn(list(names))
        positives.sort()
        random.shuffle(positives)
        negatives = [label for label in drawn if label not in positives]
        random.shuffle(negatives)
        chosen = self._fitting(negatives, names, room) + positives
        random.shuffle(chosen)
        caption, places = "", {}
        for place, label in enumerate(chosen):
            start = len(caption)
            caption += names[str(label)]
            if label in positives:
                places[place] = [[start, len(caption)]]
            caption += _END
        order = {label: place for place, label in enumerate(chosen)}
        labels = [order[label] for label in results["gt_bboxes_labels"].tolist()]
        results["gt_bboxes_labels"] = np.asarray(labels, np.int64)
        results.update(text=caption, tokens_positive=places)
        return results

    def _length(self, name: str) -> int:
        return len(self._tokenizer.tokenize(name + _END))

    def _fitting_positives(self, labels: np.ndarray, names: Mapping[str, str]) -> tuple[list[int], int]:
        """The labels of an image that find room in a caption, and the tokens that are left."""
        found = np.unique(labels).tolist()
        unnamed = [label for label in found if str(label) not in names]
        if unnamed:
            raise DataError(
                f"RandomSamplingNegPos has no name for the labels {unnamed}; there are names for "
                f"{', '.join(list(names)[:10])}, …"
            )
        random.shuffle(found)  # where not all find room, others do in the next epoch
        room = self.max_tokens
        for count, label in enumerate(found):
            room -= self._length(names[str(label)])
            if room < 0:
                return found[:count], room
        return found, room

    def _drawn(self, labels: list[str]) -> list[int]:
        """Labels of some classes, whether they are in the image or not."""
        most = wanted = min(self.num_sample_negative, len(labels))
        if random.random() >= self.full_sampling_prob:
            random.random()  # MMDetection draws it and doesn't use it
            wanted = int(np.random.choice(max(1, most))) + 1
        drawn = np.random.choice(labels, size=min(wanted, len(labels)), replace=False)
        return [int(label) for label in drawn]

    def _fitting(self, labels: list[int], names: Mapping[str, str], room: int) -> list[int]:
        """The first labels, as far as there is room for their names."""
        for count, label in enumerate(labels):
            room -= self._length(names[str(label)])
            if room <= 0:
                return labels[:count]
        return labels
