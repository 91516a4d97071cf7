"""ImageInferencer: what inferencers of images share, the arguments of a call foremost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
from rich import print as pretty_print

from toolkit.config import Config
from toolkit.dataset import default_collate, pseudo_collate
from toolkit.fileio import dump, is_url
from toolkit.infer.base import BaseInferencer, Inputs, chunks
from toolkit.infer.inputs import find_images, short_names
from toolkit.infer.load import require_classes
from toolkit.transforms import read_image
from toolkit.visualization import Visualizer


class ImageInferencer(BaseInferencer):
    """Predicts on images, draws and stores what it finds.

    A task says by `draw` and `as_record` how one prediction becomes a picture and a line of `toolkit-infer`'s
    file, and by `pred2dict` how it becomes the dict that a call returns.

    Args: see `BaseInferencer`.
    """

    visualize_kwargs: ClassVar[set[str]] = {
        "return_vis",
        "show",
        "wait_time",
        "draw_pred",
        "pred_score_thr",
        "img_out_dir",
        "no_save_vis",
    }
    postprocess_kwargs: ClassVar[set[str]] = {"print_result", "pred_out_dir", "no_save_pred"}

    visualizer_type: ClassVar[type[Visualizer]] = Visualizer
    visualizer: Visualizer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        require_classes(self.classes)
        self._name([])

    def __call__(  # type: ignore[override]  # MMDetection's arguments, in its order
        self,
        inputs: Inputs,
        batch_size: int = 1,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        no_save_vis: bool = False,
        draw_pred: bool = True,
        pred_score_thr: float = 0.3,
        return_datasamples: bool = False,
        print_result: bool = False,
        no_save_pred: bool = True,
        out_dir: str = "",
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Predict on images.

        Args:
            inputs: A path or URL, a folder (searched through), a glob pattern, a uint8 BGR array of shape (H,
                W, 3), or a list of paths and arrays.
            batch_size: Images a forward pass.
            return_vis: Return the pictures.
            show: Open a window for each picture.
            wait_time: Seconds until it closes; 0 waits for the space bar.
            no_save_vis: Store no pictures in `out_dir`.
            draw_pred: Draw the predictions.
            pred_score_thr: What scores less is not drawn. It is returned all the same.
            return_datasamples: Return data samples instead of dicts.
            print_result: Print the dicts.
            no_save_pred: Store no predictions in `out_dir`.
            out_dir: Pictures are stored in `vis` below it, predictions in `preds`, under the images' names.
            **kwargs: For the steps, where a subclass takes more.

        Returns:
            `predictions`: a dict an image, see `pred2dict`, or a data sample; `visualization`: with
            `return_vis` pictures, uint8 RGB of shape (H, W, 3), otherwise an empty list.

        Raises:
            ConfigError: No step takes one of the further arguments.
            DataError: An image can't be read.
        """
        of_preprocess, of_forward, of_visualize, of_postprocess = self._dispatch_kwargs(
            return_vis=return_vis,
            show=show,
            wait_time=wait_time,
            no_save_vis=no_save_vis,
            draw_pred=draw_pred,
            pred_score_thr=pred_score_thr,
            img_out_dir=os.path.join(out_dir, "vis") if out_dir else "",
            print_result=print_result,
            no_save_pred=no_save_pred,
            pred_out_dir=os.path.join(out_dir, "preds") if out_dir else "",
            **kwargs,
        )
        items = self._inputs_to_list(inputs)
        self._name(items)
        result: dict[str, Any] = dict(predictions=[], visualization=[])
        batches = self.preprocess(items, batch_size, **of_preprocess)
        for part, batch in zip(
            chunks(items, batch_size), self._progress(batches, items, batch_size), strict=True
        ):
            preds = self.forward(batch, **of_forward)
            drawn = self.visualize(part, preds, **of_visualize)
            done = self.postprocess(preds, drawn, return_datasamples, **of_postprocess)
            result["predictions"] += done["predictions"]
            result["visualization"] += done["visualization"] or []
        return result

    def visualize(  # type: ignore[override]  # MMDetection's arguments, in its order
        self,
        inputs: Sequence[Any],
        preds: Sequence[Any],
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        draw_pred: bool = True,
        pred_score_thr: float = 0.3,
        no_save_vis: bool = False,
        img_out_dir: str = "",
        **kwargs: Any,
    ) -> list[np.ndarray]:
        """Draw predictions on their images, show and store the pictures.

        Args: see `__call__`; `img_out_dir` is the folder for the pictures.

        Returns:
            With `return_vis` the pictures, uint8 RGB of shape (H, W, 3); otherwise nothing.
        """
        store = bool(img_out_dir) and not no_save_vis
        if not (return_vis or show or store):
            return []
        pictures = []
        for item, prediction in zip(inputs, preds, strict=True):
            image = read_image(item) if isinstance(item, (str, os.PathLike)) else _image_of(item)
            picture = np.ascontiguousarray(image[..., ::-1])
            drawn = self.draw(picture, prediction, pred_score_thr) if draw_pred else None
            picture = picture if drawn is None else drawn
            name = self._name_of(item, "visualize")
            if show:
                self.visualizer.show(picture, win_name=name, wait_time=wait_time)
            if store:
                write_picture(os.path.join(img_out_dir, name), picture)
            pictures.append(picture)
        return pictures if return_vis else []

    def postprocess(  # type: ignore[override]  # MMDetection's arguments, in its order
        self,
        preds: Sequence[Any],
        visualization: Any,
        return_datasamples: bool = False,
        print_result: bool = False,
        no_save_pred: bool = False,
        pred_out_dir: str = "",
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Make, print and store what a call returns.

        Args: see `__call__`; `pred_out_dir` is the folder for the predictions, a JSON file an image.
        """
        store = bool(pred_out_dir) and not no_save_pred
        dicts = [] if return_datasamples and not (store or print_result) else list(map(self.pred2dict, preds))
        if store:
            for prediction, content in zip(preds, dicts, strict=True):
                name = self._name_of(prediction.get("img_path"), "postprocess")
                stem = os.path.splitext(name)[0]
                path = os.path.join(pred_out_dir, f"{name if self._stems[stem] > 1 else stem}.json")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                dump(content, path)
        if print_result:
            pretty_print(dict(predictions=dicts))
        return dict(predictions=list(preds) if return_datasamples else dicts, visualization=visualization)

    def pred2dict(self, data_sample: Any) -> Any:
        """The prediction of an image as plain values that JSON can hold."""
        return self.as_record(data_sample, 0.0)

    def _inputs_to_list(self, inputs: Inputs) -> list[Any]:
        """The inputs as a list; a folder or a glob pattern stands for its images."""
        if isinstance(inputs, (str, os.PathLike)) and not is_url(inputs):
            return find_images([os.fspath(inputs)])
        return super()._inputs_to_list(inputs)

    def _init_collate(self, cfg: Config) -> Callable[[list[Any]], Any]:
        """That of the config's test dataloader, but for one that stacks: images may differ in size."""
        found = super()._init_collate(cfg)
        return pseudo_collate if found is default_collate else found

    def _init_visualizer(self, cfg: Config) -> Visualizer:
        """The config's visualizer; the task's own where that is none or one that draws no predictions."""
        found = super()._init_visualizer(cfg)
        if found is None or type(found) is Visualizer:
            found = super()._init_visualizer(Config(dict(visualizer=dict(type=self.visualizer_type))))
        assert found is not None
        return found

    def _name(self, items: Sequence[Any]) -> None:
        """Give the files of a call names for their results, no two of which are alike."""
        files = [os.fspath(item) for item in items if isinstance(item, (str, os.PathLike))]
        files = [file for file in files if not is_url(file)]
        self._names = dict(zip(files, short_names(files), strict=True))
        self._stems = Counter(os.path.splitext(name)[0] for name in self._names.values())
        self._counts = dict(visualize=0, postprocess=0)

    def _name_of(self, item: Any, step: str) -> str:
        """The name of an image's results; what is no file is numbered."""
        if isinstance(item, dict):
            item = item.get("img_path")
        if isinstance(item, (str, os.PathLike)):
            path = os.fspath(item)
            return self._names.get(path) or os.path.basename(path)
        name = f"{self._counts[step]:08}.jpg"
        self._counts[step] += 1
        return name


def _image_of(item: Any) -> np.ndarray:
    """The BGR image of an array, or of a dict that a pipeline reads."""
    if isinstance(item, dict):
        item = item["img"] if item.get("img") is not None else read_image(item["img_path"])
    return np.asarray(item)


def write_picture(path: str, picture: np.ndarray) -> None:
    """Write an RGB picture, (H, W, 3) uint8, to a file; folders above it are made."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    cv2.imwrite(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
