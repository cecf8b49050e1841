"""Records of evidence: what they hold and how they show. Standard library only.

The checks that make them are in :mod:`kdlib.evidence`; the book's Sphinx extension reads them.
"""

from __future__ import annotations

import html
import re
from dataclasses import asdict, dataclass
from typing import Any

MIME = "application/vnd.kdlib.evidence+json"
STATED_MIME = "application/vnd.kdlib.stated+json"
KINDS = ("derived", "exact", "certified", "measured", "counterexample", "cited")
COVERS = ("every case", "instances")
VERDICTS = ("holds", "fails")

_LABEL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Evidence:
    """One record of evidence; the fields are the keys of the JSON record.

    Attributes
    ----------
    label : str
        The statement that the check belongs to.
    kind : str
        One of `KINDS`.
    check : str
        The name of the check.
    domain : str
        What the check speaks of, in words.
    assumed : tuple of str
        What the check took for granted, printed from the objects it ran on: hypotheses of a
        solver call, the box, the cases, the assumptions of symbols.
    covers : str
        "every case" when the check settles its step for the whole domain of the statement,
        "instances" when it settles particular cases.
    figure : str
        What came out.
    tolerance : str or None
        What a measurement allowed, fixed beforehand.
    stated : tuple of str
        Keys ``label:name`` of the declared numbers and formulas that the check used.
    verdict : str
        "holds" or "fails" (a claim refuted by a counterexample).
    sibling_rejected : bool
        Whether the wrong sibling failed the same check.
    """

    label: str
    kind: str
    check: str
    domain: str
    assumed: tuple[str, ...]
    covers: str
    figure: str
    tolerance: str | None
    stated: tuple[str, ...]
    verdict: str
    sibling_rejected: bool

    def __post_init__(self) -> None:
        check_names(self.label, self.check, self.domain)
        for name, known in (("kind", KINDS), ("covers", COVERS), ("verdict", VERDICTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        # JSON turns tuples into lists; a record read back equals the one that was written
        object.__setattr__(self, "assumed", tuple(self.assumed))
        object.__setattr__(self, "stated", tuple(self.stated))

    def record(self) -> dict[str, Any]:
        """Return the JSON record."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def line(self) -> str:
        """Return the verdict line."""
        return " · ".join((f"{self._mark} {self.label}", self.kind, self.check, *self._rest()))

    @property
    def _mark(self) -> str:
        return "✓" if self.verdict == "holds" else "✗"

    def _rest(self) -> list[str]:
        sibling = f"wrong sibling {'rejected' if self.sibling_rejected else 'passed'}"
        return [
            self.domain,
            *([f"assumed: {'; '.join(self.assumed)}"] if self.assumed else []),
            *([] if self.kind == "cited" else [self.covers]),
            self.figure,
            *([] if self.tolerance is None else [f"tolerance {self.tolerance}"]),
            *(["refuted"] if self.verdict == "fails" else []),
            sibling,
        ]

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


@dataclass(frozen=True)
class Stated:
    """A number or formula of a statement, declared once in code.

    `latex` is what the statement shows for ``\\stated{name}`` and `decimal` for
    ``\\decimal{name}`` ("" for a formula that is no number).
    """

    label: str
    name: str
    latex: str
    decimal: str

    def __post_init__(self) -> None:
        check_names(self.label, self.name, "a stated value")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 -]*", self.name):
            raise ValueError(f"name must be letters, digits, blanks or hyphens, got {self.name!r}")

    @property
    def key(self) -> str:
        """``label:name``."""
        return f"{self.label}:{self.name}"

    def record(self) -> dict[str, str]:
        """Return the JSON record."""
        return asdict(self)

    def line(self) -> str:
        """Return one line of text."""
        near = f" ≈ {self.decimal}" if self.decimal else ""
        return f"stated in {self.label}: {self.name} = {self.latex}{near}"

    def html(self) -> str:
        """Return the line that the page shows."""
        near = f" ≈ {html.escape(self.decimal)}" if self.decimal else ""
        return (
            f'<div class="stated">Stated in {self.label}: {html.escape(self.name)} = '
            f'<span class="math notranslate nohighlight">\\({html.escape(self.latex)}\\)</span>'
            f"{near}</div>"
        )


def check_id(label: str, check: str) -> str:
    """Return the HTML id of a check: ``check-LABEL-SLUG``."""
    slug = re.sub(r"[^a-z0-9]+", "-", check.lower()).strip("-")
    return f"check-{label}-{slug}"


def check_names(label: str, check: str, domain: str) -> None:
    """Raise ValueError unless label, check and domain can stand in a record."""
    if not _LABEL.fullmatch(label):
        raise ValueError(f"label must be lower-case words joined by hyphens, got {label!r}")
    if not re.search(r"[a-z0-9]", check.lower()) or re.search(r"[<>`\n]", check):
        raise ValueError(f"check must be one line with a word, without <, > and `, got {check!r}")
    if not domain.strip() or "\n" in domain:
        raise ValueError(f"domain must be one line of text, got {domain!r}")
