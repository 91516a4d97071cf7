"""Draws on a picture, and hands pictures and numbers to the backends."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from toolkit.dist import master_only
from toolkit.registry import VISBACKENDS, VISUALIZERS
from toolkit.utils import ConfigError, did_you_mean
from toolkit.utils.manager import ManagerMixin
from toolkit.visualization.arrays import as_image
from toolkit.visualization.backends import BaseVisBackend
from toolkit.visualization.canvas import Image
from toolkit.visualization.drawing import DrawingMixin
from toolkit.visualization.featmap import featmap_image
from toolkit.visualization.show import show_image

Backends: TypeAlias = Sequence[BaseVisBackend | Mapping[str, Any]] | BaseVisBackend | Mapping[str, Any] | None


@VISUALIZERS.register_module()
class Visualizer(DrawingMixin, ManagerMixin):
    """Draws on a picture and keeps pictures, numbers and configs in its backends.

    The `draw_*` methods change the picture of `set_image` and give the visualizer back, so that they chain;
    `get_image` gives the result. A task's visualizer overrides `add_datasample`.

    Args:
        name: Name under which `Visualizer.get_instance` finds it.
        image: The first picture; see `set_image`.
        vis_backends: Backends or their configs.
        save_dir: Folder of the log; the backends write to `vis_data` in it.
        fig_save_cfg: Has no effect: pictures are drawn without a figure. MMEngine's configs may hold it.
        fig_show_cfg: Arguments of the figure that `show` opens.

    Raises:
        ConfigError: Two backends of one name, or a backend without a folder to write to.
    """

    _dataset_meta: dict[str, Any] | None = None

    def __init__(
        self,
        name: str = "visualizer",
        image: Any = None,
        vis_backends: Backends = None,
        save_dir: str | os.PathLike[str] | None = None,
        fig_save_cfg: Mapping[str, Any] | None = None,
        fig_show_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        ManagerMixin.__init__(self, name)
        DrawingMixin.__init__(self)
        self._fig_show_cfg = dict(fig_show_cfg or {})
        folder = None if save_dir is None else os.path.join(save_dir, "vis_data")
        self._vis_backends = _build_backends(vis_backends, folder)
        if image is not None:
            self.set_image(image)
        # Found by name and as the newest, however it was made, and under its base classes' names too.
        for kind in type(self).__mro__:
            if issubclass(kind, Visualizer):
                kind._instance_dict.pop(name, None)
                kind._instance_dict[name] = self

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """The dataset's `metainfo`: class names, palette."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta

    def get_backend(self, name: str) -> BaseVisBackend:
        """The backend of that class name, or of the `name` in its config.

        Raises:
            KeyError: There is none.
        """
        if name not in self._vis_backends:
            known = list(self._vis_backends)
            raise KeyError(f"no backend {name!r}{did_you_mean(name, known)}; there are: {known}")
        return self._vis_backends[name]

    def show(
        self,
        drawn_img: Image | None = None,
        win_name: str = "image",
        wait_time: float = 0.0,
        continue_key: str = " ",
        backend: str = "matplotlib",
    ) -> None:
        """Shows a picture in a window.

        Args:
            drawn_img: RGB (H, W, 3); by default what was drawn.
            win_name: Title of the window.
            wait_time: Seconds until it goes away; 0 waits for `continue_key`.
            continue_key: Key that ends the wait.
            backend: 'matplotlib' or 'cv2'.
        """
        image = self.get_image() if drawn_img is None else as_image(drawn_img)
        show_image(image, win_name, wait_time, continue_key, backend, self._fig_show_cfg)

    @staticmethod
    def draw_featmap(
        featmap: Tensor,
        overlaid_image: Image | None = None,
        channel_reduction: str | None = "squeeze_mean",
        topk: int = 20,
        arrangement: tuple[int, int] = (4, 5),
        resize_shape: tuple[int, int] | None = None,
        alpha: float = 0.5,
    ) -> Image:
        """A feature map (C, H, W) as an RGB picture; see `toolkit.visualization.featmap.featmap_image`."""
        return featmap_image(
            featmap, overlaid_image, channel_reduction, topk, arrangement, resize_shape, alpha
        )

    # Backends.

    @master_only
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config in all backends."""
        for backend in self._vis_backends.values():
            backend.add_config(config, **kwargs)

    @master_only
    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Keeps the model's graph in all backends that can."""
        for backend in self._vis_backends.values():
            backend.add_graph(model, data_batch, **kwargs)

    @master_only
    def add_image(self, name: str, image: Any, step: int = 0) -> None:
        """Keeps a picture, RGB (H, W, 3), in all backends."""
        for backend in self._vis_backends.values():
            backend.add_image(name, as_image(image), step)

    @master_only
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Keeps a number in all backends."""
        for backend in self._vis_backends.values():
            backend.add_scalar(name, value, step, **kwargs)

    @master_only
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Keeps the numbers of one step in all backends; in a local file `file_path` of their own too."""
        for backend in self._vis_backends.values():
            backend.add_scalars(scalar_dict, step, file_path, **kwargs)

    def add_datasample(
        self,
        name: str,
        image: Any,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        step: int = 0,
        **kwargs: Any,
    ) -> None:
        """Keeps a picture of a data sample. What is drawn of the sample is up to the task's visualizer.

        Args:
            name: Name of the picture.
            image: RGB (H, W, 3).
            data_sample: Annotations and predictions.
            draw_gt: Whether the annotations are drawn.
            draw_pred: Whether the predictions are drawn.
            show: Whether it is shown in a window.
            wait_time: See `show`.
            step: The iteration.
            **kwargs: For the task's visualizer.
        """
        self.set_image(image)
        if show:
            self.show(win_name=name, wait_time=wait_time)
        self.add_image(name, self.get_image(), step)

    @master_only
    def close(self) -> None:
        """Finishes writing in all backends."""
        for backend in self._vis_backends.values():
            backend.close()


def _build_backends(given: Backends, folder: str | None) -> dict[str, BaseVisBackend]:
    if given is None:
        return {}
    configs = [given] if isinstance(given, (BaseVisBackend, Mapping)) else list(given)
    built: dict[str, BaseVisBackend] = {}
    for each in configs:
        name = None
        if isinstance(each, Mapping):
            cfg = dict(each)
            name = cfg.pop("name", None)
            if folder is None and "save_dir" not in cfg:
                raise ConfigError(
                    f"the visualizer's backend {cfg.get('type')} has no save_dir, nor has the visualizer"
                )
            backend = VISBACKENDS.build(cfg, default_args={} if folder is None else {"save_dir": folder})
        else:
            backend = each
        name = name or type(backend).__name__
        if name in built:
            raise ConfigError(
                f"two backends of the visualizer are called {name!r}; give one of them a 'name'"
            )
        built[name] = backend
    return built
