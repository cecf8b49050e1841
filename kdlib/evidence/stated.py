"""Numbers and formulas of statements, declared once: what the page shows is what is checked.

``C = stated("hinton-limit", "C", sp.sqrt(3) / 36)`` declares a number of a statement. The text
shows it by ``\\stated{C}`` inside a formula; a check uses the object ``C`` itself, and its record
names it. A statement whose declared values no check used does not build.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import flint
import sympy as sp
from sympy.core.relational import Relational
from sympy.printing.latex import LatexPrinter

from kdlib.evidence.settling import show
from kdlib.records import STATED_MIME, Stated

_reads: set[str] = set()  # keys of the values that the running check has asked for

#: Declared numbers by key, so that a solver can look up what its variables stand for.
DECLARED: dict[str, Named] = {}


class Named(sp.Symbol):
    """A symbol that stands for a definition: printed by its name, expanded by the checks.

    Made by `stated` and `notation`. ``lhs`` and ``rhs`` are the sides of a relation.
    """

    key: str
    definition: Any
    latex_form: str

    def __new__(cls, key: str, definition: Any, latex_form: str) -> Named:
        definition = sp.sympify(definition)
        assumptions = {
            fact: True
            for fact in ("positive", "negative", "real")
            if not isinstance(definition, Relational) and getattr(definition, f"is_{fact}")
        }
        made = sp.Symbol.__xnew__(cls, f"«{key}»", **assumptions)
        made.key, made.definition, made.latex_form = key, definition, latex_form
        return made

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        """The symbols of the definition, so that derivatives by them stay unevaluated."""
        return self.definition.free_symbols | {self}

    def _eval_derivative(self, symbol: sp.Symbol) -> sp.Expr:
        return expand(self.definition).diff(symbol)

    def _latex(self, printer: LatexPrinter) -> str:
        return self.latex_form

    @property
    def lhs(self) -> Named:
        """The left side of a declared relation."""
        return self._side(self.definition.lhs)

    @property
    def rhs(self) -> Named:
        """The right side of a declared relation."""
        return self._side(self.definition.rhs)

    def _side(self, definition: sp.Expr) -> Named:
        return Named(self.key, definition, sp.latex(definition))

    def arb(self) -> flint.arb:
        """Return the number as a ball, at the working precision of flint."""
        _reads.add(self.key)
        digits = flint.ctx.prec // 3 + 10
        value = expand(self.definition)
        if value.is_Rational:
            return flint.arb(flint.fmpq(int(value.p), int(value.q)))
        middle = flint.arb(str(sp.N(value, digits)))
        return middle * flint.arb(1, f"1e-{digits - 3}")

    def fraction(self) -> Fraction:
        """Return a rational number exactly.

        Raises
        ------
        ValueError
            If the number is irrational.
        """
        _reads.add(self.key)
        value = expand(self.definition)
        if not value.is_Rational:
            raise ValueError(f"{self.key} must be rational, it is {value}")
        return Fraction(int(value.p), int(value.q))

    def __float__(self) -> float:
        _reads.add(self.key)
        return float(expand(self.definition))

    def z3(self) -> Any:
        """Return the number for z3: a variable whose definition the check adds by itself."""
        import z3

        return z3.Real(self.key)


def stated(
    label: str, name: str, value: Any, *, digits: int = 4, latex: str | None = None
) -> Named:
    """Declare a number, an expression or a relation that a statement shows.

    Parameters
    ----------
    label : str
        The statement's label.
    name : str
        What the text calls it: ``\\stated{name}`` shows the LaTeX form inside the statement,
        ``\\decimal{name}`` the decimals; elsewhere write ``\\stated{label:name}``.
    value : sympy expression, int or Fraction
        Exact; may hold what `notation` names.
    digits : int
        Significant digits of the decimal form, rounded to nearest.
    latex : str, optional
        Replaces sympy's LaTeX of a number (``\\frac{2}{\\pi}``); refused for anything that is
        not a number, whose form must come from the object.

    Returns
    -------
    Named
        To be used in checks in place of the value.

    Raises
    ------
    ValueError, TypeError
    """
    value = sp.sympify(value)
    if value.has(sp.Float):
        raise TypeError(f"a stated value must be exact, got {value}")
    number = not isinstance(value, Relational) and not value.free_symbols
    if latex is not None and not number:
        raise ValueError(f"latex may replace the form of a number only, got {value}")
    shown = latex or sp.latex(value)
    decimal = _decimal(expand(value), digits) if number else ""
    record = Stated(label, name, shown, decimal)
    show(STATED_MIME, record)
    made = Named(record.key, value, shown)
    DECLARED[record.key] = made
    return made


def notation(latex: str, definition: Any) -> Named:
    """Give an expression a name for printing, such as ``\\operatorname{Var}_\\beta(\\ell)``.

    Checks see the definition. Nothing is recorded: what a statement shows is made by `stated`.
    """
    return Named(latex, definition, latex)


def expand(expr: Any) -> Any:
    """Put definitions in place of all names, also inside derivatives."""
    expr = sp.sympify(expr)
    while names := expr.atoms(Named):
        derivatives = expr.atoms(sp.Derivative)
        expr = expr.xreplace({name: name.definition for name in names})
        if derivatives:
            expr = expr.doit() if not expr.has(sp.Sum) else expr.replace(_is_derivative, _carry_out)
    return expr


def _is_derivative(expr: sp.Basic) -> bool:
    return isinstance(expr, sp.Derivative)


def _carry_out(*args: Any) -> sp.Expr:
    body, *variables = args
    for variable, count in variables:
        body = sp.diff(body, variable, int(count))
    return body


def keys(*exprs: Any) -> set[str]:
    """Return the keys of the stated values in sympy expressions; notation has none."""
    found = set()
    for expr in exprs:
        todo = {a for a in sp.sympify(expr).atoms(Named)}
        while todo:
            name = todo.pop()
            if ":" in name.key:
                found.add(name.key)
            todo |= name.definition.atoms(Named)
    return {k for k in found if k in DECLARED}


@contextmanager
def reading() -> Iterator[set[str]]:
    """Collect the keys of the values that are asked for while a check runs."""
    _reads.clear()
    yield _reads


def _decimal(value: sp.Expr, digits: int) -> str:
    if value.is_Integer:
        return str(value)
    return str(sp.Float(sp.N(value, digits + 25), digits))
