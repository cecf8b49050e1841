"""Real algebra decided by the solver z3: proofs, models that refute, witnesses.

`prove_smt` returns when the claim is proved, raises ``Refuted`` when it is provably false and
``Undecided`` when z3 can say neither. `certified_smt` turns its answer into evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
import z3
from z3.z3util import get_vars

from kdlib.evidence.settling import (
    Refuted,
    Undecided,
    emit,
    format_point,
    settle,
    shorten,
)
from kdlib.evidence.stated import DECLARED, expand
from kdlib.records import Evidence

Hypotheses = Iterable[z3.BoolRef] | Mapping[str, z3.BoolRef]


def certified_smt(
    label: str,
    check: str,
    claim: z3.BoolRef,
    hypotheses: Hypotheses,
    *,
    domain: str,
    covers: str,
    sibling: z3.BoolRef,
    timeout_ms: int = 60_000,
) -> Evidence:
    """Certify with z3 that the hypotheses imply the claim: their negation is unsatisfiable.

    Parameters
    ----------
    label, check : str
    claim : z3 formula
        May hold declared numbers (``C.z3()``); their definitions are added.
    hypotheses : iterable of z3 formulas, or dict of name -> formula
        Printed in the record, each with its name.
    domain, covers : str
    sibling : z3 formula
        A wrong claim; z3 must find a model of the hypotheses in which it fails. This also shows
        that the hypotheses do not contradict each other.
    timeout_ms : int

    Raises
    ------
    EvidenceError
        z3 finds a model against the claim, or answers ``unknown``; the sibling follows from the
        hypotheses.
    """
    named = dict(hypotheses) if isinstance(hypotheses, Mapping) else {}
    facts = list(named.values()) if named else list(hypotheses)
    definitions, used = _definitions([_formula(claim), _formula(sibling), *facts])
    given = [*facts, *definitions]
    _, refutation = settle(
        label,
        check,
        domain,
        covers,
        lambda: prove_smt(claim, given, timeout_ms=timeout_ms),
        lambda _: prove_smt(sibling, given, timeout_ms=timeout_ms),
    )
    figure = shorten(f"unsat; wrong sibling fails at {format_point(refutation.at)}")
    texts = [f"{name}: {_printed(f)}" for name, f in named.items()] or map(_printed, facts)
    rest = {"assumed": tuple(texts), "covers": covers, "stated": used}
    return emit(label, "certified", check, domain, figure, **rest)


def _printed(formula: z3.BoolRef) -> str:
    return " ".join(str(formula).split())


def _definitions(formulas: Iterable[z3.BoolRef]) -> tuple[list[z3.BoolRef], list[str]]:
    """Say what the declared numbers among the variables are: polynomial, and rational bounds."""
    found = sorted({str(v) for f in formulas for v in get_vars(f)} & DECLARED.keys())
    given = []
    for key in found:
        number, value = z3.Real(key), expand(DECLARED[key].definition)
        if value.is_algebraic:
            x = sp.Dummy("x")
            coefficients = sp.Poly(sp.minimal_polynomial(value, x), x).all_coeffs()
            powers = zip(reversed(coefficients), range(len(coefficients)), strict=True)
            terms = [z3.RealVal(str(c)) * number**n if n else z3.RealVal(str(c)) for c, n in powers]
            given.append(z3.Sum(terms) == 0)
        middle = sp.Rational(str(sp.N(value, 40)))
        slack = sp.Rational(1, 10**30)
        given += [
            number > z3.RealVal(str(middle - slack)),
            number < z3.RealVal(str(middle + slack)),
        ]
    return given, found


def prove_smt(claim: z3.BoolRef, hypotheses: Hypotheses, *, timeout_ms: int = 60_000) -> None:
    """Prove that the hypotheses imply the claim: z3 must find the negation unsatisfiable.

    Raises
    ------
    Refuted
        z3 has a model of the hypotheses in which the claim fails (re-evaluated here).
    Undecided
        z3 answers ``unknown``, for instance at the timeout.
    """
    facts = list(hypotheses.values() if isinstance(hypotheses, Mapping) else hypotheses)
    formulas = _in_fresh_context([*facts, z3.Not(_formula(claim))])
    solver = _solver(formulas, timeout_ms)
    if _check(solver) == z3.unsat:
        return
    model = solver.model()
    if not all(z3.is_true(model.eval(f, model_completion=True)) for f in formulas):
        raise Undecided("z3 returned a model that does not satisfy its own constraints")
    at = {str(v): _number(model.eval(v, model_completion=True)) for v in _variables(formulas)}
    raise Refuted(f"fails at {format_point(at)}", at)


def find_witness(
    claim: z3.BoolRef,
    hypotheses: Mapping[str, z3.BoolRef],
    drops: str | None,
    *,
    timeout_ms: int = 60_000,
) -> dict[str, Fraction]:
    """Find rationals that break the claim while every hypothesis but one holds.

    Parameters
    ----------
    claim : z3 formula over real or integer variables
    hypotheses : dict of name -> z3 formula
    drops : str or None
        The hypothesis that must fail; None looks for a counterexample to the claim itself.

    Returns
    -------
    dict of variable name -> Fraction

    Raises
    ------
    ValueError
        There is no such point (z3: unsat), or ``drops`` names no hypothesis.
    Undecided
        z3 answers ``unknown``, or the points found are irrational.
    """
    if drops is not None and drops not in hypotheses:
        raise ValueError(f"drops must name one of {sorted(hypotheses)}, got {drops!r}")
    formulas = [z3.Not(h) if name == drops else h for name, h in hypotheses.items()]
    formulas = _in_fresh_context([*formulas, z3.Not(_formula(claim))])
    solver = _solver(formulas, timeout_ms)
    if _check(solver) == z3.unsat:
        without = (
            "all hypotheses" if drops is None else f"all hypotheses but {drops!r}, which fails"
        )
        raise ValueError(f"no counterexample to the claim exists under {without}")
    witness: dict[str, Fraction] = {}
    for variable in _variables(formulas):
        # fix one variable after the other to a rational; the model moves along
        value = _number(solver.model().eval(variable, model_completion=True))
        witness[str(variable)] = Fraction(value)
        solver.add(variable == z3.RealVal(str(witness[str(variable)]), solver.ctx))
        if _check(solver) == z3.unsat:
            raise Undecided(f"the counterexamples z3 finds have an irrational {variable}")
    return witness


def _formula(claim: Any) -> z3.BoolRef:
    if not z3.is_bool(claim):
        raise TypeError(f"a z3 claim must be a z3 formula, got {claim!r}")
    return claim


def _in_fresh_context(formulas: Iterable[z3.BoolRef]) -> list[z3.BoolRef]:
    """Copy formulas to an empty context: the model z3 finds depends on what a context held."""
    context = z3.Context()
    return [formula.translate(context) for formula in formulas]


def _solver(formulas: Sequence[z3.BoolRef], timeout_ms: int) -> z3.Solver:
    solver = z3.Solver(ctx=formulas[0].ctx)
    solver.set("timeout", timeout_ms)
    solver.add(*formulas)
    return solver


def _check(solver: z3.Solver) -> z3.CheckSatResult:
    answer = solver.check()
    if answer == z3.unknown:
        raise Undecided(f"z3 answers unknown ({solver.reason_unknown()})")
    return answer


def _variables(formulas: Iterable[z3.BoolRef]) -> list[z3.ExprRef]:
    return sorted({v for f in formulas for v in get_vars(f)}, key=str)


def _number(value: z3.ExprRef) -> Fraction | bool | str:
    """Convert a value of a model; an irrational one becomes a close rational."""
    if z3.is_algebraic_value(value):
        value = value.approx(12)
    if z3.is_rational_value(value) or z3.is_int_value(value):
        return Fraction(str(value.as_fraction() if z3.is_rational_value(value) else value))
    return z3.is_true(value) if z3.is_bool(value) else str(value)
