"""One softening operator for every entropy of the Tsallis order s in [0, 1].

For a strictly convex ``phi`` the softened distribution solves
``phi'(q_i) = phi'(p_i) / T + nu`` with ``nu`` fixed by ``sum q = 1``. Here
``phi'(x) = -x^(-s)`` for s > 0 and ``phi'(x) = log x`` for s = 0, so s = 0 is the
escort (power) map and s = 1 the Burg map.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdlib.simplex import check_log_probs, look, row_chunks

MAX_STEPS = 100


def soften(
    log_probs: Tensor, temperature: float | Tensor, order: float, *, validate: bool = True
) -> Tensor:
    """Soften distributions by the phi-family of the given order.

    Parameters
    ----------
    log_probs : Tensor, shape (..., V), floating point, nats
        Entries of -inf (zero probability) stay -inf.
    temperature : float or Tensor
        T > 0. A tensor broadcasts against ``log_probs`` and has a last axis of size 1.
    order : float in [0, 1]
        The entropy's order s.
    validate : bool
        False skips the look at the values of both arguments (one pass over them and, on
        an accelerator, one synchronisation). Types and shapes are always checked.

    Returns
    -------
    Tensor, shape of ``log_probs`` broadcast with ``temperature``: log-probabilities.

    Raises
    ------
    TypeError, ValueError
        As `kdlib.simplex.check_log_probs`; for a temperature that is not finite and
        positive; for an order outside [0, 1].

    Notes
    -----
    Gradients of first and second order in ``log_probs`` and ``temperature`` come from the
    implicit function theorem. Entries that are -inf receive gradient 0.
    """
    if not 0 <= order <= 1:
        raise ValueError(f"order must lie in [0, 1], got {order}")
    log_probs, temperature = check_arguments(log_probs, temperature, validate)
    return _Soften.apply(log_probs, temperature, float(order))


def check_arguments(
    log_probs: Tensor, temperature: float | Tensor, validate: bool = True
) -> tuple[Tensor, Tensor]:
    """Both arguments of a softening operator, checked; the temperature as a tensor."""
    if validate or not isinstance(log_probs, Tensor):
        check_log_probs(log_probs)
    if isinstance(temperature, Tensor):
        if not temperature.dtype.is_floating_point:
            raise TypeError(f"temperature must be floating point, got {temperature.dtype}")
        if temperature.ndim and temperature.shape[-1] != 1:
            raise ValueError(
                "temperature must have a last axis of size 1 (one T for a whole "
                f"distribution), got shape {tuple(temperature.shape)}"
            )
        if validate:
            look(temperature, _check_temperature)
        return log_probs, temperature
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
        raise TypeError(f"temperature must be a number or a Tensor, got {temperature!r}")
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be finite and > 0, got {temperature}")
    return log_probs, log_probs.new_tensor(float(temperature))


def _check_temperature(temperature: Tensor) -> None:
    wrong = ~((temperature > 0) & (temperature < math.inf))
    if bool(wrong.any()):
        value = float(temperature[wrong][0])
        raise ValueError(f"temperature must be finite and > 0, got {value}")


class _Soften(torch.autograd.Function):
    @staticmethod
    def forward(log_probs: Tensor, temperature: Tensor, order: float) -> Tensor:
        shape = torch.broadcast_shapes(log_probs.shape, temperature.shape)
        out = log_probs.new_empty(shape)
        if out.device.type == "meta" or out.numel() == 0:
            return out
        per_row = temperature.to(out.dtype)
        if order == 0:
            return _escort_into(out, log_probs, per_row)
        width = shape[-1]
        # reshape copies only when the temperature added axes in front of the rows.
        rows = log_probs.expand(shape).reshape(-1, width)
        per_row, flat = per_row.expand(*shape[:-1], 1).reshape(-1, 1), out.view(-1, width)
        for piece in row_chunks(*rows.shape, rows.device):
            _tsallis_into(flat[piece], rows[piece], per_row[piece], order)
        return out

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        log_probs, temperature, ctx.order = inputs
        ctx.save_for_backward(log_probs, temperature, output)

    @staticmethod
    def backward(ctx, grad):
        log_probs, temperature, log_q = ctx.saved_tensors
        s, zero = ctx.order, log_probs == -math.inf
        # Differentiating phi'(q_i) = phi'(p_i)/T + nu under sum q = 1: with
        # rho_i = (q_i/p_i)^s, only g_i - q_i * mean matters, mean weighted by 1/phi''(q).
        safe_q = log_q.masked_fill(log_q == -math.inf, 0.0)
        safe_p = log_probs.masked_fill(zero, 0.0)
        grad = grad.masked_fill(log_q == -math.inf, 0.0)
        weight = ((1 + s) * log_q).exp()
        mean = (grad * (s * safe_q).exp()).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
        centred = (grad - log_q.exp() * mean) * (s * (safe_q - safe_p)).exp()
        centred = centred.masked_fill(zero, 0.0)
        by_log_probs = centred / temperature
        slope = centred * safe_p if s == 0 else centred / -s
        by_temperature = -slope.sum(-1, keepdim=True) / temperature**2
        return (
            by_log_probs.sum_to_size(log_probs.shape),
            by_temperature.sum_to_size(temperature.shape).to(temperature.dtype),
            None,
        )

    @staticmethod
    def vmap(info, in_dims, log_probs: Tensor, temperature: Tensor, order: float):
        arguments = [log_probs, temperature]
        # Number of axes each has inside the map; then the mapped axis goes first.
        axes = max(x.ndim - (d is not None) for x, d in zip(arguments, in_dims[:2], strict=True))
        for k, d in enumerate(in_dims[:2]):
            if d is not None:
                x = arguments[k].movedim(d, 0)
                arguments[k] = x.reshape(x.shape[0], *[1] * (axes - x.ndim + 1), *x.shape[1:])
        return _Soften.apply(*arguments, order), 0


def _escort_into(out: Tensor, log_probs: Tensor, temperature: Tensor) -> Tensor:
    if bool((temperature < 1).any()):
        # Dividing by a small T magnifies rounding, least so for entries near the largest.
        log_probs = log_probs - log_probs.amax(-1, keepdim=True)
    torch.div(log_probs, temperature, out=out)
    # In place: memory traffic, not arithmetic, is what this costs.
    return torch.log_softmax(out, -1, out=out)


def _tsallis_into(out: Tensor, rows: Tensor, temperature: Tensor, order: float) -> None:
    """Solve sum_i (1 + c + d_i)^(-1/s) = 1 for c >= 0, row by row.

    ``d_i = (p_i^-s - p_max^-s) / T >= 0`` and ``q_i^-s = 1 + c + d_i``; hence
    ``0 <= c <= V^s - 1``. With S(c) the sum, S^-s is concave in c (the reverse Minkowski
    inequality), so Newton's method on it lands left of the root and then climbs to it.
    """
    s, work = order, _work_dtype(rows.dtype)
    rows, temperature = rows.to(work), temperature.to(work)
    # The output is the only other buffer: fresh memory costs more than the arithmetic.
    room = out if out.dtype == work else torch.empty_like(rows)
    top = rows.amax(-1, keepdim=True)
    # expm1 keeps near-ties apart; a far tail overflows to inf, whose q is 0 in the sum.
    # The scale stays finite at the smallest T, so that a tie with the top keeps its gap of 0.
    scale = ((-s * top).exp_() / temperature).clamp_(max=torch.finfo(work).max)
    gap = torch.sub(top, rows).mul_(s).expm1_().mul_(scale)
    c = torch.zeros_like(top)
    highest = math.expm1(s * math.log(rows.shape[-1]))
    enough = math.sqrt(torch.finfo(work).eps) / 2
    for _ in range(MAX_STEPS):
        inverse = torch.add(gap, 1 + c, out=room).reciprocal_()
        if s == 1:
            total = inverse.sum(-1, keepdim=True)
            slope = torch.linalg.vector_norm(inverse, dim=-1, keepdim=True).square_()
        else:
            q = inverse.log().div_(s).exp_()
            total = q.sum(-1, keepdim=True)
            slope = q.mul_(inverse).sum(-1, keepdim=True)
        step = total * (s * total.log()).expm1_() / slope
        c = (c + step).clamp_(0.0, highest)
        # Newton squares the error, which scales with 1 + c: this step was the last needed.
        if bool((step.abs() <= enough * (1 + c)).all()):
            break
    log_q = torch.add(gap, c, out=room).log1p_().div_(-s)
    if bool((gap.amax(-1) == math.inf).any()):
        # So far down the tail, q = p T^(1/s) to all digits, and finite in the log domain.
        log_q = torch.where(gap == math.inf, rows + temperature.log() / s, log_q)
    if log_q is not out:
        out.copy_(log_q)


def _work_dtype(dtype: torch.dtype) -> torch.dtype:
    """Half precision is solved in single precision."""
    return dtype if torch.finfo(dtype).bits >= 32 else torch.float32
