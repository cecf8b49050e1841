"""The checks that are performed where they are stated: derived, exact, measured and the others.

Every function here performs a check for a labelled statement, makes sure that a deliberately wrong
sibling fails the same check, and emits one record. A check that fails, or a sibling that passes,
raises :class:`EvidenceError`, so that the notebook, its tests and the book fail.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from kdlib.confidence import Estimate, confidence_interval
from kdlib.evidence.boxes import certified_box
from kdlib.evidence.formulas import certified_smt
from kdlib.evidence.identities import POINTS, STRATEGIES, prove_identity
from kdlib.evidence.settling import (
    Refuted,
    Undecided,
    as_fraction,
    brief,
    count,
    emit,
    listed,
    plain,
    settle,
)
from kdlib.evidence.stated import Named, expand, keys, reading
from kdlib.records import Evidence


def derived(
    label: str,
    check: str,
    lhs: Any,
    rhs: Any,
    *,
    domain: str,
    covers: str,
    sibling: Any,
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
    sibling : like ``rhs``
        A wrong right-hand side; some entry must be clearly nonzero at one of the points.
    simplify : callable, optional
        Replaces the built-in strategies; takes the difference, in which one symbol stands for
        each sum, and must return exactly 0.

    Raises
    ------
    EvidenceError, ValueError, TypeError (for floats in the expressions)
    """
    sides = {"lhs": _entries("lhs", lhs), "rhs": _entries("rhs", rhs)}
    sides["sibling"] = _entries("sibling", sibling)
    used = keys(*sides["lhs"], *sides["rhs"])
    sides = {name: [expand(entry) for entry in entries] for name, entries in sides.items()}
    left = sides["lhs"]

    def prove(name: str, strategies: Sequence[Callable[[Any], Any]]) -> int:
        right = sides[name]
        if len(left) != len(right):
            raise ValueError(f"lhs has {len(left)} entries, {name} has {len(right)}")
        return max(prove_identity(a, b, strategies) for a, b in zip(left, right, strict=True))

    strategies = STRATEGIES if simplify is None else (simplify,)
    settle(
        label,
        check,
        domain,
        covers,
        lambda: prove("rhs", strategies),
        # the sibling meets all that was needed for the claim; the rest costs minutes for nothing
        lambda needed: prove("sibling", strategies[:needed]),
    )
    figure = "residual 0" if len(left) == 1 else f"{len(left)} residuals 0"
    figure += f", {POINTS} random points"
    assumed = _assumptions([*left, *sides["rhs"]])
    rest = {"assumed": assumed, "covers": covers, "stated": sorted(used)}
    return emit(label, "derived", check, domain, figure, **rest)


_FACTS = ("integer", "rational", "positive", "negative", "nonnegative", "nonpositive", "real")
_IMPLIED = {
    "positive": {"nonnegative", "real"},
    "negative": {"nonpositive", "real"},
    "nonnegative": {"real"},
    "nonpositive": {"real"},
    "integer": {"rational", "real"},
    "rational": {"real"},
}


