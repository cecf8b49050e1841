"""The interval of a mean or a proportion that every measured claim of the book uses."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

__all__ = ["Estimate", "confidence_interval"]


class Estimate(NamedTuple):
    """A number with its two-sided confidence interval."""

    value: float
    low: float
    high: float


def confidence_interval(sample: Any, confidence: float = 0.99, *, name: str = "sample") -> Estimate:
    """Estimate a mean (t interval) or, from bools, a proportion (Clopper-Pearson).

    Parameters
    ----------
    sample : float or bool array of shape (n,)
        At least one bool, or two floats; no NaN and no infinity.
    confidence : float in (0, 1)
    name : str
        What an error calls the sample.

    Returns
    -------
    Estimate
        ``(value, low, high)``.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence!r}")
    values = np.asarray(sample)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must have shape (n,) with n >= 1, got shape {values.shape}")
    n = values.size
    if values.dtype.kind == "b":
        hits = int(values.sum())
        ends = stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
        return Estimate(hits / n, float(ends.low), float(ends.high))
    if values.dtype.kind != "f":
        raise TypeError(f"{name} must hold floats or bools, got dtype {values.dtype}")
    values = values.astype(np.float64)
    bad = values[~np.isfinite(values)]
    if bad.size or n < 2:
        what = f"{bad[0]} in it" if bad.size else f"n={n}"
        raise ValueError(f"{name} must hold at least two finite floats, got {what}")
    mean = float(values.mean())
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, mean - half, mean + half)
