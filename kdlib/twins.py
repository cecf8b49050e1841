"""Sympy twins of `kdlib.operators`: what the proofs use, held equal to the tensors by tests.

Each takes a sequence ``p`` of positive sympy numbers that sum to 1 (or symbols, where the
form is explicit) and a temperature, and returns the list of softened probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mpmath
import sympy as sp
from sympy import Expr

DIGITS = 40


def escort(p: Sequence[Expr], temperature: Expr) -> list[Expr]:
    """``p_i^(1/T) / sum_j p_j^(1/T)``; symbols welcome."""
    powers = [sp.sympify(x) ** (1 / sp.sympify(temperature)) for x in p]
    return [x / sum(powers) for x in powers]


def tsallis_given(p: Sequence[Expr], temperature: Expr, order: Expr, nu: Expr) -> list[Expr]:
    """``(p_i^-s / T + nu)^(-1/s)`` for a given nu; symbols welcome.

    The operator is this form at the one nu for which the list sums to 1.
    """
    return [(x ** (-order) / temperature + nu) ** (-1 / sp.sympify(order)) for x in p]


def burg(p: Sequence[Expr], temperature: Expr) -> list[Expr]:
    """The Burg map of rational p at rational T, exactly: entries are algebraic numbers."""
    nu = sp.Dummy("nu")
    total = sp.together(sum(tsallis_given(p, temperature, sp.Integer(1), nu)) - 1)
    # Every q_i is positive only to the right of the last pole, -1/(T max p).
    pole = -1 / (sp.sympify(temperature) * max(p))
    root = next(r for r in sp.Poly(sp.numer(total), nu).real_roots() if (r - pole).evalf(80) > 0)
    return tsallis_given(p, temperature, sp.Integer(1), root)


def tsallis(p: Sequence[Expr], temperature: Expr, order: Expr) -> list[Expr]:
    """The order-s map of numeric p, to `DIGITS` digits, by a bracketed root search for nu."""
    s, c = sp.sympify(order), sp.Dummy("c", positive=True)
    # With c = max(p)^-s/T + nu the largest entry is c^(-1/s), which lies in [1/V, 1].
    q = tsallis_given(p, temperature, s, c - max(p) ** (-s) / sp.sympify(temperature))
    root = _root(sum(q) - 1, c, sp.Integer(1), sp.Integer(len(p)) ** s)
    return [x.subs(c, root).evalf(DIGITS) for x in q]


def glue(p: Sequence[Expr], temperature: Expr) -> list[Expr]:
    """``p/T + (1 - 1/T)/V`` for T >= 1, the escort map below; T must be a number."""
    t = sp.sympify(temperature)
    if t < 1:
        return escort(p, t)
    return [x / t + (1 - 1 / t) / len(p) for x in p]


def layer_cake(p: Sequence[Expr], temperature: Expr) -> list[Expr]:
    """Layers ``k (p_(k) - p_(k+1))`` reweighted by ``k^(log2 T)``; exact where T is a power of 2.

    The entries of ``p`` must be comparable numbers.
    """
    power = sp.log(sp.sympify(temperature), 2)
    ranks = sorted(range(len(p)), key=lambda i: p[i], reverse=True)
    ordered = [sp.sympify(p[i]) for i in ranks] + [sp.Integer(0)]
    layers = [
        k * (ordered[k - 1] - ordered[k]) * sp.Integer(k) ** power for k in range(1, len(p) + 1)
    ]
    total, out, height = sum(layers), [sp.Integer(0)] * len(p), sp.Integer(0)
    for k in range(len(p), 0, -1):
        height += layers[k - 1] / k
        out[ranks[k - 1]] = height / total
    return out


def matched_escort(p: Sequence[Expr], temperature: Expr) -> list[Expr]:
    """The escort map with the entropy of `burg` at T, to `DIGITS` digits."""
    target = entropy([x.evalf(DIGITS + 20) for x in burg(p, temperature)])
    log_beta = sp.Dummy("log_beta", real=True)
    q = escort(p, sp.exp(-log_beta))
    root = _root(entropy(q) - target, log_beta, sp.Integer(-20), sp.Integer(12))
    return [x.subs(log_beta, root).evalf(DIGITS) for x in q]


def entropy(p: Sequence[Expr]) -> Expr:
    """Shannon entropy ``-sum p log p``; zeros contribute 0."""
    return -sum(sp.sympify(x) * sp.log(x) for x in p if x != 0)


def _root(expression: Expr, unknown: sp.Symbol, low: Expr, high: Expr) -> Expr:
    """The root of a decreasing expression in [low, high], to `DIGITS` digits, by bisection."""
    value = sp.lambdify(unknown, expression, "mpmath")
    with mpmath.workdps(DIGITS + 20):
        left, right = mpmath.mpf(low), mpmath.mpf(sp.sympify(high).evalf(DIGITS + 20))
        for _ in range(math.ceil((DIGITS + 5) * math.log2(10))):
            middle = (left + right) / 2
            left, right = (middle, right) if value(middle) > 0 else (left, middle)
        return sp.Float((left + right) / 2, DIGITS + 20)