def _assumptions(entries: Sequence[sp.Basic]) -> tuple[str, ...]:
    """Print what the symbols of the expressions are assumed to be, grouped by assumption."""
    groups: dict[str, list[str]] = {}
    bound = {limit[0] for e in entries for s in e.atoms(sp.Sum) for limit in s.limits}
    atoms = {a for e in entries for a in e.free_symbols} - bound
    functions = {f.func for e in entries for f in e.atoms(sp.core.function.AppliedUndef)}
    indexed = {a.base.label for a in atoms if isinstance(a, sp.Indexed)}
    for atom in sorted({*atoms, *functions} - indexed, key=str):
        if isinstance(atom, sp.IndexedBase) or isinstance(atom, sp.Idx):
            continue
        said = [fact for fact in _FACTS if getattr(atom, f"is_{fact}", None)]
        implied = set().union(*(_IMPLIED.get(fact, set()) for fact in said))
        words = " ".join(f for f in said if f not in implied) or "complex"
        groups.setdefault(words, []).append(str(atom))
    return tuple(f"{', '.join(dict.fromkeys(names))} {words}" for words, names in groups.items())


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
    sibling: Callable[..., Any],
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
    sibling : callable
        A wrong ``sides``; the relation must fail for at least one case.
    relation : {"==", "<=", "<", ">=", ">"}
    covers : {"instances", "every case"}

    Raises
    ------
    EvidenceError
    TypeError
        For a bool, a float or a NumPy scalar.
    ValueError
    """
    if relation not in _RELATIONS:
        raise ValueError(f"relation must be one of {tuple(_RELATIONS)}, got {relation!r}")
    chosen = [case if isinstance(case, tuple) else (case,) for case in cases]
    if not chosen:
        raise ValueError("cases must not be empty")

    def compare(function: Callable[..., Any]) -> None:
        for case in chosen:
            found = function(*case)
            for left, right in _pairs(found, case):
                if not _RELATIONS[relation](left, right):
                    raise Refuted(f"case {brief(case)}: {left} {relation} {right} is false")

    with reading() as used:
        settle(label, check, domain, covers, lambda: compare(sides), lambda _: compare(sibling))
    figure = count(len(chosen), "case")
    rest = {"assumed": (_shown_cases(chosen),), "covers": covers, "stated": sorted(used)}
    return emit(label, "exact", check, domain, figure, **rest)


def _shown_cases(cases: Sequence[tuple]) -> str:
    """Print the cases: the first ones and the last, and a digest that changes with any of them."""
    texts = [plain(case[0] if len(case) == 1 else case) for case in cases]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
    shown = listed((text if len(text) <= 40 else text[:39] + "…" for text in texts), most=3)
    return f"cases {shown} (digest {digest})"


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
    sibling: Any,
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
    sibling : array like ``sample``
        Its estimate must lie outside the widened range; a merely wide interval is not enough.
    confidence : float in (0, 1)

    Raises
    ------
    EvidenceError, ValueError (empty sample, NaN, a bad range), TypeError (other types)
    """
    with reading() as used:
        low, high = _range(within)
        tolerance = float(tolerance) if isinstance(tolerance, Named) else tolerance
        used = sorted(used)
    if isinstance(tolerance, bool) or not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be a finite number >= 0, got {tolerance!r}")
    least, most = low - tolerance, high + tolerance

    def compare(name: str, values: Any) -> Estimate:
        found = confidence_interval(values, confidence, name=name)
        if not least <= found.value <= most:
            raise Refuted(f"the estimate {found.value:.3g} lies outside [{least:.3g}, {most:.3g}]")
        if not (least <= found.low and found.high <= most):
            raise Undecided(
                f"the interval [{found.low:.3g}, {found.high:.3g}] leaves [{least:.3g}, {most:.3g}]"
            )
        return found

    found, _ = settle(
        label,
        check,
        domain,
        "instances",
        lambda: compare("sample", sample),
        lambda _: compare("sibling", sibling),
    )
    n = len(sample)
    figure = f"{found.value:.3g} [{found.low:.3g}, {found.high:.3g}], n={n}"
    beyond = f"{tolerance:g} beyond {_show_range(low, high)}"
    method = "Clopper-Pearson" if np.asarray(sample).dtype == bool else "Student's t"
    assumed = (f"independent draws, {method} interval at {confidence:.0%}",)
    rest = {"tolerance": beyond, "assumed": assumed, "covers": "instances", "stated": used}
    return emit(label, "measured", check, domain, figure, **rest)


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
    sibling: Any,
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
    sibling : object
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

    covers = "every case" if drops is None else "instances"
    scope = domain if drops is None else f"without {drops}: {domain}"
    # a single witness settles a refutation, so its domain may well fix V
    with reading() as used:
        settle(
            label, check, scope, "instances", lambda: qualify(witness), lambda _: qualify(sibling)
        )
    kept = [name for name in hypotheses if name != drops]
    rest = {
        "assumed": (f"hypotheses that hold: {', '.join(kept)}",) if kept else (),
        "verdict": "fails" if drops is None else "holds",
        "covers": covers,
        "stated": sorted(used),
    }
    return emit(label, "counterexample", check, scope, brief(witness), **rest)


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

    settle(label, key, says, "instances", lambda: look_up(key), lambda _: look_up(f"{key}-sibling"))
    return emit(label, "cited", key, says, f"in {path.name}", covers="instances")


def _find_bibliography() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / "book" / "references.bib"
        if path.is_file():
            return path
    raise FileNotFoundError(f"no book/references.bib in {here} or above it")


@dataclass(frozen=True)
class About:
    """The checks of one statement; made by `about`."""

    label: str
    shared: Mapping[str, Any]

    def derived(self, check: str, *args: Any, **rest: Any) -> Evidence:
        """See `derived`."""
        return self._call(derived, check, args, rest)

    def exact(self, check: str, *args: Any, **rest: Any) -> Evidence:
        """See `exact`."""
        return self._call(exact, check, args, rest)

    def certified_box(self, check: str, *args: Any, **rest: Any) -> Evidence:
        """See `certified_box`."""
        return self._call(certified_box, check, args, rest)

    def certified_smt(self, check: str, *args: Any, **rest: Any) -> Evidence:
        """See `certified_smt`."""
        return self._call(certified_smt, check, args, rest)

    def measured(self, check: str, *args: Any, **rest: Any) -> Evidence:
        """See `measured`."""
        return self._call(measured, check, args, rest)

    def counterexample(self, check: str, *args: Any, **rest: Any) -> Evidence:
        """See `counterexample`."""
        return self._call(counterexample, check, args, rest)

    def cited(self, key: str, says: str, **rest: Any) -> Evidence:
        """See `cited`."""
        return cited(self.label, key, says, **rest)

    def _call(self, function: Callable[..., Evidence], check: str, args: tuple, rest: dict) -> Any:
        taken = inspect.signature(function).parameters
        return function(
            self.label, check, *args, **{k: v for k, v in self.shared.items() if k in taken} | rest
        )


def about(label: str, **shared: Any) -> About:
    """Bind the label, and what the checks of one statement share, once a cell.

    Parameters
    ----------
    label : str
    **shared
        Keyword arguments for each check that takes them (``domain``, ``covers``,
        ``hypotheses``, ``within``, …); a call may override them.

    Examples
    --------
    >>> check = about("entropy-slope", domain="every V, every beta > 0", covers="every case")
    >>> check.derived("slope of the entropy", lhs, rhs, sibling=-rhs)  # doctest: +SKIP
    """
    return About(label, shared)
