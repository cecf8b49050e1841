"""Evidence records and provenance stamps, read out of the committed notebooks.

The records are the only source of every verdict in the book: nothing in this package
takes a status, a count or a date from a hand-written file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdlib.records import KINDS, MIME, Evidence

_ANCHOR = re.compile(r'\bid="(check-[^"\s]+)"')


class RecordError(ValueError):
    """A notebook holds an evidence record that this package cannot read."""


@dataclass(frozen=True)
class Record(Evidence):
    """One check of one statement, as its notebook recorded it.

    `page` is the notebook's path without suffix, relative to the book's root; `anchor`
    is the HTML id of the chip that shows the check on that page.
    """

    page: str
    anchor: str


@dataclass(frozen=True)
class Notebook:
    """What one executed notebook says about itself: its records and its stamp."""

    page: str
    records: tuple[Record, ...]
    stamp: Mapping[str, Any] | None


def read_notebook(path: Path, page: str) -> Notebook:
    """Read the evidence records and the provenance stamp of one notebook.

    Parameters
    ----------
    path : Path
        The `.ipynb` file.
    page : str
        The page it becomes: its path without suffix, relative to the book's root.

    Returns
    -------
    Notebook
        Records in the order of the cells; `stamp` is None for an unstamped notebook.

    Raises
    ------
    RecordError
        If a record lacks a key, holds an unknown word, or has no anchor in its HTML.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    records = []
    for number, cell in enumerate(content["cells"]):
        for output in cell.get("outputs", ()):
            if MIME in output.get("data", {}):
                where = f"{path.name}, cell {number}"
                records.append(_record(output["data"], page, where))
    return Notebook(page, tuple(records), content["metadata"].get("kdlib"))


def _record(data: Mapping[str, Any], page: str, where: str) -> Record:
    fields = data[MIME]
    if isinstance(fields, str | list):
        fields = json.loads("".join(fields))
    html = "".join(data.get("text/html", ""))
    found = _ANCHOR.search(html)
    if found is None:
        raise RecordError(f'{where}: the record has no text/html with an id="check-…": {html!r}')
    try:
        return Record(**fields, page=page, anchor=found.group(1))
    except (TypeError, ValueError) as fault:  # a key that lacks or is unknown, an unknown word
        raise RecordError(f"{where}: {fault}: {fields!r}") from None


def count_kinds(records: Iterable[Record]) -> dict[str, int]:
    """Count records by kind, in the fixed order of `KINDS`, leaving out kinds with none."""
    kinds = [record.kind for record in records]
    return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}
