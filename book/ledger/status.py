"""The status of a statement, computed from its proofs and its evidence records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .records import Record

#: Every status with the words that the reader sees, strongest first.
STATUSES = {
    "checked": "machine-checked in full",
    "proved": "proved in text, steps or instances checked",
    "measured": "measured only",
    "cited": "cited",
    "refuted": "refuted",
    "open": "open",
}

#: Kinds of evidence that can settle a proof step for every case of a statement.
SETTLING = ("derived", "exact", "certified")

Step = Sequence[Record]


def settles(record: Record) -> bool:
    """Whether a record settles its step for the whole domain of the statement."""
    return (
        record.kind in SETTLING
        and record.covers == "every case"
        and record.verdict == "holds"
        and record.sibling_rejected is True
    )


def compute_status(proofs: Sequence[Sequence[Step]], records: Sequence[Record]) -> str:
    """Compute the status of one statement.

    Parameters
    ----------
    proofs : sequence of proofs
        A proof is a sequence of steps, a step the records that its `{check}` roles name.
    records : sequence of Record
        All evidence for the statement itself.

    Returns
    -------
    str
        A key of `STATUSES`.
    """
    kinds = {record.kind for record in records}
    if any(r.kind == "counterexample" and r.verdict == "fails" for r in records):
        return "refuted"
    if any(proof and all(any(map(settles, step)) for step in proof) for proof in proofs):
        return "checked"
    if proofs and kinds - {"cited"}:
        return "proved"
    if not proofs and "measured" in kinds:
        return "measured"
    if not proofs and "cited" in kinds:
        return "cited"
    return "open"


def settled(uses: Mapping[str, Sequence[str]], statuses: Mapping[str, str]) -> dict[str, bool]:
    """Say which statements are machine-checked in full together with all they rest on.

    Parameters
    ----------
    uses : mapping
        Label to the labels that its proofs refer to. Must have no cycle.
    statuses : mapping
        Label to status.

    Returns
    -------
    dict
        Label to True when the statement and every ancestor have the status `checked`.
    """
    answer: dict[str, bool] = {}

    def visit(label: str) -> bool:
        if label not in answer:
            answer[label] = statuses[label] == "checked" and all([visit(u) for u in uses[label]])
        return answer[label]

    return {label: visit(label) for label in uses}
