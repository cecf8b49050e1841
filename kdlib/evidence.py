"""Evidence: checks that are performed where they are stated, and the records they leave.

Every function here performs a check for a labelled theorem, makes sure that a deliberately wrong
sibling (the mutant) fails the same check, and emits one record. A check that fails, or a mutant
that passes, raises :class:`EvidenceError`, so that the notebook, its tests and the book fail.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from kdlib.confidence import confidence_interval
from kdlib.identities import POINTS, STRATEGIES, prove_identity
from kdlib.intervals import certified_box
from kdlib.records import (
    MIME,
    Evidence,
    EvidenceError,
    Refuted,
    Undecided,
    as_fraction,
    brief,
    check_id,
    count,
    emit,
    settle,
)
from kdlib.smt import certified_smt, find_witness

__all__ = [
    "MIME",
    "Evidence",
    "EvidenceError",
    "certified_box",
    "certified_smt",
    "check_id",
    "cited",
    "confidence_interval",
    "counterexample",
    "derived",
    "exact",
    "find_witness",
    "measured",
]


def derived(
    label: str,
    check: str,
    lhs: Any,
    rhs: Any,
    *,
    domain: str,
    covers: str,
    mutant: Any,
    simplify: Callable[[Any], Any] | None = None,
) -> Evidence:
    """Check that two sympy expressions are equal: their difference simplifies to exactly 0.

    The unsimplified difference must also vanish at five seeded random rational points that meet
    the assumptions of the symbols; a sum with a symbolic upper limit gets a limit in 2..6 there,
    and an abstract function becomes a random smooth one.

    Parameters
    ----------
    label, check : str
        Label of the theorem and name of the check.
    lhs, rhs : sympy expression, or sequence or matrix of them
        Both of one length; every entry is checked. A free index, as in ``z[k]``, stands for any
        entry that the sums run over.
    domain, covers : str
    mutant : like ``rhs``
        A wrong right-hand side; some entry must be clearly nonzero at one of the points.
    simplify : callable, optional
        Replaces the built-in strategies; takes the difference, in which one symbol stands for
        each sum, and must return exactly 0.

    Raises
    ------
    EvidenceError, ValueError, TypeError (for floats in the expressions)
    """
    left = _entries("lhs", lhs)

    def prove(name: str, side: Any, strategies: Sequence[Callable[[Any], Any]]) -> int:
        right = _entries(name, side)
        if len(left) != len(right):
            raise ValueError(f"lhs has {len(left)} entries, {name} has {len(right)}")
        return max(prove_identity(a, b, strategies) for a, b in zip(left, right, strict=True))

    strategies = STRATEGIES if simplify is None else (simplify,)
    settle(
        *(label, check, domain, covers),
        lambda: prove("rhs", rhs, strategies),
        # the mutant meets all that was needed for the claim; the rest costs minutes for nothing
        lambda used: prove("mutant", mutant, strategies[:used]),
    )
    figure = "residual 0" if len(left) == 1 else f"{len(left)} residuals 0"
    figure += f", {POINTS} random points"
    return emit(label, "derived", check, domain, figure, covers=covers)


def _entries(name: str, side: Any) -> list[Any]:
    # sympy matrices have a length but are not registered as iterables
    entries = list(side) if hasattr(side, "__len__") else [side]
    if not entries:
        raise ValueError(f"{name} must not be empty, got {side!r}")
    return entries


_RELATIONS = {
    "==": operator.eq,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}


def exact(
    label: str,
    check: str,
    sides: Callable[..., Any],
    cases: Iterable[Any],
    *,
    domain: str,
    mutant: Callable[..., Any],
    relation: str = "==",
    covers: str = "instances",
) -> Evidence:
    """Compare two sides in exact arithmetic for every case.

    Parameters
    ----------
    label, check : str
    sides : callable
        ``sides(*case)`` returns a tuple (left, right), or a list of such tuples; the numbers are
        int, Fraction or flint.fmpq.
    cases : iterable
        Tuples of arguments; a case that is no tuple is passed as the only argument.
    domain : str
    mutant : callable
        A wrong ``sides``; the relation must fail for at least one case.
    relation : {"==", "<=", "<", ">=", ">"}
    covers : {"instances", "statement"}

    Raises
    ------
    EvidenceError
    TypeError
        For a bool, a float or a NumPy scalar.
    ValueError
    """
    if relation not in _RELATIONS:
        raise ValueError(f"relation must be one of {tuple(_RELATIONS)}, got {relation!r}")
    listed = [case if isinstance(case, tuple) else (case,) for case in cases]
    if not listed:
        raise ValueError("cases must not be empty")

    def compare(function: Callable[..., Any]) -> None:
        for case in listed:
            found = function(*case)
            for left, right in _pairs(found, case):
                if not _RELATIONS[relation](left, right):
                    raise Refuted(f"case {brief(case)}: {left} {relation} {right} is false")

    settle(*(label, check, domain, covers), lambda: compare(sides), lambda _: compare(mutant))
    return emit(label, "exact", check, domain, count(len(listed), "case"), covers=covers)


def _pairs(found: Any, case: tuple) -> list[tuple[Fraction, Fraction]]:
    pairs = found if isinstance(found, list) else [found]
    if not pairs or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
        raise TypeError(f"sides must return a pair or a list of pairs, got {found!r} for {case!r}")
    return [tuple(as_fraction(x, f"each side (case {case!r})") for x in p) for p in pairs]


def measured(
    label: str,
    check: str,
    sample: Any,
    *,
    within: tuple[float | None, float | None],
    tolerance: float,
    domain: str,
    mutant: Any,
    confidence: float = 0.99,
) -> Evidence:
    """Compare a confidence interval with a range and a tolerance that are fixed beforehand.

    The check holds when the whole interval lies in ``[low - tolerance, high + tolerance]``.

    Parameters
    ----------
    label, check : str
    sample : float or bool array of shape (n,)
        Floats: Student's t interval of the mean. Bools: Clopper-Pearson interval of the
        proportion of True.
    within : (low, high)
        None on one side means unbounded.
    tolerance : float, >= 0
    domain : str
    mutant : array like ``sample``
        Its estimate must lie outside the widened range; a merely wide interval is not enough.
    confidence : float in (0, 1)

    Raises
    ------
    EvidenceError, ValueError (empty sample, NaN, a bad range), TypeError (other types)
    """
    low, high = _range(within)
    if isinstance(tolerance, bool) or not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be a finite number >= 0, got {tolerance!r}")
    least, most = low - tolerance, high + tolerance

    def compare(name: str, values: Any) -> tuple[float, float, float, int]:
        found = confidence_interval(values, confidence, name=name)
        mean, lower, upper, _ = found
        if not least <= mean <= most:
            raise Refuted(f"the estimate {mean:.3g} lies outside [{least:.3g}, {most:.3g}]")
        if not (least <= lower and upper <= most):
            raise Undecided(
                f"the interval [{lower:.3g}, {upper:.3g}] leaves [{least:.3g}, {most:.3g}]"
            )
        return found

    (mean, lower, upper, n), _ = settle(
        *(label, check, domain, "instances"),
        lambda: compare("sample", sample),
        lambda _: compare("mutant", mutant),
    )
    figure = f"{mean:.3g} [{lower:.3g}, {upper:.3g}], n={n}"
    beyond = f"{tolerance:g} beyond {_show_range(low, high)}"
    return emit(label, "measured", check, domain, figure, tolerance=beyond, covers="instances")


def _range(within: tuple[float | None, float | None]) -> tuple[float, float]:
    low, high = within
    if low is None and high is None:
        raise ValueError("within must bound at least one side, got (None, None)")
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    if not low <= high:
        raise ValueError(f"within must be (low, high) with low <= high, got {within!r}")
    return low, high


def _show_range(low: float, high: float) -> str:
    left = "(-∞" if low == -math.inf else f"[{low:g}"
    right = "∞)" if high == math.inf else f"{high:g}]"
    return f"{left}, {right}"


def counterexample(
    label: str,
    check: str,
    witness: Any,
    *,
    claim: Callable[[Any], bool],
    hypotheses: Mapping[str, Callable[[Any], bool]],
    drops: str | None,
    domain: str,
    mutant: Any,
) -> Evidence:
    """Check a witness against a claim, or against the claim with one hypothesis dropped.

    Parameters
    ----------
    label, check : str
    witness : object
        Must violate the claim, meet every hypothesis but ``drops``, and fail ``drops``.
    claim : callable
        ``claim(witness)`` says whether the claim holds there.
    hypotheses : dict of name -> callable
        ``hypotheses[name](witness)`` says whether the witness meets the hypothesis.
    drops : str or None
        Name of the hypothesis shown to be needed. None refutes the claim itself: the verdict of
        the record is then "fails".
    domain : str
        With ``drops`` the record reads "without NAME: domain".
    mutant : object
        A witness that must not qualify.

    Raises
    ------
    EvidenceError
        The witness does not qualify; the message says why.
    TypeError
        The claim or a hypothesis does not return a bool.
    ValueError
        ``drops`` names no hypothesis.
    """
    if drops is not None and drops not in hypotheses:
        raise ValueError(f"drops must name one of {sorted(hypotheses)}, got {drops!r}")

    def qualify(candidate: Any) -> None:
        if _truth("claim", claim(candidate)):
            raise Refuted(f"the claim holds at {brief(candidate)}")
        for name, hypothesis in hypotheses.items():
            met = _truth(f"hypotheses[{name!r}]", hypothesis(candidate))
            if met == (name == drops):
                verb = "meets the dropped" if met else "violates the"
                raise Refuted(f"{brief(candidate)} {verb} hypothesis {name!r}")

    covers = "statement" if drops is None else "instances"
    scope = domain if drops is None else f"without {drops}: {domain}"
    # a single witness settles a refutation, so its domain may well fix V
    settle(*(label, check, scope, "instances"), lambda: qualify(witness), lambda _: qualify(mutant))
    verdict = "fails" if drops is None else "holds"
    figure = brief(witness)
    return emit(label, "counterexample", check, scope, figure, covers=covers, verdict=verdict)


def _truth(name: str, value: Any) -> bool:
    """Accept Python and NumPy bools only: a forgotten ``return`` must not pass for False."""
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise TypeError(f"{name} must return a bool, got {value!r}")


def cited(label: str, key: str, says: str, *, bibliography: str | Path | None = None) -> Evidence:
    """Record what a source says; its key must be in the bibliography of the book.

    Parameters
    ----------
    label : str
    key : str
        BibTeX key; it is also the name of the check.
    says : str
        One line: what the source states, and where.
    bibliography : path, optional
        Default: ``book/references.bib`` in the working directory or the nearest one above it.

    Raises
    ------
    EvidenceError
        The key is missing.
    FileNotFoundError
        There is no bibliography.
    """
    path = _find_bibliography() if bibliography is None else Path(bibliography)
    keys = re.findall(r"^\s*@\w+\s*\{\s*([^,\s}]+)\s*,", path.read_text("utf-8"), re.MULTILINE)

    def look_up(name: str) -> None:
        if name not in keys:
            raise Refuted(f"no entry {name!r} in {path.name}")

    settle(
        *(label, key, says, "instances"),
        lambda: look_up(key),
        lambda _: look_up(f"{key}-mutant"),
    )
    return emit(label, "cited", key, says, f"in {path.name}", covers="instances")


def _find_bibliography() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / "book" / "references.bib"
        if path.is_file():
            return path
    raise FileNotFoundError(f"no book/references.bib in {here} or above it")
