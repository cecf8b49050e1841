"""Two neighbours of the softening operators that miss an axiom, for comparison and tests.

Chapter "A continuum of operators": `mixing` leaves the simplex below a temperature, and
`gini` (sparsemax of p/T) keeps only the weak halves of ranking and entropy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdlib.phi_family import check_arguments
from kdlib.simplex import look

__all__ = ["gini", "mixing"]


def mixing(log_probs: Tensor, temperature: float | Tensor, *, validate: bool = True) -> Tensor:
    """``p/T + (1 - 1/T) u`` at every T: the glue operator's warm half, used below T = 1 too.

    Parameters
    ----------
    log_probs, temperature, validate
        As `kdlib.operators.escort`.

    Returns
    -------
    Tensor, shape of ``log_probs`` broadcast with ``temperature``: log-probabilities. At
    ``T = 1 - V min p`` the smallest entries are -inf.

    Raises
    ------
    ValueError
        For ``T < 1 - V min p``, where an entry is negative and the mixture no distribution
        (proposition `mixing-leaves`); with ``validate=False`` such entries are NaN.
    """
    log_probs, temperature = check_arguments(log_probs, temperature, validate)
    size, p = log_probs.shape[-1], log_probs.exp()
    mixed = ((p + (temperature - 1) / size) / temperature).log()
    # The logarithms near T = 1 keep the digits of a small p.
    warm = torch.where(temperature > 1, temperature, torch.full_like(temperature, 2.0))
    log_uniform_part = ((warm - 1) / warm).log() - math.log(size)
    log_q = torch.logaddexp(log_probs - warm.log(), log_uniform_part)
    log_q = torch.where(temperature > 1, log_q, torch.where(temperature == 1, log_probs, mixed))
    if validate:
        look(p.amin(-1, keepdim=True) + (temperature - 1) / size, _check_exit)
    return log_q


def _check_exit(smallest: Tensor) -> None:
    """Raise where the smallest entry of the mixture, times T, is negative."""
    if bool((smallest < 0).any()):
        raise ValueError(
            "temperature must be >= 1 - V min p, where the mixture leaves the simplex; "
            f"here the smallest entry times temperature is {float(smallest.min()):.3g}"
        )


def gini(log_probs: Tensor, temperature: float | Tensor, *, validate: bool = True) -> Tensor:
    """The point of the closed simplex nearest to ``p / T``: sparsemax of ``p / T``.

    The operator of phi = x^2 / 2, which is not steep: entries reach zero (-inf) for small T
    (proposition `gini-weak`; Martins & Astudillo 2016 for the projection). It equals
    `mixing` wherever that has no negative entry.

    Parameters, returns and errors as `kdlib.operators.escort`. A zero entry of p may gain
    mass. At a T where an entry reaches zero, autograd returns a one-sided derivative.
    """
    log_probs, temperature = check_arguments(log_probs, temperature, validate)
    # Distances to the leader do not cancel, also where p / T is large.
    ordered = log_probs.exp().sort(-1, descending=True).values
    top = ordered[..., :1]
    behind = (top - ordered) / temperature
    count = torch.arange(1, log_probs.shape[-1] + 1, device=log_probs.device).to(behind.dtype)
    # The largest entry q_1, computed from the first k labels, falls in k while label k keeps
    # mass and does not fall after that, so the smallest one is the right one.
    lead = ((1 + behind.cumsum(-1)) / count).amin(-1, keepdim=True)
    # A running sum of many terms is rough: it may drop labels of tiny mass, and its value is
    # off. The sum over the labels it selects is neither; the second pass takes the dropped in.
    for _ in range(2):
        kept = (behind < lead).to(behind.dtype)
        lead = (1 + (behind * kept).sum(-1, keepdim=True)) / kept.sum(-1, keepdim=True)
    q = lead - (top - log_probs.exp()) / temperature
    # log of a harmless number where q is 0, so that no gradient is NaN.
    positive = q > 0
    return torch.where(positive, q.where(positive, torch.ones_like(q)).log(), -math.inf)
