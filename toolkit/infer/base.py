"""BaseInferencer: a config, weights and inputs in; predictions and pictures out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from toolkit.config import Config
from toolkit.dataset import Compose, pseudo_collate
from toolkit.dataset.loader import build_function
from toolkit.infer.inputs import as_sample, files_in
from toolkit.infer.load import find_config, list_names, load_model, put_weights, test_pipeline
from toolkit.registry import VISUALIZERS, DefaultScope
from toolkit.utils import did_you_mean, is_method_overridden
from toolkit.utils.errors import ConfigError, DataError
from toolkit.visualization import Visualizer

Input: TypeAlias = str | os.PathLike[str] | np.ndarray | Tensor | dict[str, Any]
Inputs: TypeAlias = Input | Sequence[Input]
Model: TypeAlias = str | os.PathLike[str] | Config | Mapping[str, Any] | nn.Module | None

_STEPS = ("preprocess", "forward", "visualize", "postprocess")
_SETS = ", ".join(f"{step}_kwargs" for step in _STEPS)
_MOST_THREADS = 8


class BaseInferencer:
    """Runs a model on single inputs, without a dataset.

    A call goes through `preprocess`, `forward`, `visualize` and `postprocess`, each of which a subclass may
    override; keyword arguments of the call go to the step whose set of names has them:
    `preprocess_kwargs`, `forward_kwargs`, `visualize_kwargs`, `postprocess_kwargs`.

    `toolkit-infer` asks `as_record` and `draw` what becomes of one prediction; unless a subclass overrides
    them, they go through `postprocess` and `visualize`.

    Args:
        model: A config: its path, a `Config` or a dict; the name of a config that is shipped with this
            package (see `list_models`); or a model that `init_detector` or `load_model` made. None for the
            config that the checkpoint carries.
        weights: A checkpoint's path or URL, or a work directory, which stands for its newest checkpoint. None
            leaves a config's model with random weights.
        device: A torch device; the best at hand if None.
        scope: The scope of the names in the config; if None, the config's `default_scope`.
        show_progress: Whether calls show a progress bar.
        trusted: Unpickle whatever the checkpoint holds.

    Attributes:
        cfg: The config.
        model: The model on its device, in evaluation mode, with `cfg` and `dataset_meta`.
        pipeline: Makes a sample of one input.
        collate_fn: Makes a batch of samples.
        visualizer: What draws, or None.

    Raises:
        CheckpointError: The checkpoint is missing, damaged or of another model, or carries no config.
        ConfigError: The config can't be found, or has a mistake in it.
    """

    preprocess_kwargs: ClassVar[set[str]] = set()
    forward_kwargs: ClassVar[set[str]] = set()
    visualize_kwargs: ClassVar[set[str]] = set()
    postprocess_kwargs: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = [name for step in _STEPS for name in cls._names_of(step)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TypeError(
                f"{cls.__name__} gives {', '.join(map(repr, twice))} to several steps; an argument belongs "
                f"to one of {_SETS}"
            )

    def __init__(
        self,
        model: Model = None,
        weights: str | os.PathLike[str] | None = None,
        device: str | None = None,
        scope: str | None = None,
        show_progress: bool = True,
        *,
        trusted: bool = False,
    ) -> None:
        self.show_progress = show_progress
        self._trusted = trusted
        self._source = "the checkpoint" if weights is None else os.fspath(weights)
        cfg = find_config(model, weights, scope, trusted=trusted)
        self.cfg = cfg
        self.scope = scope or cfg.get("default_scope")
        with DefaultScope.overwrite_default_scope(self.scope):
            if isinstance(model, nn.Module):
                self.model = model.eval() if device is None else model.to(device).eval()
            else:
                self.model = self._init_model(cfg, None if weights is None else os.fspath(weights), device)
            self.pipeline = self._init_pipeline(cfg)
            self.collate_fn = self._init_collate(cfg)
            self.visualizer = self._init_visualizer(cfg)

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """What the checkpoint, or else the config, says of the data: `classes`, `palette` and more."""
        return getattr(self.model, "dataset_meta", None) or {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label; empty where none are known."""
        return tuple(self.dataset_meta.get("classes") or ())

    # -- a call ---------------------------------------------------------------------------------------

    def __call__(
        self, inputs: Inputs, return_datasamples: bool = False, batch_size: int = 1, **kwargs: Any
    ) -> Any:
        """Predict on one input or several.

        Args:
            inputs: A path, an array, or whatever else the pipeline takes; several in a list; or a folder,
                which stands for its files.
            return_datasamples: Return predictions as the model makes them, not as plain values.
            batch_size: Inputs a forward pass.
            **kwargs: Arguments of the steps.

        Returns:
            What `postprocess` makes: as a rule a dict of `predictions` and `visualization`.

        Raises:
            ConfigError: No step takes one of the arguments.
            DataError: An input can't be read.
        """
        of_preprocess, of_forward, of_visualize, of_postprocess = self._dispatch_kwargs(**kwargs)
        items = self._inputs_to_list(inputs)
        preds: list[Any] = []
        for batch in self._progress(self.preprocess(items, batch_size, **of_preprocess), items, batch_size):
            preds.extend(self.forward(batch, **of_forward))
        visualization = self.visualize(items, preds, **of_visualize)
        return self.postprocess(preds, visualization, return_datasamples, **of_postprocess)

    def stream(self, inputs: Sequence[Any], batch_size: int = 4) -> Iterator[tuple[Any, Any]]:
        """Yield (input, prediction), or (input, DataError) for one that can't be read, in order.

        Args:
            inputs: See `_inputs_to_list`.
            batch_size: Inputs a forward pass.
        """
        done = 0
        alone = 0  # how many to read one by one, since one of them can't be read
        while done < len(inputs):
            rest = inputs[done : done + 1] if alone else inputs[done:]
            try:
                for batch in self.preprocess(rest, batch_size):
                    preds = self.forward(batch)
                    yield from zip(inputs[done : done + len(preds)], preds, strict=True)
                    done += len(preds)
                    alone = max(0, alone - 1)
            except DataError as error:
                if not alone:
                    alone = min(batch_size, len(inputs) - done)
                    continue
                yield inputs[done], error
                done += 1
                alone -= 1

    # -- its steps ------------------------------------------------------------------------------------

    def preprocess(self, inputs: Sequence[Any], batch_size: int = 1, **kwargs: Any) -> Iterable[Any]:
        """Batches for `forward`. The next one is read in threads while the model works on the present one.

        Raises:
            DataError: An input can't be read.
        """
        with ThreadPoolExecutor(max_workers=min(batch_size, _MOST_THREADS)) as pool:
            ahead: list[Future[Any]] = []
            for chunk in [*chunks(inputs, batch_size), []]:
                reading = [pool.submit(self._sample, item) for item in chunk]
                if ahead:
                    yield self.collate_fn([job.result() for job in ahead])
                ahead = reading

    def forward(self, inputs: Any, **kwargs: Any) -> Any:
        """The model's predictions for a batch, one an input, on the CPU."""
        with torch.no_grad():
            found = cast("Callable[[Any], Any]", self.model.test_step)(inputs)
        if isinstance(found, (list, tuple)):
            return [each.cpu() if hasattr(each, "cpu") else each for each in found]
        return found

    def visualize(self, inputs: Sequence[Any], preds: Any, show: bool = False, **kwargs: Any) -> Any:
        """Pictures of the predictions; none where nothing is drawn."""
        return []

    def postprocess(
        self, preds: Any, visualization: Any, return_datasample: bool = False, **kwargs: Any
    ) -> Any:
        """The result of a call.

        Returns:
            `predictions`: data samples, or records made by `as_record`; `visualization`: what `visualize`
            returned.
        """
        records = preds if return_datasample else [self.as_record(each, 0.0) for each in preds]
        return dict(predictions=records, visualization=visualization)

    @classmethod
    def handles(cls, model: nn.Module) -> bool:
        """Whether this inferencer understands what the model predicts, so that `toolkit-infer` takes it."""
        return False

    def as_record(self, prediction: Any, score_thr: float) -> Any:
        """The prediction as plain values that JSON can hold."""
        if not is_method_overridden("postprocess", BaseInferencer, self):
            raise ConfigError(
                f"{type(self).__name__} doesn't say how a prediction becomes plain values; define "
                "as_record(prediction, score_thr), or override postprocess"
            )
        return self.postprocess([prediction], [])["predictions"][0]

    def draw(self, image: np.ndarray, prediction: Any, score_thr: float) -> np.ndarray | None:
        """The prediction drawn on an image, both uint8 RGB of shape (H, W, 3); None for no picture."""
        wanted: dict[str, Any] = dict(return_vis=True, pred_score_thr=score_thr)
        taken = {name: value for name, value in wanted.items() if name in self.visualize_kwargs}
        drawn = self.visualize([np.ascontiguousarray(image[..., ::-1])], [prediction], **taken)
        return drawn[0] if isinstance(drawn, (list, tuple)) and drawn else None

    # -- its parts ------------------------------------------------------------------------------------

    def _init_model(self, cfg: Config, weights: str | None, device: str | None = None) -> nn.Module:
        """The model of a config, with its weights, on a device."""
        return load_model(
            cfg, weights, device, trusted=self._trusted, put=self._load_weights_to_model, scope=self.scope
        )

    def _load_weights_to_model(
        self, model: nn.Module, checkpoint: Mapping[str, Any] | None, cfg: Config
    ) -> None:
        """Put a checkpoint's weights into a model, and what is known of the data into its `dataset_meta`."""
        put_weights(model, checkpoint, cfg, self._source)

    def _init_pipeline(self, cfg: Config) -> Callable[[Any], Any]:
        """What makes a sample of an input: the config's test pipeline without annotations.

        It runs in a thread, several at once with batches of several.
        """
        return Compose([as_sample, *test_pipeline(cfg)])

    def _init_collate(self, cfg: Config) -> Callable[[list[Any]], Any]:
        """What makes a batch of samples: that of the config's test dataloader, or `pseudo_collate`."""
        loader = cfg.get("test_dataloader")
        named = loader.get("collate_fn") if isinstance(loader, Mapping) else None
        return build_function(named or pseudo_collate, "collate_fn")

    def _init_visualizer(self, cfg: Config) -> Visualizer | None:
        """The config's visualizer, without backends: there is no run whose log they would keep."""
        if cfg.get("visualizer") is None:
            return None
        settings = {**cfg["visualizer"], "vis_backends": None, "name": f"inferencer-{id(self)}"}
        visualizer: Visualizer = VISUALIZERS.build(settings)
        visualizer.dataset_meta = self.dataset_meta
        return visualizer

    def _inputs_to_list(self, inputs: Inputs) -> list[Any]:
        """The inputs as a list; a folder stands for its files."""
        if isinstance(inputs, (str, os.PathLike)):
            path = os.fspath(inputs)
            return files_in(path) if os.path.isdir(path) else [path]
        return list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]

    def _sample(self, item: Any) -> Any:
        sample = self.pipeline(item)
        if sample is None:
            what = repr(item) if isinstance(item, str) else "an input"
            raise DataError(f"the test pipeline drops {what}")
        return sample

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict[str, Any], ...]:
        """The arguments of a call, by the step that takes them.

        Raises:
            ConfigError: None does.
        """
        names = [name for step in _STEPS for name in self._names_of(step)]
        for name in kwargs:
            if name not in names:
                takes = f"takes {', '.join(sorted(names))}" if names else "takes no further argument"
                raise ConfigError(
                    f"{type(self).__name__} {takes}; it got {name!r}{did_you_mean(name, names)} "
                    f"A subclass names its own arguments in {_SETS}"
                )
        return tuple(
            {name: value for name, value in kwargs.items() if name in self._names_of(step)} for step in _STEPS
        )

    @classmethod
    def _names_of(cls, step: str) -> set[str]:
        names: set[str] = getattr(cls, f"{step}_kwargs")
        return names

    def _progress(self, batches: Iterable[Any], items: Sequence[Any], batch_size: int) -> Iterable[Any]:
        if not self.show_progress:
            return batches
        total = -(-len(items) // batch_size)
        return track(batches, "Inference", total, console=Console(stderr=True))

    @staticmethod
    def list_models(scope: str | None = None, patterns: str = ".*") -> list[str]:
        """Names of shipped configs that `model` may name; their weights have to be given beside them.

        Args:
            scope: The project whose configs are listed, such as ``mmdet``; ours if None.
            patterns: A regular expression that a name matches from its beginning.
        """
        return list_names(scope, patterns)


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Parts of `size` items, the last one what is left."""
    return [items[start : start + size] for start in range(0, len(items), size)]
