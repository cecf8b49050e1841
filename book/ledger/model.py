"""Statements, proofs and the whole book as plain data, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .graph import cycle, dependency_graph
from .records import Notebook, Record
from .status import compute_status

THEOREM_LIKE = ("theorem", "lemma", "proposition", "corollary", "conjecture")


@dataclass(frozen=True)
class CheckReference:
    """A `{check}` role in a proof step: the statement it points at and the check's name."""

    label: str
    check: str


@dataclass(frozen=True)
class Proof:
    """One proof: its HTML id, the checks of each step, and every label it refers to."""

    anchor: str
    steps: tuple[tuple[CheckReference, ...], ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """A theorem-like statement as it stands on its page."""

    label: str
    kind: str
    title: str
    title_html: str
    number: str
    page: str
    proofs: tuple[Proof, ...] = ()

    @property
    def name(self) -> str:
        """Kind and number, such as `Theorem 1.2`."""
        return f"{self.kind.title()} {self.number}".strip()


@dataclass(frozen=True)
class Problem:
    """Something that must stop the build, and the page it is on (None: the tags file)."""

    message: str
    page: str | None = None


@dataclass(frozen=True)
class Book:
    """Every statement, record and tag of the book; all verdicts are computed from it."""

    statements: Mapping[str, Statement]
    notebooks: Sequence[Notebook]
    tags: Mapping[str, str]
    stray_checks: Sequence[tuple[str, CheckReference]] = field(default=())

    @cached_property
    def records(self) -> dict[CheckReference, Record]:
        """Every record by label and check name (the first one, if a name repeats)."""
        found: dict[CheckReference, Record] = {}
        for notebook in self.notebooks:
            for record in notebook.records:
                found.setdefault(CheckReference(record.label, record.check), record)
        return found

    @cached_property
    def uses(self) -> dict[str, tuple[str, ...]]:
        """For each label, the statements that its proofs refer to."""
        return {
            label: tuple(
                dict.fromkeys(
                    reference
                    for proof in statement.proofs
                    for reference in proof.references
                    if reference in self.statements and reference != label
                )
            )
            for label, statement in self.statements.items()
        }

    @cached_property
    def statuses(self) -> dict[str, str]:
        """The computed status of each statement."""
        return {label: self._status(statement) for label, statement in self.statements.items()}

    def evidence(self, label: str) -> list[Record]:
        """Return the records of one statement, in the order of the notebooks."""
        return [record for key, record in self.records.items() if key.label == label]

    def used_by(self, label: str) -> list[str]:
        """Return the statements whose proofs refer to this one."""
        return [other for other, used in self.uses.items() if label in used]

    def _status(self, statement: Statement) -> str:
        proofs = [
            [[self.records[c] for c in step if c in self.records] for step in proof.steps]
            for proof in statement.proofs
        ]
        return compute_status(proofs, self.evidence(statement.label))


def problems(book: Book) -> list[Problem]:
    """List everything that must stop the build; empty for a sound book."""
    return [
        *_tag_problems(book),
        *_record_problems(book),
        *_check_problems(book),
        *_cycle_problems(book),
    ]


def _tag_problems(book: Book) -> list[Problem]:
    untagged = [
        Problem(f"{s.name} ({s.label!r}) has no tag: append one to the tags file", s.page)
        for s in book.statements.values()
        if s.label not in book.tags
    ]
    orphans = [
        Problem(f"tag {tag} names the label {label!r}, which no statement has")
        for label, tag in book.tags.items()
        if label not in book.statements
    ]
    return untagged + orphans


def _record_problems(book: Book) -> list[Problem]:
    found = []
    seen: set[CheckReference] = set()
    for notebook in book.notebooks:
        for record in notebook.records:
            key = CheckReference(record.label, record.check)
            if record.label not in book.statements:
                message = f"evidence {record.check!r} is for the unknown label {record.label!r}"
                found.append(Problem(message, record.page))
            if key in seen:
                message = f"{record.label!r} has two checks called {record.check!r}"
                found.append(Problem(message, record.page))
            seen.add(key)
    return found


def _check_problems(book: Book) -> list[Problem]:
    references = [
        (statement.page, reference)
        for statement in book.statements.values()
        for proof in statement.proofs
        for step in proof.steps
        for reference in step
    ]
    return [
        Problem(f"unknown check {reference.check!r} of {reference.label!r} in a proof", page)
        for page, reference in dict.fromkeys([*references, *book.stray_checks])
        if reference not in book.records
    ]


def _cycle_problems(book: Book) -> list[Problem]:
    loop = cycle(dependency_graph(book.uses))
    if not loop:
        return []
    path = " uses ".join([*loop, loop[0]])
    return [Problem(f"the proofs run in a circle: {path}", book.statements[loop[0]].page)]
