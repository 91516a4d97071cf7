"""Transforms that apply other transforms: at random, or to other keys."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.utils.errors import ConfigError, DataError

Step = Mapping[str, Any] | Callable[[dict], Any]
# By name, since packages of one layer meet in the registry.
_COMPOSE = "toolkit.dataset.Compose"
Ignored = type(Ellipsis)


def composed(transforms: Step | Sequence[Step]) -> Any:
    """Transforms or their configs as one callable."""
    return TRANSFORMS.build({"type": _COMPOSE, "transforms": transforms})


@TRANSFORMS.register_module()
class RandomApply(BaseTransform):
    """Apply transforms with a probability, all or none.

    Reads: none.
    Changes: none.
    Writes: none.

    Keys are those of the transforms.

    Args:
        transforms: One or several.
        prob: The probability.
    """

    def __init__(self, transforms: Step | Sequence[Step], prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f"prob of RandomApply must be within 0..1, but got {prob}")
        self.prob = prob
        self.transforms = composed(transforms)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample, transformed or not."""
        return self.transforms(results) if np.random.rand() < self.prob else results


@TRANSFORMS.register_module()
class RandomChoice(BaseTransform):
    """Apply one of several pipelines.

    Reads: none.
    Changes: none.
    Writes: none.

    Keys are those of the transforms.

    Args:
        transforms: The pipelines: each a transform or a list of them.
        prob: Probability of each; equal by default.

    Raises:
        ConfigError: `prob` doesn't fit the pipelines.
    """

    def __init__(
        self, transforms: Sequence[Step | Sequence[Step]], prob: Sequence[float] | None = None
    ) -> None:
        if prob is not None and (len(prob) != len(transforms) or abs(sum(prob) - 1) > 1e-6 or min(prob) < 0):
            raise ConfigError(
                f"RandomChoice of {len(transforms)} needs as many probabilities of sum 1, but got {prob}"
            )
        self.prob = prob
        self.transforms = [composed(one) for one in transforms]

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample after the pipeline drawn for it."""
        return self.transforms[np.random.choice(len(self.transforms), p=self.prob)](results)


def _gather(results: Mapping[str, Any], source: Any, lenient: bool) -> Any:
    """What a mapping's value points at in `results`: a key, or a dict or list of them."""
    if isinstance(source, Mapping):
        return {key: _gather(results, inner, lenient) for key, inner in source.items()}
    if isinstance(source, (list, tuple)):
        return [_gather(results, inner, lenient) for inner in source]
    if source is ... or (lenient and source not in results):
        return ...
    if source not in results:
        raise DataError(f"a mapping names the key {source!r}, but results hold {sorted(results)}")
    return results[source]


def _scatter(target: dict[str, Any], place: Any, value: Any) -> None:
    """Put `value` where `place` points: a key, or a dict or list of keys."""
    if isinstance(place, Mapping):
        for key, inner in place.items():
            if key in value:
                _scatter(target, inner, value[key])
    elif isinstance(place, (list, tuple)):
        for inner, one in zip(place, value, strict=True):
            _scatter(target, inner, one)
    elif place is not ... and value is not ...:
        target[place] = value


def _without_ignored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_ignored(inner) for key, inner in value.items() if inner is not ...}
    return value


