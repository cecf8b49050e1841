"""The computed parts of the pages as HTML, from plain data only.

Blanks between elements matter: the search index takes the text as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from .citation import Source, citation_html
from .drawing import FILLS
from .model import Book, Statement
from .records import Record, count_kinds
from .status import STATUSES

Link = Callable[..., str]  # (page, anchor="") -> address relative to the page being written

TICK = {"holds": "✓", "fails": "✗"}
SINGLE = ("counterexample", "cited")  # kinds for which "how many cases" has no meaning


def status_chip(status: str) -> str:
    """Return a status as a coloured chip."""
    return f'<span class="ledger-chip ledger-is-{status}">{STATUSES[status]}</span>'


def kinds_text(records: Iterable[Record]) -> str:
    """Return the number of checks by kind, such as `2 derived, 1 exact`."""
    counts = count_kinds(records)
    return ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "no checks"


def statement_link(book: Book, label: str, link: Link) -> str:
    """Return a link to a statement where it stands, with its name and title."""
    statement = book.statements[label]
    title = f" ({statement.title_html})" if statement.title else ""
    return f'<a href="{escape(link(statement.page, label))}">{escape(statement.name)}</a>{title}'


def footer(book: Book, label: str, source: Source, link: Link, *, anchor: bool = True) -> str:
    """Return what stands under a statement: tag, status, number of checks, citation."""
    tag = book.tags.get(label, "")
    mark = f' id="tag-{tag}"' if anchor and tag else ""
    shown = f'<a class="ledger-tag" href="{escape(link("tag/" + tag))}">{tag}</a>' if tag else ""
    return (
        f'<div class="ledger-foot"{mark}><span class="ledger-tagged">Tag {shown}</span> '
        f"{status_chip(book.statuses[label])} "
        f'<span class="ledger-kinds">{kinds_text(book.evidence(label))}</span> '
        '<details class="ledger-cite"><summary>Cite</summary> '
        f"{citation_html(source, book.statements[label], tag)}</details></div>"
    )


def check_chip(record: Record, link: Link) -> str:
    """Return the small mark that a `{check}` leaves in a proof step."""
    told = f"{record.check} ({record.kind}, {record.covers}): {record.domain}"
    reach = record.covers.replace(" ", "-")
    return (
        f'<a class="ledger-check ledger-covers-{reach}" title="{escape(told)}" '
        f'href="{escape(link(record.page, record.anchor))}">{TICK[record.verdict]} '
        f"{record.kind}, {record.covers}</a>"
    )


def evidence_table(records: Iterable[Record], link: Link) -> str:
    """Return the evidence of one statement, one row a check."""
    rows = "".join(
        f'<tr><td><a href="{escape(link(r.page, r.anchor))}">{escape(r.check)}</a></td>'
        f"<td>{TICK[r.verdict]} {r.verdict}</td><td>{r.kind}</td>"
        f"<td>{'–' if r.kind in SINGLE else r.covers}</td>"
        f"<td>{escape(r.domain)}</td><td>{escape('; '.join(r.assumed) or '–')}</td>"
        f"<td>{escape(r.figure)}</td>"
        f"<td>{escape(r.tolerance or '–')}</td>"
        f"<td>{'yes' if r.sibling_rejected else 'none given'}</td></tr>"
        for r in records
    )
    if not rows:
        return "<p>No check yet.</p>"
    heads = ("Check", "Verdict", "Kind", "Covers", "Domain", "Assumed", "Figure", "Tolerance")
    return _table([*heads, "Wrong sibling rejected"], rows)


def ledger_table(book: Book, link: Link) -> str:
    """Return the ledger: one row a statement, in reading order."""
    rows = "".join(_ledger_row(book, statement, link) for statement in book.statements.values())
    if not rows:
        return "<p>The book has no statements yet.</p>"
    return _table(["Tag", "Statement", "Status", "Evidence", "Where it fails"], rows)


def _ledger_row(book: Book, statement: Statement, link: Link) -> str:
    label = statement.label
    tag = book.tags.get(label, "")
    evidence = book.evidence(label)
    fails = "<br>".join(
        f'<a href="{escape(link(r.page, r.anchor))}">{escape(r.domain)}</a>'
        for r in evidence
        if r.kind == "counterexample"
    )
    return (
        f'<tr><td><a class="ledger-tag" href="{escape(link("tag/" + tag))}">{tag}</a></td>'
        f"<td>{statement_link(book, label, link)}</td>"
        f"<td>{status_chip(book.statuses[label])}</td>"
        f"<td>{kinds_text(evidence)}</td><td>{fails or '–'}</td></tr>"
    )


def strip(book: Book) -> str:
    """Return the home page's strip: statements by status, and the run behind them."""
    counts = {s: list(book.statuses.values()).count(s) for s in STATUSES}
    boxes = "".join(
        f'<li class="ledger-is-{status}"><b>{number}</b> {STATUSES[status]}</li>'
        for status, number in counts.items()
    )
    total = sum(len(notebook.records) for notebook in book.notebooks)
    return (
        f'<ul class="ledger-strip" aria-label="Statements by status">{boxes}</ul>'
        f'<p class="ledger-run">{len(book.statements)} statements, {total} checks. '
        f"{escape(last_run([n.stamp for n in book.notebooks if n.stamp]))}</p>"
    )


