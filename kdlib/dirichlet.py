"""Teachers that are unsure of their own probabilities: the Dirichlet distribution.

An evidential teacher answers with concentrations ``alpha`` of shape (..., V) instead of one
distribution. Chapter "Influence functions and evidential teachers".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdlib.phi_family import check_arguments
from kdlib.simplex import check_log_probs, kl_divergence, look

__all__ = ["expected_kl", "mean_log_probs", "mutual_information", "temper_evidence"]

SERIES_FROM = 50.0  # where the first term left out, 1/(240 x^8), is below the rounding of float64


def mean_log_probs(concentration: Tensor) -> Tensor:
    """Logarithm of the mean ``alpha / sum alpha``, shape (..., V)."""
    _check_positive(concentration, "concentration")
    return concentration.log() - concentration.sum(-1, keepdim=True).log()


def mutual_information(concentration: Tensor) -> Tensor:
    """How much the members disagree: ``E KL(pi || mean)`` in nats, shape (...).

    ``H(mean) - E H(pi)``, about ``(V - 1) / (2 sum alpha)`` for large concentrations.

    Parameters
    ----------
    concentration : Tensor, shape (..., V)
        All entries > 0.

    Raises
    ------
    TypeError, ValueError
    """
    _check_positive(concentration, "concentration")
    total = concentration.sum(-1)
    mean = concentration / total.unsqueeze(-1)
    return (mean * _digamma_gap(concentration)).sum(-1) - _digamma_gap(total)


def expected_kl(concentration: Tensor, log_probs: Tensor) -> Tensor:
    """``E KL(pi || student)`` for pi from the Dirichlet distribution, in nats, shape (...).

    It is ``KL(mean || student)`` plus the mutual information, which no student can change:
    the gradient is that of distilling the mean.

    Parameters
    ----------
    concentration : Tensor, shape (..., V)
        All entries > 0.
    log_probs : Tensor, shape (..., V)
        The student's log-probabilities.

    Raises
    ------
    TypeError, ValueError
    """
    check_log_probs(log_probs)
    divergence = kl_divergence(mean_log_probs(concentration), log_probs)
    return divergence + mutual_information(concentration)


def temper_evidence(evidence: Tensor, temperature: float | Tensor) -> Tensor:
    """Log-probabilities of the mean of Dirichlet(1 + evidence / T), shape (..., V).

    This is mixing with the uniform distribution, at the temperature
    ``1 + (T - 1) V / (V + sum evidence)``: the more evidence, the less it softens.

    Parameters
    ----------
    evidence : Tensor, shape (..., V)
        Entries >= 0 and finite.
    temperature : float or Tensor with a last axis of size 1
        T > 0.

    Raises
    ------
    TypeError, ValueError
    """
    _check_floating(evidence, "evidence")
    look(evidence, lambda e: _require((e >= 0) & (e < math.inf), e, "evidence", "finite and >= 0"))
    _, heat = check_arguments(evidence, temperature, validate=False)
    look(heat, lambda t: _require((t > 0) & (t < math.inf), t, "temperature", "finite and > 0"))
    # 1 + e/T up to a common factor, which the mean does not see: neither end of T overflows.
    return mean_log_probs(heat.clamp(max=1) + evidence / heat.clamp(min=1))


def _digamma_gap(x: Tensor) -> Tensor:
    """``digamma(x + 1) - log x``, which is about 1/(2x); no digits cancel for large x."""
    large = x >= SERIES_FROM
    near = torch.where(large, torch.ones_like(x), x)
    far = torch.where(large, x, torch.full_like(x, SERIES_FROM))
    square = far**-2
    series = 1 / (2 * far) - square / 12 + square**2 / 120 - square**3 / 252
    return torch.where(large, series, torch.digamma(near + 1) - near.log())


def _check_positive(values: Tensor, name: str) -> None:
    _check_floating(values, name)
    look(values, lambda v: _require((v > 0) & (v < math.inf), v, name, "finite and > 0"))


def _check_floating(values: Tensor, name: str) -> None:
    if not isinstance(values, Tensor) or not values.dtype.is_floating_point:
        raise TypeError(f"{name} must be a floating-point tensor, got {values!r}")
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"{name} needs a non-empty last axis, got shape {tuple(values.shape)}")


def _require(good: Tensor, values: Tensor, name: str, what: str) -> None:
    if not bool(good.all()):
        raise ValueError(f"{name} must be {what}, got {float(values[~good][0])}")
