"""Pictures of confusion matrices and of precision and recall."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.detection.evaluation.error_analysis import ClassScores, pooled
from toolkit.logging import MMLogger
from toolkit.utils import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK = "#222222"
_FADED = "#8a8f98"
# Okabe and Ito's colours, which the colour-blind can tell apart
_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#B8A800")
# with more classes than these, single cells and curves can't be told apart
_MAX_NUMBERS = 30
_MAX_NAMES = 80
_NAME_LENGTH = 24


def picture_path(out_file: str | None, default_name: str) -> str | None:
    """Where to write a picture: where the user says, or beside the log file; None where there is none."""
    if out_file is not None:
        return out_file
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            return os.path.join(os.path.dirname(handler.baseFilename), default_name)
    return None


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure.

    Raises:
        DataError: It can't be written.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        figure.savefig(path, dpi=120, facecolor="white")
    except OSError as error:
        raise DataError(f"The picture {path!r} can't be written: {error.strerror or error}.") from error


def confusion_figure(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """A picture of a confusion matrix, each row in parts of its sum.

    Args:
        matrix: (K + 1, K + 1), as `confusion_matrix` gives it.
        classes: K names.
        title: Heading.
    """
    from matplotlib.figure import Figure

    count = len(matrix)
    sums = matrix.sum(axis=1, keepdims=True)
    parts = np.divide(matrix, sums, out=np.zeros(matrix.shape), where=sums > 0)
    # nothing is both no object and no detection
    shown = np.ma.masked_where(np.eye(count, dtype=bool) & (np.arange(count) == count - 1), parts)
    side = min(max(0.42 * count + 3.2, 5.6), 26)
    figure = Figure(figsize=(side + 0.7, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    if count <= _MAX_NUMBERS:
        _write_cells(axes, matrix, parts)
    if count <= _MAX_NAMES:
        names = [_short(name) for name in classes]
        axes.set_xticks(range(count), [*names, "missed"], rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), [*names, "nothing there"])
    axes.axhline(count - 1.5, color=_FADED, linewidth=0.8)
    axes.axvline(count - 1.5, color=_FADED, linewidth=0.8)
    axes.set_xlabel("predicted", color=_INK)
    axes.set_ylabel("true", color=_INK)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    _plain_frame(axes, keep=())
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("part of the row", color=_INK)
    bar.outline.set_visible(False)
    return figure


def _write_cells(axes: Any, matrix: np.ndarray, parts: np.ndarray) -> None:
    last = len(matrix) - 1
    size = 10 if len(matrix) <= 12 else 7
    for (row, column), part in np.ndenumerate(parts):
        number = int(matrix[row, column])
        if number and (row, column) != (last, last):
            color = "white" if part > 0.55 else _INK
            text = f"{number}" if len(matrix) > 12 else f"{number}\n{part:.0%}"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color)


def precision_recall_figure(
    classes: Sequence[ClassScores], names: Sequence[str], score_thr: float, title: str
) -> Figure:
    """Precision over recall of the classes, and precision, recall and F1 of all over the score.

    Args:
        classes: What `precision_recall` found for each class.
        names: The classes' names.
        score_thr: The score that is marked.
        title: Heading.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 4.9), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=_INK)
    left, right = figure.subplots(1, 2)
    _draw_classes(left, classes, names, score_thr)
    _draw_scores(right, pooled(classes), score_thr)
    for axes in (left, right):
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.08)
        axes.grid(color="#e6e8ec", linewidth=0.7)
        axes.set_axisbelow(True)
        _plain_frame(axes, keep=("left", "bottom"))
    return figure


def _draw_classes(axes: Any, classes: Sequence[ClassScores], names: Sequence[str], score_thr: float) -> None:
    """Precision over recall; the classes with most objects in colours, the others faint."""
    drawn = [place for place, one in enumerate(classes) if one.num_gts and len(one.scores)]
    drawn.sort(key=lambda place: -classes[place].num_gts)
    for place in drawn[len(_COLORS) :]:
        precision, recall, _ = classes[place].curves()
        axes.plot(recall, precision, color="#c9ced6", linewidth=0.8, zorder=1)
    for color, place in zip(_COLORS, drawn, strict=False):
        precision, recall, _ = classes[place].curves()
        axes.plot(recall, precision, color=color, linewidth=1.5, label=_short(names[place]), zorder=2)
        at_precision, at_recall, _ = classes[place].at(score_thr)
        if at_recall:
            axes.plot(at_recall, at_precision, "o", markersize=4.5, color=_INK, zorder=4)
    if len(drawn) > 1:
        precision, recall, _ = pooled(classes).curves()
        axes.plot(recall, precision, color=_INK, linewidth=2.2, label="all together", zorder=3)
    axes.set_xlabel(f"recall (dots: score {score_thr:g})", color=_INK)
    axes.set_ylabel("precision", color=_INK)
    if drawn:
        axes.legend(frameon=False, fontsize=8, loc="lower left")


def _draw_scores(axes: Any, everything: ClassScores, score_thr: float) -> None:
    """Precision, recall and F1 over the score from which detections count."""
    colors = {"precision": "#0072B2", "recall": "#009E73", "F1": "#D55E00"}
    for curve, (name, color) in zip(everything.curves(), colors.items(), strict=True):
        axes.plot(everything.scores, curve, color=color, linewidth=1.8, label=name)
    best, at_score = everything.best_f1()
    axes.axvline(score_thr, color=_FADED, linewidth=1, linestyle="--")
    axes.plot(at_score, best, "o", markersize=5.5, color=colors["F1"])
    axes.annotate(
        f"best F1 {best:.3f} at {at_score:.2f}",
        (at_score, best),
        xytext=(0, 10),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        color=_INK,
    )
    axes.set_xlabel(f"score from which detections count (dashed: {score_thr:g})", color=_INK)
    axes.legend(frameon=False, fontsize=9, loc="lower left")


def _plain_frame(axes: Any, keep: Sequence[str]) -> None:
    for name, spine in axes.spines.items():
        spine.set_visible(name in keep)
        spine.set_color(_FADED)
    axes.tick_params(colors=_INK, length=0 if not keep else 3, labelsize=9)


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
