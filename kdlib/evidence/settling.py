"""How a check is settled: the claim passes, its wrong sibling is refuted, one record is left."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from numbers import Rational
from typing import Any

import flint

from kdlib.records import COVERS, MIME, Evidence, check_names

# A lint, not a proof: it reads English. "V=3", "V in {2,3}", "V<=6", "6>=V", "two labels": V is a
# number, in a finite list or bounded above. A list or range that runs on to infinity
# ("V in {2, 3, ...}", "V in [2, ∞)") is not.
_FIXED_V = re.compile(
    r"\bV\s*(==?|<=?|≤|\\leq?\b|is\b|equals|up to|at most|from)\s*\d"
    r"|\bV\s*(in|∈|\\in\b)(\s+range\b)?\s*[^\s\w]*\s*\d"
    r"(?![^\]})]*(\.\.\.|…|∞|inf|oo)\s*[\]})])"
    r"|\d\s*(=|>=?|≥|\\geq?\b)\s*V\b"
)


class Refuted(Exception):
    """The claim is false; ``at`` names a place where it fails (may be empty)."""

    def __init__(self, message: str, at: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.at = dict(at or {})


class Undecided(Exception):
    """The procedure could neither prove nor refute the claim."""


class EvidenceError(AssertionError):
    """A check failed, or its wrong sibling passed it."""


def settle(
    label: str,
    check: str,
    domain: str,
    covers: str,
    claim: Callable[[], Any],
    sibling: Callable[[Any], Any],
) -> tuple[Any, Refuted]:
    """Demand that the claim passes and that its sibling, given the claim's answer, is refuted."""
    check_names(label, check, domain)
    if covers not in COVERS:
        raise ValueError(f"covers must be one of {COVERS}, got {covers!r}")
    if covers == "every case" and _FIXED_V.search(domain):
        raise ValueError(
            f"covers='every case' needs a check for every V, but domain={domain!r} fixes V; "
            "use covers='instances'"
        )
    try:
        answer = claim()
    except (Refuted, Undecided) as reason:
        raise EvidenceError(f"{label} · {check}: the claim does not pass: {reason}") from reason
    try:
        sibling(answer)
    except Refuted as refutation:
        return answer, refutation
    except Undecided as reason:
        raise EvidenceError(
            f"{label} · {check}: the wrong sibling is not provably wrong: {reason}"
        ) from reason
    raise EvidenceError(f"{label} · {check}: the wrong sibling passes, so the check proves nothing")


def emit(label: str, kind: str, check: str, domain: str, figure: str, **rest: Any) -> Evidence:
    """Build the record and, under IPython, display it once."""
    defaults = {"tolerance": None, "verdict": "holds", "sibling_rejected": True}
    defaults |= {"assumed": (), "stated": ()}
    fields = {"label": label, "kind": kind, "check": check, "domain": domain, "figure": figure}
    evidence = Evidence(**(defaults | rest | fields))
    show(MIME, evidence)
    return evidence


def show(mime: str, record: Any) -> None:
    """Display a record with a line, its HTML and its JSON, when IPython runs."""
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is not None:
            data = {"text/plain": record.line(), "text/html": record.html()}
            display(data | {mime: record.record()}, raw=True)


def format_point(point: Mapping[str, Any]) -> str:
    """Write a named point on one line; long values are rounded to three digits and marked ≈."""
    shown = []
    for name, value in point.items():
        text = str(value)
        if len(text) > 9 and isinstance(value, Rational):
            shown.append(f"{name}≈{float(value):.3g}")
        else:
            shown.append(f"{name}={text}")
    return ", ".join(shown)


def count(number: int, word: str) -> str:
    """Write a number with its noun: "1 case", "12 boxes"."""
    if number == 1:
        return f"1 {word}"
    return f"{number} {word}{'es' if word.endswith('x') else 's'}"


def listed(texts: Iterable[str], most: int = 4) -> str:
    """Write the first few texts and the last one, with an ellipsis for what lies between."""
    texts = list(texts)
    if len(texts) > most:
        texts = [*texts[: most - 1], "…", texts[-1]]
    return ", ".join(texts)


def brief(value: Any) -> str:
    """Write a witness or a case on one short line."""
    return shorten(plain(value))


def plain(value: Any) -> str:
    """Write a value on one line, floats to three digits."""
    if hasattr(value, "tolist"):  # arrays and tensors
        value = value.tolist()
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={plain(v)}" for k, v in value.items())
    if isinstance(value, tuple | list):
        return f"({', '.join(plain(v) for v in value)})"
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())


def shorten(text: str, width: int = 72) -> str:
    """Cut a text to ``width`` characters, the last one an ellipsis."""
    return text if len(text) <= width else text[: width - 1].rstrip(" ,;") + "…"


def as_fraction(value: Any, name: str) -> Fraction:
    """Convert an exact number to a ``Fraction``.

    Parameters
    ----------
    value : int, Fraction or flint.fmpq
    name : str
        What the error calls the value.

    Raises
    ------
    TypeError
        For anything else; bool, float and NumPy scalars are refused by type.
    """
    if type(value) in (int, Fraction):
        return Fraction(value)
    if type(value) is flint.fmpq:
        return Fraction(int(value.p), int(value.q))
    raise TypeError(
        f"{name} must be an int, Fraction or flint.fmpq, "
        f"got {value!r} of type {type(value).__name__}"
    )
