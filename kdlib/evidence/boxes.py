"""Inequalities over boxes, proved by interval arithmetic and branch and bound.

`prove_positive` returns when the claim is proved, raises ``Refuted`` when it is provably false
and ``Undecided`` when it can say neither. `certified_box` turns its answer into evidence.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import flint

from kdlib.evidence.settling import (
    Refuted,
    Undecided,
    as_fraction,
    count,
    emit,
    format_point,
    settle,
)
from kdlib.evidence.stated import reading
from kdlib.records import Evidence

Gap = Callable[..., flint.arb]
Gradient = Callable[..., Sequence[flint.arb]]

_THINNEST = Fraction(1, 2**48)  # a side this thin relative to its box will not be split again


def certified_box(
    label: str,
    check: str,
    gap: Gap,
    box: Sequence[tuple[Any, Any]],
    *,
    domain: str,
    covers: str,
    sibling: Gap,
    strict: bool = True,
    gradient: Gradient | None = None,
    max_boxes: int = 100_000,
    precision: int = 128,
) -> Evidence:
    """Certify ``gap > 0`` (``>= 0`` unless strict) on a closed box by interval branch and bound.

    Parameters
    ----------
    label, check : str
    gap : callable
        One ``flint.arb`` per side of the box in, one ``flint.arb`` out.
    box : sequence of (low, high)
        Rational ends (int, Fraction or flint.fmpq).
    domain, covers : str
    sibling : callable
        A wrong ``gap``; it must be provably violated at some point of the box.
    strict, gradient, max_boxes, precision
        See :func:`prove_positive`; ``gradient`` belongs to ``gap`` only.

    Raises
    ------
    EvidenceError
        Violated (the message gives the point) or undecided.
    """
    limits = {"strict": strict, "max_boxes": max_boxes, "precision": precision}
    with reading() as used:
        boxes, _ = settle(
            label,
            check,
            domain,
            covers,
            lambda: prove_positive(gap, box, gradient=gradient, **limits),
            lambda _: prove_positive(sibling, box, **limits),
        )
    sides = " × ".join(f"[{a}, {b}]" for a, b in _sides(box))
    assumed = (f"box {sides}", "gap > 0 claimed" if strict else "gap >= 0 claimed")
    rest = {"assumed": assumed, "covers": covers, "stated": sorted(used)}
    return emit(label, "certified", check, domain, count(boxes, "box"), **rest)


def prove_positive(
    gap: Gap,
    box: Sequence[tuple[Any, Any]],
    *,
    strict: bool = True,
    gradient: Gradient | None = None,
    max_boxes: int = 100_000,
    precision: int = 128,
) -> int:
    """Prove ``gap > 0`` (``>= 0`` unless strict) on a closed box by interval branch and bound.

    Boxes are examined coarse to fine and split along the side that is widest relative to the
    whole box, so the run is deterministic.

    Parameters
    ----------
    gap : callable
        Takes one ``flint.arb`` per side and returns a ``flint.arb``. Use exact constants
        (``flint.fmpq(1, 10)``, not ``0.1``).
    box : sequence of (low, high)
        Ends as int, Fraction or fmpq.
    strict : bool
    gradient : callable, optional
        Partial derivatives of ``gap``; adds the mean-value bound, which needs far fewer boxes.
        Compared with difference quotients at three points before it is trusted.
    max_boxes : int
    precision : int
        Working precision in bits.

    Returns
    -------
    int
        Number of boxes examined.

    Raises
    ------
    Refuted
        At an exact point the gap is certainly of the wrong sign.
    Undecided
        ``max_boxes`` is used up, or a box is too thin to split. A gap that touches zero on the
        closed box mostly ends so, even if ``strict=False``: divide out the factor that vanishes.
    """
    sides = _sides(box)
    widths = [b - a for a, b in sides]
    with flint.ctx.workprec(precision):
        if gradient is not None:
            _check_gradient(gap, gradient, sides)
        if len(sides) <= 6:  # a strict inequality may fail at a corner only
            for corner in itertools.product(*sides):
                _refute_at(gap, corner, strict)
        queue, examined = deque([tuple(sides)]), 0
        while queue:
            if examined == max_boxes:
                raise Undecided(f"{max_boxes} boxes examined, {len(queue)} still open")
            now = queue.popleft()
            examined += 1
            if _positive_on(gap, now, strict, gradient):
                continue
            _refute_at(gap, tuple((a + b) / 2 for a, b in now), strict)
            shares = [(b - a) / (w or 1) for (a, b), w in zip(now, widths, strict=True)]
            n = max(range(len(now)), key=shares.__getitem__)
            if shares[n] <= _THINNEST:
                thin = ", ".join(f"{float(a):.6g}..{float(b):.6g}" for a, b in now)
                raise Undecided(f"the sign stays open on the thin box [{thin}]")
            (a, b), rest = now[n], now[n + 1 :]
            queue += [now[:n] + (half,) + rest for half in ((a, (a + b) / 2), ((a + b) / 2, b))]
    return examined


def _sides(box: Sequence[tuple[Any, Any]]) -> list[tuple[Fraction, Fraction]]:
    sides = [(as_fraction(a, "box end"), as_fraction(b, "box end")) for a, b in box]
    if not sides or any(a > b for a, b in sides):
        raise ValueError(f"box must be pairs (low, high) with low <= high, got {box!r}")
    return sides


def _arb(low: Fraction, high: Fraction) -> flint.arb:
    # a ball of positive radius overshoots its ends a little, which makes the proof no weaker
    ends = [flint.arb(flint.fmpq(x.numerator, x.denominator)) for x in (low, high)]
    return ends[0].union(ends[1])


def _evaluate(gap: Gap, ball: Sequence[flint.arb]) -> flint.arb:
    value = gap(*ball)
    if not isinstance(value, flint.arb):
        raise TypeError(f"gap must return a flint.arb, got {value!r}")
    return value


def _check_gradient(gap: Gap, gradient: Gradient, sides: Sequence[tuple]) -> None:
    """Compare the gradient with central differences, so that a wrong one cannot prove a claim."""
    step = Fraction(1, 2**30)
    for share in (Fraction(1, 2), Fraction(1, 5), Fraction(5, 7)):
        point = [a + share * (b - a) for a, b in sides]
        slope = gradient(*(_arb(x, x) for x in point))
        for n, (a, b) in enumerate(sides):
            h = step * (b - a)
            if not h:
                continue
            ends = [[*point[:n], point[n] + d, *point[n + 1 :]] for d in (h, -h)]
            up, down = (_evaluate(gap, [_arb(x, x) for x in end]) for end in ends)
            quotient = (up - down) / (2 * _arb(h, h))
            if abs(quotient - slope[n]) > (1 + abs(slope[n])) / 1000:
                raise ValueError(
                    f"gradient[{n}] is {slope[n].str(6)} at {[str(x) for x in point]}, "
                    f"but the difference quotient of gap is {quotient.str(6)}"
                )


def _positive_on(gap: Gap, box: Sequence[tuple], strict: bool, gradient: Gradient | None) -> bool:
    ball = [_arb(a, b) for a, b in box]
    bounds = [_evaluate(gap, ball)]
    if gradient is not None:
        middle = [_arb((a + b) / 2, (a + b) / 2) for a, b in box]
        slope = gradient(*ball)
        steps = zip(slope, ball, middle, strict=True)
        bounds.append(sum((g * (x - m) for g, x, m in steps), _evaluate(gap, middle)))
    return any(v > 0 if strict else v >= 0 for v in bounds)


def _refute_at(gap: Gap, point: Sequence[Fraction], strict: bool) -> None:
    value = _evaluate(gap, [_arb(x, x) for x in point])
    if value <= 0 if strict else value < 0:
        at = {f"x{n}": x for n, x in enumerate(point, 1)}
        raise Refuted(f"the gap is {value.str(6)} at ({format_point(at)})", at)