@TRANSFORMS.register_module()
class KeyMapper(BaseTransform):
    """Let transforms see other keys than they are written for.

    Reads: none.
    Changes: none.
    Writes: none.

    Keys are those of the transforms.

    Args:
        transforms: The transforms.
        mapping: Key that they read, to the key of the sample that it stands for; values may be dicts or
            lists of keys, and `...` hides a key.
        remapping: Key that they write, to the key of the sample that it goes to; `...` drops it.
        auto_remap: Use `mapping` backwards too. By default where `remapping` is None.
        allow_nonexist_keys: A key that the sample lacks is left out instead of being an error.

    Raises:
        ConfigError: Both `auto_remap` and `remapping` are given.
    """

    def __init__(
        self,
        transforms: Step | Sequence[Step] | None = None,
        mapping: Mapping[str, Any] | None = None,
        remapping: Mapping[str, Any] | None = None,
        auto_remap: bool | None = None,
        allow_nonexist_keys: bool = False,
    ) -> None:
        if auto_remap and remapping is not None:
            raise ConfigError("auto_remap=True uses mapping backwards, so remapping must be left out")
        self.transforms = composed(transforms if transforms is not None else [])
        self.mapping = mapping
        self.auto_remap = remapping is None if auto_remap is None else auto_remap
        self.remapping = mapping if self.auto_remap else remapping
        self.allow_nonexist_keys = allow_nonexist_keys

    def _map_input(self, results: dict[str, Any]) -> dict[str, Any]:
        if not self.mapping:
            return dict(results)
        gathered = {
            key: _gather(results, source, self.allow_nonexist_keys) for key, source in self.mapping.items()
        }
        hidden = {key for key, value in gathered.items() if value is ...}
        kept = {key: value for key, value in results.items() if key not in hidden}
        return {**kept, **_without_ignored(gathered)}

    def _map_output(self, original: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
        if not self.remapping:
            return {**original, **output}
        renamed: dict[str, Any] = {}
        for key, place in self.remapping.items():
            if key in output:
                _scatter(renamed, place, output[key])
            elif not self.allow_nonexist_keys:
                raise DataError(f"remapping names the key {key!r}, but the transforms gave {sorted(output)}")
        # Other keys that the transforms wrote, such as the scale of a resized second image, aren't the
        # sample's.
        return {**original, **renamed}

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample, with what the transforms wrote under the keys of `remapping`."""
        output = self.transforms(self._map_input(results))
        return None if output is None else self._map_output(results, output)


@TRANSFORMS.register_module()
class TransformBroadcaster(KeyMapper):
    """Apply transforms to each item of lists in the sample, or to several keys in turn.

    Reads: none.
    Changes: none.
    Writes: none.

    Keys are those of the transforms.

    Args:
        transforms: The transforms.
        mapping: As in `KeyMapper`; a value that is a list of keys, or a key whose value is a list, is
            broadcast.
        remapping: As in `KeyMapper`.
        auto_remap: As in `KeyMapper`.
        allow_nonexist_keys: As in `KeyMapper`.
        share_random_params: Give every item the same random draws.
    """

    def __init__(
        self,
        transforms: Step | Sequence[Step],
        mapping: Mapping[str, Any] | None = None,
        remapping: Mapping[str, Any] | None = None,
        auto_remap: bool | None = None,
        allow_nonexist_keys: bool = False,
        share_random_params: bool = False,
    ) -> None:
        super().__init__(transforms, mapping, remapping, auto_remap, allow_nonexist_keys)
        self.share_random_params = share_random_params

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample with lists of outputs; None where one of the items was dropped."""
        mapped = self._map_input(results)
        keys = list(self.mapping) if self.mapping else list(mapped)
        lists = {key: mapped[key] for key in keys if isinstance(mapped.get(key), (list, tuple))}
        lengths = {len(items) for items in lists.values()}
        if len(lengths) != 1:
            raise DataError(
                f"TransformBroadcaster needs lists of one length, but got lengths {sorted(lengths)}"
            )
        outputs = []
        draws = SharedDraws() if self.share_random_params else None
        for number in range(lengths.pop()):
            own = {key: items[number] for key, items in lists.items()}
            item = {key: value for key, value in {**mapped, **own}.items() if value is not ...}
            if draws is not None:
                draws.rewind()
            output = self.transforms(item)
            if output is None:
                return None
            outputs.append(output)
        written = dict.fromkeys(key for output in outputs for key in output)
        together = {key: [output.get(key, ...) for output in outputs] for key in written}
        changed = {key: value for key, value in together.items() if key in lists or key not in mapped}
        return self._map_output(results, {**mapped, **changed})


class SharedDraws:
    """The state of the random generators now, to go back to before each use of the same transforms."""

    def __init__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()

    def rewind(self) -> None:
        """Let the next draws be those that came after this was made."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
