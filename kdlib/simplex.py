"""The probability simplex in the log domain: validation, entropies, orders, metrics.

Every function takes log-probabilities of shape ``(..., V)`` in nats. An entry of
``-inf`` is a zero probability. All sums run over the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

#: Elements worked on at once on a CPU: small enough to stay in cache.
CPU_CHUNK = 2**19
#: On an accelerator, chunks only bound the memory of temporaries.
DEVICE_CHUNK = 2**27


def row_chunks(rows: int, width: int, device: torch.device) -> Iterator[slice]:
    """Slices that cut ``rows`` rows of ``width`` elements into pieces of bounded size."""
    limit = CPU_CHUNK if device.type == "cpu" else DEVICE_CHUNK
    step = max(1, limit // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def tolerance(dtype: torch.dtype) -> float:
    """How far a row may sum from 1: the square root of the dtype's rounding unit.

    At least 1e-6, so that single-precision probabilities stay valid in double precision.
    """
    return max(1e-6, math.sqrt(torch.finfo(dtype).eps))


class _Look(torch.autograd.Function):
    """Run a check on values that are really there.

    An autograd function, because its ``vmap`` rule receives plain tensors: this is
    the public way to look at values inside `torch.func.vmap`.
    """

    @staticmethod
    def forward(values: Tensor, check: Callable[[Tensor], None]) -> Tensor:
        if values.device.type != "meta":
            check(values)
        return torch.empty(0, dtype=torch.bool, device=values.device)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx, grad):
        return None, None

    @staticmethod
    def vmap(info, in_dims, values: Tensor, check: Callable[[Tensor], None]):
        return _Look.apply(values.movedim(in_dims[0], 0), check), None


def look(values: Tensor, check: Callable[[Tensor], None]) -> None:
    """Call ``check(values)``, which raises or not, also inside `torch.func.vmap`.

    Under vmap the check sees the whole batch, its axis first. On the meta device there are
    no values, and nothing is called.
    """
    _Look.apply(values.detach(), check)


def _check_all_rows(log_probs: Tensor, name: str) -> None:
    rows = log_probs.reshape(-1, log_probs.shape[-1])
    for piece in row_chunks(*rows.shape, rows.device):
        _check_rows(rows[piece], piece.start, name)


def _check_rows(rows: Tensor, first: int, name: str) -> None:
    totals = rows.exp().sum(-1)
    # One comparison settles every fault: NaN, +inf and log-probabilities above 0 all fail it.
    wrong = ~((totals - 1).abs() <= tolerance(rows.dtype))
    if not bool(wrong.any()):
        return
    where = int(wrong.nonzero()[0])
    row = rows[where]
    if bool(row.isnan().any()):
        raise ValueError(f"{name} holds NaN in row {first + where}")
    raise ValueError(
        f"{name} must be log-probabilities: exp of row {first + where} sums to 1 "
        f"{float(totals[where]) - 1:+.3g} (for logits, pass log_softmax(logits))"
    )


def check_log_probs(log_probs: Tensor, name: str = "log_probs") -> Tensor:
    """Return ``log_probs`` unchanged, or raise.

    Parameters
    ----------
    log_probs : Tensor, shape (..., V), floating point, nats
    name : the argument's name in the error message

    Raises
    ------
    TypeError
        If the argument is not a floating-point tensor.
    ValueError
        If the last axis is missing or empty, an entry is NaN, or a row of
        probabilities is farther from summing to 1 than `tolerance`.

    Notes
    -----
    Values on the meta device cannot be looked at, so only type and shape are checked.
    """
    _check_shape(log_probs, name)
    look(log_probs, lambda values: _check_all_rows(values, name))
    return log_probs


def _check_shape(values: Tensor, name: str) -> None:
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(values).__name__}")
    if not values.dtype.is_floating_point:
        raise TypeError(f"{name} must be a floating-point tensor, got {values.dtype}")
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"{name} needs a non-empty last axis, got shape {tuple(values.shape)}")


def from_probs(probs: Tensor) -> Tensor:
    """Log-probabilities of a tensor of probabilities.

    Parameters
    ----------
    probs : Tensor, shape (..., V)
        Rows that sum to 1, entries >= 0. Zeros become ``-inf``.

    Raises
    ------
    TypeError, ValueError
        As `check_log_probs`; negative entries are reported, never clipped.
    """
    _check_shape(probs, "probs")
    # log of a negative number is NaN, which the check reports.
    return check_log_probs(probs.log(), "log(probs)")


def _finite(log_probs: Tensor) -> Tensor:
    """``log_probs`` with 0 in place of -inf, so that p * log p is 0 there, gradient included."""
    return log_probs.masked_fill(log_probs == -math.inf, 0.0)


def entropy(log_probs: Tensor) -> Tensor:
    """Shannon entropy ``-sum p log p`` in nats, shape (...)."""
    check_log_probs(log_probs)
    return -(log_probs.exp() * _finite(log_probs)).sum(-1)


def renyi_entropy(log_probs: Tensor, order: float) -> Tensor:
    """Rényi entropy ``log(sum p^order) / (1 - order)`` in nats, shape (...).

    ``order`` may be 0 (log of the support size), 1 (Shannon) or ``math.inf``
    (minus the largest log-probability).
    """
    _check_order(order)
    check_log_probs(log_probs)
    if order == 1:
        return entropy(log_probs)
    if order == math.inf:
        return -log_probs.amax(-1)
    if order == 0:
        return (log_probs > -math.inf).sum(-1).to(log_probs.dtype).log()
    return torch.logsumexp(order * log_probs, -1) / (1 - order)


def tsallis_entropy(log_probs: Tensor, order: float) -> Tensor:
    """Tsallis entropy ``(1 - sum p^order) / (order - 1)``, shape (...); order 1 is Shannon's."""
    _check_order(order)
    if order == 1:
        return entropy(log_probs)
    check_log_probs(log_probs)
    return torch.expm1(torch.logsumexp(order * log_probs, -1)) / (1 - order)


