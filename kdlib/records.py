"""Records of evidence: what they hold, how they show, and how a check is settled.

The checks themselves are in :mod:`kdlib.evidence`, which is the module to import.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from numbers import Rational
from typing import Any

import flint

MIME = "application/vnd.kdlib.evidence+json"
KINDS = ("derived", "exact", "certified", "measured", "counterexample", "cited")
COVERS = ("statement", "instances")

# "V=3", "V in {2,3}", "V<=6", "6>=V": V is a number, in a finite list or bounded above.
# A list or range that runs on to infinity ("V in {2, 3, ...}", "V in [2, ∞)") is not.
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
    """A check failed, or a mutant passed it."""


@dataclass(frozen=True)
class Evidence:
    """One record of evidence; it was displayed when it was made.

    The fields are the keys of the JSON record. ``covers`` is "statement" when the check settles
    the step for the whole domain of the statement, "instances" when it settles particular cases.
    """

    label: str
    kind: str
    check: str
    domain: str
    figure: str
    tolerance: str | None
    covers: str
    verdict: str
    mutant_rejected: bool

    def __post_init__(self) -> None:
        _validate(self.label, self.check, self.domain)
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}")
        if self.verdict not in ("holds", "fails"):
            raise ValueError(f"verdict must be 'holds' or 'fails', got {self.verdict!r}")
        if self.verdict == "holds":  # one refuting instance does settle a whole statement
            _validate_covers(self.covers, self.domain)

    def record(self) -> dict[str, Any]:
        """Return the JSON record: nine keys."""
        return asdict(self)

    def line(self) -> str:
        """Return the verdict line."""
        return " · ".join((f"{self._mark} {self.label}", self.kind, self.check, *self._rest()))

    @property
    def _mark(self) -> str:
        return "✓" if self.verdict == "holds" else "✗"

    def _rest(self) -> list[str]:
        cover = [] if self.kind == "cited" else [f"covers {self.covers}"]
        tolerance = [] if self.tolerance is None else [f"tolerance {self.tolerance}"]
        refuted = ["refuted"] if self.verdict == "fails" else []
        mutant = "mutant rejected" if self.mutant_rejected else "mutant passed"
        return [self.domain, *cover, self.figure, *tolerance, *refuted, mutant]

    def html(self) -> str:
        """Return the chip: one block whose parts carry classes, all text escaped."""
        text = f"{self.check}: {self.kind}, {self.verdict}"
        parts = [
            f'<span class="evidence-mark" aria-hidden="true">{self._mark}</span>',
            f'<strong class="evidence-check">{html.escape(self.check)}</strong>',
            f'<span class="evidence-verdict">{self.kind}, {self.verdict}</span>',
            *(f'<span class="evidence-part">{html.escape(p)}</span>' for p in self._rest()),
        ]
        return (
            f'<div class="evidence evidence-{self.kind}" id="{check_id(self.label, self.check)}" '
            f'role="group" aria-label="{html.escape(text)}">{" ".join(parts)}</div>'
        )

    def __str__(self) -> str:
        return self.line()

    def _ipython_display_(self) -> None:
        """Show nothing: the record was shown when it was made."""


def check_id(label: str, check: str) -> str:
    """Return the HTML id of a check: ``check-LABEL-SLUG``."""
    slug = re.sub(r"[^a-z0-9]+", "-", check.lower()).strip("-")
    return f"check-{label}-{slug}"


def _validate(label: str, check: str, domain: str) -> None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", label):
        raise ValueError(f"label must be lower-case words joined by hyphens, got {label!r}")
    if not re.search(r"[a-z0-9]", check.lower()) or re.search(r"[<>`\n]", check):
        raise ValueError(f"check must be one line with a word, without <, > and `, got {check!r}")
    if not domain.strip() or "\n" in domain:
        raise ValueError(f"domain must be one line of text, got {domain!r}")


def _validate_covers(covers: str, domain: str) -> None:
    if covers not in COVERS:
        raise ValueError(f"covers must be one of {COVERS}, got {covers!r}")
    if covers == "statement" and _FIXED_V.search(domain):
        raise ValueError(
            f"covers='statement' needs a check for every V, but domain={domain!r} fixes V; "
            "use covers='instances'"
        )


def settle(
    label: str,
    check: str,
    domain: str,
    covers: str,
    claim: Callable[[], Any],
    mutant: Callable[[Any], Any],
) -> tuple[Any, Refuted]:
    """Demand that the claim passes and that the mutant, given the claim's answer, is refuted."""
    _validate(label, check, domain)
    _validate_covers(covers, domain)
    try:
        answer = claim()
    except (Refuted, Undecided) as reason:
        raise EvidenceError(f"{label} · {check}: the claim does not pass: {reason}") from reason
    try:
        mutant(answer)
    except Refuted as refutation:
        return answer, refutation
    except Undecided as reason:
        raise EvidenceError(
            f"{label} · {check}: the mutant is not provably wrong: {reason}"
        ) from reason
    raise EvidenceError(f"{label} · {check}: the mutant passes, so the check proves nothing")


def emit(label: str, kind: str, check: str, domain: str, figure: str, **rest: Any) -> Evidence:
    """Build the record and, under IPython, display it once."""
    rest = {"tolerance": None, "verdict": "holds", "mutant_rejected": True} | rest
    evidence = Evidence(label=label, kind=kind, check=check, domain=domain, figure=figure, **rest)
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is not None:
            data = {"text/plain": evidence.line(), "text/html": evidence.html()}
            display(data | {MIME: evidence.record()}, raw=True)
    return evidence


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


def brief(value: Any) -> str:
    """Write a witness or a case on one short line."""
    return shorten(_plain(value))


def _plain(value: Any) -> str:
    if hasattr(value, "tolist"):  # arrays and tensors
        value = value.tolist()
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_plain(v)}" for k, v in value.items())
    if isinstance(value, tuple | list):
        return f"({', '.join(_plain(v) for v in value)})"
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
