"""A picture in a window."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import cv2

from toolkit.utils import ConfigError
from toolkit.visualization.canvas import Image

_logger = logging.getLogger(__name__)


def show_image(
    image: Image,
    title: str,
    wait_time: float,
    continue_key: str,
    backend: str,
    figure_cfg: Mapping[str, Any],
) -> None:
    """Opens a window with an RGB picture; without a display, says so and goes on.

    Raises:
        ConfigError: `backend` is unknown, or this OpenCV has no windows.
    """
    if backend == "matplotlib":
        _show_with_matplotlib(image, title, wait_time, continue_key, figure_cfg)
    elif backend == "cv2":
        try:
            cv2.imshow(title, image[..., ::-1])
            cv2.waitKey(int(wait_time * 1000))
        except cv2.error as error:
            raise ConfigError("this OpenCV was built without windows; use backend='matplotlib'") from error
    else:
        raise ConfigError(f"backend {backend!r} is neither 'matplotlib' nor 'cv2'")


def _show_with_matplotlib(
    image: Image, title: str, wait_time: float, continue_key: str, figure_cfg: Mapping[str, Any]
) -> None:
    from matplotlib import pyplot as plt

    if plt.get_backend().lower() == "agg":
        _logger.warning("%s can't be shown: there is no display. Pictures are in the backends' files.", title)
        return
    figure = plt.figure(title, **figure_cfg)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.axis("off")
    axes.imshow(image)
    figure.canvas.mpl_connect(
        "key_press_event", lambda event: plt.close(figure) if event.key == continue_key else None
    )
    if wait_time > 0:
        plt.show(block=False)
        plt.pause(wait_time)
        plt.close(figure)
    else:
        plt.show(block=True)
