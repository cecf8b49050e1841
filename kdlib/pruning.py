"""Magnitude pruning with an exact number of kept weights, for one model or many at once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

SAMPLE = 20_000  # entries that give the first guess of a threshold

__all__ = ["kept_count", "largest", "magnitude_masks"]


def kept_count(size: int, keep_ratio: float) -> int:
    """Number of weights that stay: ``keep_ratio * size`` rounded half up.

    Raises
    ------
    ValueError
        For a keep_ratio outside [0, 1].
    """
    if not 0 <= keep_ratio <= 1:
        raise ValueError(f"keep_ratio must lie in [0, 1], got {keep_ratio}")
    return math.floor(keep_ratio * size + 0.5)


def largest(scores: Tensor, count: int) -> Tensor:
    """Mark the ``count`` largest scores of the last axis; of equal ones the first.

    Parameters
    ----------
    scores : Tensor, shape (..., n)
    count : int in [0, n]

    Returns
    -------
    bool Tensor, shape (..., n), with exactly ``count`` True entries on the last axis.

    Raises
    ------
    ValueError
        For a count outside [0, n], and for NaN.
    """
    size = scores.shape[-1]
    if not 0 <= count <= size:
        raise ValueError(f"count must lie in [0, {size}], got {count}")
    if count in (0, size):
        return torch.full_like(scores, bool(count), dtype=torch.bool)
    rows = scores.reshape(-1, size)
    marks = torch.stack([_largest_in_row(row, count) for row in rows])
    return marks.reshape(scores.shape)


def _largest_in_row(row: Tensor, count: int) -> Tensor:
    if bool(row.sum().isnan()):
        raise ValueError("scores must not be NaN")
    places, above = _around_threshold(row, count)
    near = row[places]
    threshold = torch.kthvalue(near, len(near) - (count - above) + 1).values
    mark = row > threshold
    ties = places[near == threshold]
    mark[ties[: count - int(torch.count_nonzero(mark))]] = True
    return mark


def _around_threshold(row: Tensor, count: int) -> tuple[Tensor, int]:
    """Places of some entries, the ``count``-th largest among them, and how many lie above them.

    A sample of a long row says where to look, so that the search runs over few entries. A bad
    guess costs time and not exactness.
    """
    sample = row[:: max(len(row) // SAMPLE, 1)].sort(descending=True).values
    rank, margin = int(count / len(row) * len(sample)), int(2 * math.sqrt(len(sample))) + 2
    if margin <= rank < len(sample) - margin:
        high, low = sample[rank - margin], sample[rank + margin]
        above = int(torch.count_nonzero(row > high))
        places = ((row <= high) & (row >= low)).nonzero().squeeze(1)
        if above < count <= above + len(places):
            return places, above
    return torch.arange(len(row), device=row.device), 0


def magnitude_masks(
    params: Mapping[str, Tensor],
    keep_ratio: float,
    *,
    scope: str = "global",
    within: Mapping[str, Tensor] | None = None,
    replicates: bool = False,
) -> dict[str, Tensor]:
    """Masks that keep the weights of largest magnitude, an exact number of them.

    Parameters
    ----------
    params : mapping of name to Tensor
        The weights to prune, and only those: leave biases out to keep them.
    keep_ratio : float in [0, 1]
        Share of all weights that stays (see `kept_count`); with ``within`` it still counts
        against all weights, so stages are written as 0.5, 0.25, ...
    scope : {"global", "layer"}
        One threshold for all tensors, or one for each.
    within : mapping of name to Tensor, optional
        Masks of an earlier stage; what they dropped stays dropped, so masks are nested.
    replicates : bool
        The first axis counts replicates, each of which is pruned on its own.

    Returns
    -------
    dict of name to bool Tensor, shaped like ``params``. Equal magnitudes are kept in the order
    of the mapping and then of the entries, so the result is the same on every run.

    Raises
    ------
    ValueError
        For an unknown scope, an empty mapping, names or a number of kept weights in
        ``within`` that do not fit.
    """
    if scope not in ("global", "layer"):
        raise ValueError(f"scope must be 'global' or 'layer', got {scope!r}")
    if not params:
        raise ValueError("params must name at least one tensor, got an empty mapping")
    if within is not None and within.keys() != params.keys():
        raise ValueError(f"within must name the tensors of params, got {sorted(within)}")
    rows = {
        n: v.detach().flatten(1) if replicates else v.detach().reshape(1, -1)
        for n, v in params.items()
    }
    sizes = [value.shape[1] for value in rows.values()]
    joined = torch.cat(list(rows.values()), 1).abs_()
    scores = dict(zip(rows, joined.split(sizes, 1), strict=True))
    if within is not None:
        for name, score in scores.items():
            # What was dropped comes after every other weight, also after kept zeros.
            score.masked_fill_(~within[name].bool().reshape(score.shape), -1.0)
    if within is not None and _some_row_has_fewer(scores, keep_ratio, scope):
        raise ValueError(f"within keeps fewer weights than keep_ratio {keep_ratio} asks for")
    if scope == "global":
        marked = largest(joined, kept_count(joined.shape[1], keep_ratio)).split(sizes, 1)
    else:
        marked = [largest(s, kept_count(s.shape[1], keep_ratio)) for s in scores.values()]
    return {
        name: mark.reshape(value.shape)
        for (name, value), mark in zip(params.items(), marked, strict=True)
    }


def _some_row_has_fewer(scores: Mapping[str, Tensor], keep_ratio: float, scope: str) -> bool:
    left = torch.stack([(score >= 0).sum(1) for score in scores.values()])
    sizes = [score.shape[1] for score in scores.values()]
    if scope == "global":
        return bool((left.sum(0) < kept_count(sum(sizes), keep_ratio)).any())
    wanted = left.new_tensor([[kept_count(size, keep_ratio)] for size in sizes])
    return bool((left < wanted).any())