def last_run(stamps: list[Mapping[str, Any]]) -> str:
    """Describe the last full run: dates, commits, hardware and total time of all stamps."""
    if not stamps:
        return "No chapter carries the stamp of a run."
    dates = sorted(stamp["date"] for stamp in stamps)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    commits = list(dict.fromkeys(str(stamp["commit"] or "none recorded") for stamp in stamps))
    machines = list(
        dict.fromkeys(f"{s['device']}, {s['processor']}, {s['cores']} cores" for s in stamps)
    )
    spent = duration(sum(stamp["wall_seconds"] for stamp in stamps))
    return (
        f"Last full run: {when}, commit {', '.join(commits)}, on {'; '.join(machines)}; "
        f"{spent} for {len(stamps)} chapter{'s' if len(stamps) > 1 else ''}."
    )


def duration(seconds: float) -> str:
    """Return a wall time for readers: seconds below two minutes, minutes above."""
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def provenance(stamp: Mapping[str, Any] | None) -> str:
    """Return the table that ends a chapter, from its notebook's stamp."""
    if stamp is None:
        return "<p>This chapter carries no stamp of a run.</p>"
    rows = {
        "Run": f"{stamp['date']}, {duration(stamp['wall_seconds'])}",
        "Commit": stamp["commit"] or "none recorded",
        "Profile and seed": f"{stamp['profile']}, {stamp['seed']}",
        "Device": f"{stamp['device']}: {stamp['processor']}, {stamp['cores']} cores",
        "Versions": ", ".join(f"{name} {v}" for name, v in stamp["versions"].items()),
        "Source": str(stamp["source"])[:12],
        "Modules": ", ".join(f"{name} {str(d)[:12]}" for name, d in stamp["modules"].items()),
    }
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    return f'<div class="ledger-scroll"><table class="ledger-provenance">{body}</table></div>'


def legend() -> str:
    """Return the key of the dependency graph."""
    borders = "".join(status_chip(status) for status in STATUSES)
    fills = "".join(
        f'<li><span class="ledger-swatch ledger-fill-{fill}"></span>{told}</li>'
        for fill, told in FILLS.items()
    )
    return (
        f'<div class="ledger-legend"><p>Border: status. {borders}</p>'
        f"<p>Fill: evidence.</p><ul>{fills}</ul></div>"
    )


def _table(heads: Iterable[str], rows: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="ledger-scroll" tabindex="0" role="region" aria-label="Table">'
        f'<table class="ledger-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