def _check_order(order: float) -> None:
    if not order >= 0:
        raise ValueError(f"order must be >= 0, got {order}")


def kl_divergence(log_target: Tensor, log_probs: Tensor) -> Tensor:
    """``KL(target || probs)`` in nats, shape (...); infinite where a target class has none."""
    check_log_probs(log_target, "log_target")
    check_log_probs(log_probs)
    gap = (log_target - log_probs).masked_fill(log_target == -math.inf, 0.0)
    return (log_target.exp() * gap).sum(-1)


def lorenz(log_probs: Tensor) -> Tensor:
    """Sums of the k largest probabilities, k = 1..V; shape (..., V)."""
    check_log_probs(log_probs)
    return log_probs.exp().sort(-1, descending=True).values.cumsum(-1)


def majorization_gap(log_p: Tensor, log_q: Tensor) -> Tensor:
    """``max_k`` of (top-k sum of q) - (top-k sum of p), shape (...).

    p majorises q (q is the flatter one) exactly when the gap is 0; k = V always
    contributes 0, so the gap is never negative but for rounding.
    """
    return (lorenz(log_q) - lorenz(log_p)).amax(-1)


def majorizes(log_p: Tensor, log_q: Tensor, atol: float | None = None) -> Tensor:
    """Whether p majorises q (q ≺ p), a bool tensor of shape (...).

    ``atol`` is the slack for rounding, by default 8 V rounding units of the dtype.
    """
    gap = majorization_gap(log_p, log_q)
    if atol is None:
        atol = 8 * log_p.shape[-1] * torch.finfo(gap.dtype).eps
    return gap <= atol


def hilbert_distance(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Hilbert's projective metric ``max log(p/q) - min log(p/q)``, shape (...).

    Infinite when the supports differ; classes that both exclude are left out.
    """
    check_log_probs(log_p, "log_p")
    check_log_probs(log_q, "log_q")
    both_zero = (log_p == -math.inf) & (log_q == -math.inf)
    # Where both are -inf the difference is NaN, so it is formed from zeros there.
    ratio = log_p.masked_fill(both_zero, 0.0) - log_q.masked_fill(both_zero, 0.0)
    return ratio.masked_fill(both_zero, -math.inf).amax(-1) - ratio.masked_fill(
        both_zero, math.inf
    ).amin(-1)


def fisher_distance(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Geodesic distance of the Fisher metric, ``2 arccos(sum sqrt(p q))``, shape (...).

    Computed from the chord ``|sqrt p - sqrt q|``, which keeps its digits when p is near q.
    """
    check_log_probs(log_p, "log_p")
    check_log_probs(log_q, "log_q")
    chord = torch.linalg.vector_norm((log_p / 2).exp() - (log_q / 2).exp(), dim=-1)
    return 4 * torch.asin((chord / 2).clamp(max=1.0))


def fisher_length(log_path: Tensor) -> Tensor:
    """Length of a polygonal path of distributions, shape (..., steps, V) -> (...)."""
    return fisher_distance(log_path[..., 1:, :], log_path[..., :-1, :]).sum(-1)
