"""Symbolic identities: simplification to exactly 0, guarded by evaluation at random points."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from kdlib.evidence.settling import Refuted, Undecided, format_point

POINTS = 5
_DIGITS = 80
_ZERO, _NONZERO = sp.Float("1e-40", _DIGITS), sp.Float("1e-20", _DIGITS)

#: What is tried, in this order, to bring a residual to 0. Logarithms and powers split only as far
#: as the assumptions of the symbols allow: declare what is positive.
STRATEGIES: tuple[Callable[[sp.Expr], sp.Expr], ...] = (
    sp.expand,
    lambda r: sp.cancel(sp.together(sp.expand(r))),
    sp.simplify,
    lambda r: sp.simplify(r.rewrite(sp.exp)),
    lambda r: sp.simplify(sp.logcombine(sp.expand_log(r))),
)


def prove_identity(
    lhs: sp.Expr,
    rhs: sp.Expr,
    strategies: Sequence[Callable[[sp.Expr], sp.Expr]] = STRATEGIES,
) -> int:
    """Prove ``lhs == rhs`` by simplification, guarded by evaluation at random rational points.

    Sums with a symbolic upper limit over ``IndexedBase`` entries, free indices (``z[k]``, which
    stand for any entry of the sums) and abstract functions are allowed.

    Parameters
    ----------
    lhs, rhs : sympy expressions without floats
    strategies : sequence of callables
        Tried in order on the residual ``lhs - rhs`` until one returns exactly 0.

    Returns
    -------
    int
        How many strategies were needed.

    Raises
    ------
    Refuted
        No strategy gives 0, and the residual is clearly not 0 at one of the points.
    Undecided
        Simplification and evaluation disagree, or no points could be drawn.
    """
    lhs, rhs = sp.sympify(lhs), sp.sympify(rhs)
    if sp.Tuple(lhs, rhs).has(sp.Float):
        raise TypeError(f"an identity must not contain floats, got {lhs} and {rhs}")
    size, point = _largest_residual(lhs, rhs)
    residual = sums_as_symbols(lhs - rhs)
    used = next((n for n, s in enumerate(strategies, 1) if s(residual) == 0), None)
    if used is not None and size < _ZERO:
        return used
    where = f"the residual is {float(size):.3g} of its terms at {format_point(point)}"
    if used is not None:
        raise Undecided(f"simplification gives 0 but {where}")
    if size > _NONZERO:
        raise Refuted(where, point)
    raise Undecided(f"no simplification gives 0, though {where}; pass simplify=")


def sums_as_symbols(expr: sp.Expr) -> sp.Expr:
    """Write every sum in one canonical form, then replace each by one symbol.

    Rational simplification then treats S0 = Sum(exp(b*z[i])) and its like as plain unknowns.
    """
    expr = expr.replace(lambda e: isinstance(e, sp.Derivative), lambda e: e.doit())
    expr = _canonical_sums(expr)
    if expr.has(sp.KroneckerDelta):
        expr = sp.Add(*(_merge_indices(t) for t in sp.Add.make_args(sp.expand(expr))))
    symbols: dict[sp.Sum, sp.Dummy] = {}
    walk = sp.preorder_traversal(expr)
    for node in walk:
        if isinstance(node, sp.Sum):
            walk.skip()  # a sum inside this one disappears with it
            if node not in symbols:
                sign = {"positive": True} if node.is_positive else {}
                real = {"real": True} if node.is_real else {}
                symbols[node] = sp.Dummy(f"S{len(symbols)}", **(sign or real))
    return expr.xreplace(symbols)


def _canonical_sums(expr: sp.Basic) -> sp.Basic:
    if not expr.has(sp.Sum):
        return expr
    if not isinstance(expr, sp.Sum):
        return expr.func(*(_canonical_sums(a) for a in expr.args))
    body = _canonical_sums(expr.function)
    for index, low, high in expr.limits:  # innermost first
        body = sp.Add(*(_sum_term(t, index, low, high) for t in sp.Add.make_args(sp.expand(body))))
    return body


def _sum_term(term: sp.Expr, index: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """Sum one product: constants go in front, the index gets a name that depends on depth."""
    for delta in term.atoms(sp.KroneckerDelta):
        if index in delta.args and delta in sp.Mul.make_args(term):
            other = delta.args[1 - delta.args.index(index)]
            return (term / delta).subs(index, other)  # a free index lies inside the range
    constant, rest = term.as_independent(index, as_Add=False)
    if rest.is_polynomial(index) and not rest.has(sp.Indexed):
        return constant * sp.summation(rest, (index, low, high))
    name = sp.Symbol(f"_k{_depth(rest) + 1}", integer=True)
    return constant * sp.Sum(rest.xreplace({index: name}), (name, low, high))


def _merge_indices(term: sp.Expr) -> sp.Expr:
    """Write k for l in a product with a factor KroneckerDelta(k, l)."""
    for delta in sp.Mul.make_args(term):
        if isinstance(delta, sp.KroneckerDelta):
            term = delta * (term / delta).subs(delta.args[1], delta.args[0])
    return term


def _depth(expr: sp.Basic) -> int:
    inner = max((_depth(a) for a in expr.args), default=0)
    return inner + isinstance(expr, sp.Sum)


def _largest_residual(lhs: sp.Expr, rhs: sp.Expr) -> tuple[sp.Float, dict[str, Any]]:
    """Evaluate the unsimplified residual at ``POINTS`` points; return the largest and where."""
    rng = random.Random(0)
    found: list[tuple[sp.Float, dict[str, Any]]] = []
    for attempt in range(20 * POINTS):
        # all negative and all positive first: a wrong branch of a logarithm shows there
        sign = (-1, 1)[attempt] if attempt < 2 else None
        left, right, point = _instance(lhs, rhs, rng, sign)
        a, b = sp.N(left, _DIGITS), sp.N(right, _DIGITS)
        terms = [sp.N(t, _DIGITS) for side in (left, right) for t in sp.Add.make_args(side)]
        if all(v.is_number and v.is_finite for v in (a, b, *terms)):  # else a singular point
            # scale by the terms, or by 1 where the terms themselves are only rounding noise
            scale = sp.Max(1, sum(sp.Abs(t) for t in terms))
            found.append((sp.N(sp.Abs(a - b) / scale, _DIGITS), point))
        if len(found) == POINTS:
            return max(found, key=lambda f: f[0])
    raise Undecided(f"fewer than {POINTS} of {20 * POINTS} random points are regular")


def _instance(
    lhs: sp.Expr, rhs: sp.Expr, rng: random.Random, sign: int | None = None
) -> tuple[sp.Expr, sp.Expr, dict[str, Any]]:
    """Put random rationals for all symbols, functions and entries, with V in 2..6."""
    both = sp.Tuple(lhs, rhs)
    calls: dict[Any, AppliedUndef] = {c.func: c for c in both.atoms(AppliedUndef)}
    for func in sorted(calls, key=str):
        both = both.replace(func, _random_function(calls[func], rng))
    limits = [limit for s in both.atoms(sp.Sum) for limit in s.limits]
    bound = {limit[0] for limit in limits}
    ends = {s for _, low, high in limits for s in (low.free_symbols | high.free_symbols) - bound}
    point = {s: _draw(s, rng, range(2, 7)) for s in sorted(ends, key=str)}
    both = both.subs(point)
    ranges = [(low.subs(point), high.subs(point)) for _, low, high in limits]
    fixed = [(a, b) for a, b in ranges if a.is_Integer and b.is_Integer]
    first = max((int(a) for a, _ in fixed), default=1)
    last = min((int(b) for _, b in fixed), default=3)
    holders = both.atoms(sp.Indexed, sp.KroneckerDelta)
    inside = {s for h in holders for a in h.args for s in a.free_symbols}
    labels = {i.base.label for i in both.atoms(sp.Indexed)}
    free = {s for s in both.free_symbols if isinstance(s, sp.Symbol)}
    indices = sorted((inside & free) - bound - labels, key=str)
    point |= {s: _draw(s, rng, range(first, last + 1)) for s in indices}
    both = _written_out(both.subs(point)).doit()
    # the entries before the plain symbols, since an entry also "contains" the symbol of its base
    for kind in (sp.Indexed, sp.Symbol):
        atoms = {a for a in both.atoms(kind) if not isinstance(a, sp.Dummy)}
        values = {a: _draw(a, rng, sign=sign) for a in sorted(atoms, key=str)}
        both = both.xreplace(values)
        point |= values
    return both[0], both[1], {str(k): v for k, v in point.items()}


def _written_out(expr: sp.Basic) -> sp.Basic:
    """Replace sums with integer limits by their terms (``doit`` first tries closed forms)."""

    def terms(total: sp.Sum) -> sp.Expr:
        *inner, (index, low, high) = total.limits  # the last limit is the outermost
        body = sp.Sum(total.function, *inner) if inner else total.function
        return sp.Add(*(body.xreplace({index: sp.Integer(n)}) for n in range(low, high + 1)))

    def ready(e: sp.Basic) -> bool:
        return isinstance(e, sp.Sum) and all(x.is_Integer for x in e.limits[-1][1:])

    while expr.atoms(sp.Sum):
        written = expr.replace(ready, terms)
        if written == expr:
            raise Undecided(f"cannot write out {next(iter(expr.atoms(sp.Sum)))}")
        expr = written
    return expr


def _draw(
    symbol: sp.Expr,
    rng: random.Random,
    among: Sequence[int] | None = None,
    sign: int | None = None,
) -> sp.Rational:
    """Draw a nonzero rational in [-3, 3] (or one of ``among``) that meets the assumptions.

    ``sign`` is a wish: it is kept if the assumptions allow it.
    """
    facts = symbol.assumptions0.items()
    for attempt in range(1000):
        below = rng.randint(1, 9)
        value = sp.Rational(rng.randint(-3 * below, 3 * below), below)
        if sign is not None and attempt < 500:
            value = sign * abs(value)
        if among is not None:
            value = sp.Integer(rng.choice(among))
        if value != 0 and all(getattr(value, f"is_{f}") in (truth, None) for f, truth in facts):
            return value
    raise Undecided(f"no rational meets the assumptions of {symbol}: {symbol.assumptions0}")


def _random_function(call: AppliedUndef, rng: random.Random) -> sp.Lambda:
    """Draw a smooth stand-in for an abstract function; exponential where it has a sign."""
    xs = [sp.Dummy(f"x{n}", real=True) for n in range(len(call.args))]
    c = [_draw(sp.Dummy(), rng) for _ in range(4 * len(xs))]
    line = [sum(a * x for a, x in zip(c[k:], xs, strict=False)) for k in (0, len(xs))]
    bump = sp.exp(line[0] / 3)
    if call.is_positive or call.is_nonnegative:
        return sp.Lambda(tuple(xs), bump)
    if call.is_negative or call.is_nonpositive:
        return sp.Lambda(tuple(xs), -bump)
    return sp.Lambda(tuple(xs), bump + line[1] + line[1] ** 2 / 7)
