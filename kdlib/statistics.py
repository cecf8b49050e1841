"""Bias, variance and risk of students over replicates, without the bias of finitely many.

With R replicates the plug-in bias^2 of the mean prediction is too large by Var/R. Estimates here
are jackknifed: exactly unbiased for the squared loss, whose statistics are quadratic, and of
order 1/R^2 for KL. Chapter "Decompositions of the error".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.stats
import torch
from torch import Tensor

from kdlib.confidence import Estimate, confidence_interval
from kdlib.simplex import check_log_probs, kl_divergence

__all__ = ["Decomposition", "Estimate", "beats", "kl_decomposition", "squared_decomposition"]


class Decomposition(NamedTuple):
    """Risk = bias + variance (squared loss: bias^2), averaged over the test inputs."""

    bias: Estimate
    variance: Estimate
    risk: Estimate


def squared_decomposition(
    predictions: Tensor, truth: Tensor, *, confidence: float = 0.95
) -> Decomposition:
    """Bias^2, variance and risk for the squared loss ``sum_i (f_i - truth_i)^2``.

    Parameters
    ----------
    predictions : Tensor, shape (R, ..., V), R >= 3
    truth : Tensor, shape (..., V)
        The target that does not depend on the replicate: Bayes probabilities where they are
        known, one-hot labels otherwise (their noise is then part of the bias).
    confidence : float in (0, 1)

    Returns
    -------
    Decomposition
        Averages over the axes between the first and the last. All three values are unbiased,
        and value for value bias + variance = risk. A bias^2 estimate may be negative. The
        intervals are jackknife t intervals over replicates.
    """
    _check(predictions, truth, confidence)
    count = len(predictions)
    deviation = predictions - predictions.mean(0)
    error = predictions - truth
    square = _mean_inputs(error.square().sum(-1))  # (R,) risks
    centre = error.mean(0)
    plug_in = float(centre.square().sum(-1).mean())
    spread = _mean_inputs(deviation.square().sum(-1))  # (R,)
    total = float(spread.sum())
    # Leaving out replicate r moves the mean by -deviation_r / (R - 1).
    cross = _mean_inputs((centre * deviation).sum(-1))
    bias_out = plug_in - 2 * cross / (count - 1) + spread / (count - 1) ** 2
    variance_out = (total - spread * count / (count - 1)) / (count - 1)
    return Decomposition(
        _jackknife(plug_in, bias_out, confidence),
        _jackknife(total / count, variance_out, confidence),
        _mean_interval(square, confidence),
    )


def kl_decomposition(
    log_probs: Tensor, log_truth: Tensor, *, confidence: float = 0.95
) -> Decomposition:
    """Bias, variance and risk for the loss ``KL(truth || student)``.

    The centre is the normalised geometric mean ``c = exp(E log f) / Z``; then
    ``E KL(truth || f) = KL(truth || c) + E KL(c || f)`` with ``E KL(c || f) = -log Z``.

    Parameters
    ----------
    log_probs : Tensor, shape (R, ..., V), R >= 3, finite
    log_truth : Tensor, shape (..., V)
        Log-probabilities of the truth; entries may be -inf.
    confidence : float in (0, 1)

    Returns
    -------
    Decomposition
        As `squared_decomposition`; risk is unbiased, bias and variance up to order 1/R^2.
        Their sum is the risk, value for value.

    Raises
    ------
    ValueError
        Also for a student's probability of zero: its KL risk is infinite.
    """
    _check(log_probs, log_truth, confidence)
    check_log_probs(log_probs), check_log_probs(log_truth, "log_truth")
    if not bool(torch.isfinite(log_probs).all()):
        raise ValueError("log_probs must be finite (a zero makes the risk infinite), got -inf")
    count = len(log_probs)
    risks = _mean_inputs(kl_divergence(log_truth.expand_as(log_probs), log_probs))
    mean = log_probs.mean(0)
    variance = float(-torch.logsumexp(mean, -1).mean())
    variance_out = -_mean_inputs(torch.logsumexp((count * mean - log_probs) / (count - 1), -1))
    risk = float(risks.mean())
    risk_out = (count * risk - risks) / (count - 1)
    return Decomposition(
        _jackknife(risk - variance, risk_out - variance_out, confidence),
        _jackknife(variance, variance_out, confidence),
        _mean_interval(risks, confidence),
    )


def beats(
    student_risks: Tensor, teacher_risks: Tensor, *, confidence: float = 0.95
) -> tuple[Estimate, float]:
    """How much lower the student's risk is than the teacher's, over paired replicates.

    Parameters
    ----------
    student_risks, teacher_risks : Tensor, shape (R,), R >= 2
        Pairs share the data and the seed.
    confidence : float in (0, 1)

    Returns
    -------
    Estimate, float
        The mean of teacher minus student with its paired t interval, and the one-sided p value
        of "the student is not better".
    """
    if student_risks.shape != teacher_risks.shape or student_risks.ndim != 1:
        raise ValueError(
            "student_risks and teacher_risks must have one shape (R,), got "
            f"{tuple(student_risks.shape)} and {tuple(teacher_risks.shape)}"
        )
    gain = (teacher_risks - student_risks).double().cpu().numpy()
    if len(gain) < 2 or not np.isfinite(gain).all():
        raise ValueError("student_risks and teacher_risks must hold at least two finite pairs")
    if np.ptp(gain) == 0:
        return Estimate(*[float(gain[0])] * 3), 0.0 if gain[0] > 0 else 1.0
    test = scipy.stats.ttest_1samp(gain, 0.0, alternative="greater")
    return _mean_interval(gain, confidence), float(test.pvalue)


def _mean_inputs(values: Tensor) -> np.ndarray:
    """Average each replicate's values over its inputs: shape (R, ...) to (R,)."""
    return values.reshape(len(values), -1).mean(1).double().cpu().numpy()


def _jackknife(plug_in: float, left_out: np.ndarray, confidence: float) -> Estimate:
    """Bias-corrected value and t interval from the values with one replicate left out."""
    pseudo = len(left_out) * plug_in - (len(left_out) - 1) * left_out
    return _mean_interval(pseudo, confidence)


def _mean_interval(values: np.ndarray, confidence: float) -> Estimate:
    return confidence_interval(values, confidence)


def _check(predictions: Tensor, truth: Tensor, confidence: float) -> None:
    if predictions.ndim < 2 or len(predictions) < 3:
        raise ValueError(
            "predictions must have shape (R, ..., V) with R >= 3 replicates, "
            f"got {tuple(predictions.shape)}"
        )
    if truth.shape != predictions.shape[1:]:
        raise ValueError(
            f"truth must have shape {tuple(predictions.shape[1:])}, got {tuple(truth.shape)}"
        )
    if not (0 < confidence < 1 and math.isfinite(confidence)):
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
