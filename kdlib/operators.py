"""Softening operators on log-probabilities of shape (..., V).

Each takes ``(log_probs, temperature)``, T > 0 a float or a tensor that broadcasts with a
last axis of size 1, and returns log-probabilities. T = 1 is the identity; T > 1 softens,
T < 1 sharpens. See `kdlib.phi_family.soften` for errors and gradients.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdlib.phi_family import check_arguments, soften
from kdlib.simplex import entropy

SLACK = 1e-9
ROUNDING = 1e-14  # relative error of an entropy summed in float64

__all__ = ["burg", "escort", "glue", "layer_cake", "matched_escort", "tsallis"]


def escort(log_probs: Tensor, temperature: float | Tensor, *, validate: bool = True) -> Tensor:
    """The power map ``p^(1/T)``, renormalised (phi = q log q).

    From logits z it is ``softmax(z / T)``. Chapter "Softening a teacher".
    """
    return soften(log_probs, temperature, 0.0, validate=validate)


def tsallis(
    log_probs: Tensor, temperature: float | Tensor, order: float = 0.5, *, validate: bool = True
) -> Tensor:
    """The phi-family of order s in (0, 1]: ``q_i^-s = p_i^-s / T + nu``."""
    return soften(log_probs, temperature, order, validate=validate)


def burg(log_probs: Tensor, temperature: float | Tensor, *, validate: bool = True) -> Tensor:
    """The Burg map ``q_i = 1 / (1/(T p_i) + nu)`` (phi = -log q): order 1."""
    return soften(log_probs, temperature, 1.0, validate=validate)


def glue(log_probs: Tensor, temperature: float | Tensor, *, validate: bool = True) -> Tensor:
    """Mixing with the uniform distribution for T > 1, the escort map for T <= 1.

    ``q = p/T + (1 - 1/T) u`` is a doubly stochastic map. The two halves meet at T = 1,
    where only one-sided derivatives in T exist; autograd returns the escort side's.
    """
    log_probs, temperature = check_arguments(log_probs, temperature, validate)
    mixing = temperature > 1
    # Each branch sees a harmless temperature where the other one is chosen.
    cold = torch.where(mixing, torch.ones_like(temperature), temperature)
    warm = torch.where(mixing, temperature, torch.full_like(temperature, 2.0))
    log_uniform_part = ((warm - 1) / warm).log() - math.log(log_probs.shape[-1])
    mixed = torch.logaddexp(log_probs - warm.log(), log_uniform_part)
    return torch.where(mixing, mixed, escort(log_probs, cold, validate=False))


def layer_cake(log_probs: Tensor, temperature: float | Tensor, *, validate: bool = True) -> Tensor:
    """Reweight the layers of p: ``lambda_k -> lambda_k k^(log2 T)``, renormalised.

    p is the mixture of the uniform distributions on its top k classes with weights
    ``lambda_k = k (p_(k) - p_(k+1))``. Continuous everywhere; at exact ties autograd
    returns the derivative along directions that keep the tie.
    """
    log_probs, temperature = check_arguments(log_probs, temperature, validate)
    ordered, order = log_probs.sort(-1, descending=True)
    size = torch.arange(1, log_probs.shape[-1] + 1, device=log_probs.device)
    log_size = size.to(log_probs.dtype).log()
    below = torch.nn.functional.pad(ordered[..., 1:], (0, 1), value=-math.inf)
    # log(p_(k) - p_(k+1)) - log weight of one class in layer k; empty layers carry nothing.
    empty = (ordered == below) | (ordered == -math.inf)
    drop = (ordered.masked_fill(empty, 0.0) - below).masked_fill(empty, 1.0)
    per_class = ordered.masked_fill(empty, 0.0) + torch.log(-torch.expm1(-drop))
    per_class = per_class + torch.log2(temperature) * log_size
    # A finite stand-in for -inf: logcumsumexp would turn -inf - (-inf) into NaN gradients.
    nothing = torch.finfo(log_probs.dtype).min / 4
    per_class = per_class.masked_fill(empty, nothing)
    log_total = torch.logsumexp(per_class + log_size, -1, keepdim=True)
    log_q = per_class.flip(-1).logcumsumexp(-1).flip(-1) - log_total
    log_q = log_q.masked_fill(ordered == -math.inf, -math.inf)
    ranks = order.argsort(-1).expand(log_q.shape)
    return log_q.gather(-1, ranks)


def matched_escort(
    log_probs: Tensor, temperature: float | Tensor, *, validate: bool = True
) -> Tensor:
    """The escort map at the inverse temperature whose entropy is that of ``burg`` at T.

    Runs along the escort's curves at another speed: same orbits, another operator. The
    equation is solved in float64, whatever the input's dtype.
    """
    log_probs, temperature = check_arguments(log_probs, temperature, validate)
    wide = log_probs.double()
    target = burg(wide, temperature.double(), validate=False)
    beta = _MatchEntropy.apply(wide, target)
    return escort(wide, 1 / beta, validate=False).to(log_probs.dtype)


class _MatchEntropy(torch.autograd.Function):
    """The beta > 0, shape (..., 1), at which ``p^beta`` has the entropy of ``target``."""

    @staticmethod
    def forward(log_probs: Tensor, log_target: Tensor) -> Tensor:
        log_probs = log_probs.expand(log_target.shape)
        beta = log_probs.new_ones(*log_target.shape[:-1], 1)
        if beta.device.type == "meta":
            return beta
        scarce, spare = _entropy(log_target), _negentropy(log_target)
        # Compare whichever of H and log(support) - H is the smaller: it has the more digits.
        # H also carries the rounding of the largest log q, which is near 0.
        digits = ROUNDING * torch.where(scarce < spare, scarce + 0.1, spare)
        low, high = torch.full_like(beta, -40.0), torch.full_like(beta, 40.0)
        log_beta = torch.zeros_like(beta)
        for _ in range(200):
            beta = log_beta.exp()
            log_q = escort(log_probs, 1 / beta, validate=False)
            gap = torch.where(scarce < spare, scarce - _entropy(log_q), _negentropy(log_q) - spare)
            arrived = gap.abs() <= digits
            high = torch.where(gap > 0, log_beta, high)
            low = torch.where(gap > 0, low, log_beta)
            # A row that has arrived may have variance 0: its step is 0, not NaN.
            step = torch.where(arrived, 0.0, gap / (beta**2 * _variance(log_probs, log_q)))
            newton = log_beta - step
            # Newton in log beta where it stays inside the bracket, bisection elsewhere. The
            # slack lets an iterate that has arrived move by its own rounding error.
            inside = (newton >= low - SLACK) & (newton <= high + SLACK)
            log_beta = torch.where(inside, newton, (low + high) / 2)
            if bool((step.abs() <= 1e-13).all()):
                break
        flat = log_probs.amax(-1, keepdim=True) - _smallest(log_probs) == 0
        return log_beta.masked_fill(flat, 0.0).exp()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx, grad):
        log_probs, log_target, beta = ctx.saved_tensors
        log_q = escort(log_probs, 1 / beta, validate=False)
        variance = _variance(log_probs, log_q)
        # dH = -beta Var dbeta - beta sum q (log q + H) dlog p, and dH = dH_target.
        scale = grad / (beta * variance)
        scale = scale.masked_fill(variance == 0, 0.0)
        by_probs = -scale * beta * _entropy_slope(log_q)
        by_target = scale * _entropy_slope(log_target)
        return by_probs.sum_to_size(log_probs.shape), by_target

    @staticmethod
    def vmap(info, in_dims, log_probs: Tensor, log_target: Tensor):
        first = log_probs if in_dims[0] is None else log_probs.movedim(in_dims[0], 0)
        second = log_target if in_dims[1] is None else log_target.movedim(in_dims[1], 0)
        if in_dims[1] is None:
            second = second.expand(info.batch_size, *second.shape)
        elif in_dims[0] is not None:
            missing = second.ndim - first.ndim
            first = first.reshape(info.batch_size, *[1] * missing, *first.shape[1:])
        return _MatchEntropy.apply(first, second), 0


def _entropy(log_q: Tensor) -> Tensor:
    return entropy(log_q).unsqueeze(-1)


def _negentropy(log_q: Tensor) -> Tensor:
    """``log(support size) - H(q)``, shape (..., 1), with its digits kept near uniform."""
    support = (log_q > -math.inf).sum(-1, keepdim=True).to(log_q.dtype)
    excess = log_q.exp() * support - 1
    near = torch.where(excess.abs() < 0.5, excess, torch.zeros_like(excess))
    # (1+x) log(1+x) - x >= 0 term by term, so nothing cancels between classes.
    small = (1 + near) * torch.log1p(near) - near
    safe = log_q.masked_fill(log_q == -math.inf, 0.0)
    large = (1 + excess) * (safe + support.log()) - excess
    terms = torch.where(excess.abs() < 0.5, small, large)
    return terms.masked_fill(log_q == -math.inf, 0.0).sum(-1, keepdim=True) / support


def _variance(log_probs: Tensor, log_q: Tensor) -> Tensor:
    """Variance of log p under q, shape (..., 1)."""
    # Near ties of the leaders cancel unless log p is taken relative to the largest.
    safe = log_probs - log_probs.amax(-1, keepdim=True)
    safe, q = safe.masked_fill(log_probs == -math.inf, 0.0), log_q.exp()
    mean = (q * safe).sum(-1, keepdim=True)
    return (q * (safe - mean) ** 2).sum(-1, keepdim=True)


def _smallest(log_probs: Tensor) -> Tensor:
    return log_probs.masked_fill(log_probs == -math.inf, math.inf).amin(-1, keepdim=True)


def _entropy_slope(log_q: Tensor) -> Tensor:
    """Minus the gradient of H in log q along the simplex: ``q (log q + H)``."""
    safe = log_q.masked_fill(log_q == -math.inf, 0.0)
    return log_q.exp() * (safe + _entropy(log_q))
