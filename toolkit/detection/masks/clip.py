"""Cutting polygons to a rectangle."""

from __future__ import annotations

import numpy as np


def clip_polygon(points: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The part of a polygon from (0, 0) to `limits` (Sutherland and Hodgman, 1974).

    Where a polygon falls into several parts, they stay joined by edges along the border, which enclose
    nothing.

    Args:
        points: Corners x, y, (n, 2).
        limits: Width and height.

    Returns:
        Corners (m, 2) float64; none, where nothing is left.

    Examples:
        >>> clip_polygon(np.array([[-1.0, 0], [1, 0], [1, 2], [-1, 2]]), (4, 4)).tolist()
        [[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [0.0, 2.0]]
    """
    points = np.asarray(points, np.float64)
    if ((points >= 0) & (points <= limits)).all():
        return points
    for axis in (0, 1):
        for sign, limit in ((1.0, 0.0), (-1.0, limits[axis])):
            points = _half_plane(points, sign * (points[:, axis] - limit), axis, limit)
    return points


def _half_plane(points: np.ndarray, inside: np.ndarray, axis: int, limit: float) -> np.ndarray:
    """The part of a polygon whose distance `inside` (n,) from a border line is at least 0."""
    if not len(points) or (inside >= 0).all():
        return points
    before, before_inside = np.roll(points, 1, axis=0), np.roll(inside, 1)
    crosses = (inside >= 0) != (before_inside >= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = before_inside / (before_inside - inside)
        crossing = before + share[:, None] * (points - before)
    crossing[:, axis] = limit
    # Each corner that is inside, after the point at which its edge came in or went out.
    both = np.stack((crossing, points), axis=1).reshape(-1, 2)
    return both[np.stack((crosses, inside >= 0), axis=1).reshape(-1)]
