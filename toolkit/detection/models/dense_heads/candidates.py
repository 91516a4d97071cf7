"""The candidates of dense heads: the best of all places and classes of a level."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Candidates = tuple[Tensor, Tensor, Tensor]
# How far below the threshold's logit rounding can't reach.
_LOGIT_MARGIN = 1e-2


def best_candidates(
    scores: Tensor, most: int, sigmoid: bool = False, least: float | None = None
) -> Candidates:
    """The highest of a level's scores.

    Args:
        scores: (B, A, C, H·W), not negative; or with `sigmoid` their logits.
        most: How many an image, at most; all where it is not positive.
        sigmoid: Take the sigmoid.
        least: Scores up to this one need not be given. On a GPU they may be, as to drop them would have to
            wait for it; elsewhere an image with fewer is filled up with scores of -inf.

    Returns:
        Scores, places (in the order y, x, a) and classes, (B, K) each, highest first.
    """
    if scores.is_cuda:
        return _batched(scores, most, sigmoid)
    return _one_by_one(scores, most, sigmoid, least)


def _one_by_one(scores: Tensor, most: int, sigmoid: bool, least: float | None) -> Candidates:
    """The same image by image, sorted as MMDetection sorts them.

    Which of equal scores `Tensor.sort` puts first depends on the processor and on all that it is given, so
    this sorts just what the reference sorts. Scores that saturate at 1 are not rare, and what is proposed
    then depends on it.
    """
    batch, _, classes, _ = scores.shape
    rows = scores.permute(0, 3, 1, 2).reshape(batch, -1)
    limit = rows.size(1) if most <= 0 else min(most, rows.size(1))
    found = [_ordered(row, limit, sigmoid, least) for row in rows]
    width = limit if least is None else max(len(values) for values, _ in found)
    values = rows.new_full((batch, width), -math.inf, dtype=torch.float32)
    chosen = torch.zeros_like(values, dtype=torch.int64)
    for i, (best, where) in enumerate(found):
        values[i, : len(best)], chosen[i, : len(best)] = best, where
    if classes == 1:
        return values, chosen, torch.zeros_like(chosen)
    return values, chosen // classes, chosen % classes


def _ordered(row: Tensor, limit: int, sigmoid: bool, least: float | None) -> tuple[Tensor, Tensor]:
    """The highest scores of one image, and their places in `row` (N,), which holds logits or scores."""
    if least is None:
        values = row.float().sigmoid() if sigmoid else row.float()
        if limit == len(row):
            return values, torch.arange(limit, device=row.device)
        best, places = values.sort(descending=True)
        return best[:limit], places[:limit]
    if sigmoid:
        # Most are far below: a comparison is cheaper than a sigmoid.
        bound = math.log(least / (1 - least)) - _LOGIT_MARGIN if 0 < least < 1 else -math.inf
        places = (row > bound).nonzero().squeeze(1)
        values = row[places].float().sigmoid()
        above = values > least
        values, places = values[above], places[above]
    else:
        places = (row > least).nonzero().squeeze(1)
        values = row[places].float()
    best, order = values.sort(descending=True)
    return best[:limit], places[order[:limit]]


def _batched(scores: Tensor, most: int, sigmoid: bool) -> Candidates:
    """The same for all images at once, without waiting for the device; of equal scores the first goes first.

    A place with one of the highest `most` scores is among the `most` places with the highest largest scores,
    so that only those have to be ordered class by class.
    """
    batch, _, classes, _ = scores.shape

    def activated(x: Tensor) -> Tensor:
        return x.float().sigmoid() if sigmoid else x.float()

    if classes > 1 and 0 < most < scores.size(1) * scores.size(3):
        places = _first_best(activated(scores.amax(2)).transpose(1, 2).flatten(1), most).sort(1).values
        flat = activated(at_places(scores.flatten(1, 2), places, scores.size(1))).flatten(1)
    else:
        places = torch.arange(scores.size(1) * scores.size(3), device=scores.device).expand(batch, -1)
        flat = activated(scores.permute(0, 3, 1, 2).reshape(batch, -1))
    if 0 < most < flat.size(1):
        chosen = _first_best(flat, most)
    else:
        chosen = torch.arange(flat.size(1), device=flat.device).expand(batch, -1)
    values = flat.gather(1, chosen)
    if classes == 1:
        return values, places.gather(1, chosen), torch.zeros_like(chosen)
    return values, places.gather(1, chosen // classes), chosen % classes


def _first_best(values: Tensor, most: int) -> Tensor:
    """Where the highest `most` of each row of float32 (B, N) are, highest first, of equal ones the first."""
    # The bits of numbers that aren't negative are ordered as the numbers are; the place goes below them.
    place = torch.arange(values.size(1), device=values.device)
    keys = (values.view(torch.int32).long() << 32) - place
    return keys.topk(most, dim=1).indices


def at_places(x: Tensor, places: Tensor, count: int) -> Tensor:
    """A map (B, A·channels, ...) at places (B, K) of its order (y, x, a): (B, K, channels)."""
    rows = torch.arange(x.size(0), device=x.device).unsqueeze(1)
    return x.flatten(2).unflatten(1, (count, -1))[rows, places % count, :, places // count]
