"""Verdicts of the page on uniformity: computed from statuses, and shown on the built page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from ledger.uniformity import VERDICTS, Support, fill_table, support_mark, verdict, verdict_mark
from test_ledger import here, proof, record, small_book, statement


def row(*pairs: tuple[str, str | None]) -> str:
    return verdict(Support(side, status) for side, status in pairs)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("holds", "checked"), ("holds", "proved")], "uniform"),
        ([("holds", "checked"), ("holds", "measured")], "measured"),
        ([("holds", "checked"), ("holds", "open")], "open"),
        ([("holds", "checked"), ("holds", None)], "open"),
        ([("holds", "checked"), ("holds", "refuted")], "open"),
        ([("holds", "checked"), ("holds", "cited")], "open"),
        ([("holds", "checked"), ("fails", "refuted")], "broken"),
        ([("fails", "checked")], "broken"),
        ([("fails", "measured")], "broken-measured"),
        ([("holds", "checked"), ("fails", None)], "open"),
        ([("holds", "checked"), ("fails", "open")], "open"),
        ([], "open"),
    ],
)
def test_a_verdict_follows_from_the_statuses(pairs, expected):
    assert row(*pairs) == expected


def table(*marks: nodes.Node) -> nodes.document:
    document = nodes.document(None, None)
    line = nodes.row("", *[nodes.entry("", nodes.paragraph("", "", mark)) for mark in marks])
    document += nodes.table("", nodes.tgroup("", nodes.tbody("", line)))
    return document


def filled(book, *marks: nodes.Node) -> str:
    document = table(*marks)
    fill_table(document, book, here)
    return document.astext()


def test_a_row_changes_with_the_book():
    marks = [
        support_mark(side="holds", label="a", part=""),
        support_mark(side="fails", label="c", part="Part II"),
        verdict_mark(scope="all"),
    ]
    waiting = filled(small_book(), *[m.deepcopy() for m in marks])
    assert "Part II, to come" in waiting and ">open<" in waiting
    broken = small_book()
    broken = small_book(
        statements={**broken.statements, "c": statement("c", proof(()))},
        notebooks=(
            broken.notebooks[0].__class__(
                "one", (*broken.notebooks[0].records, record(label="c", check="c")), None
            ),
        ),
        tags={**broken.tags, "c": "0003"},
    )
    assert "not uniform over all" in filled(broken, *marks)


def test_an_unknown_label_is_a_warning(caplog):
    filled(small_book(), support_mark(side="holds", label="nowhere", part=""))
    assert "unknown label 'nowhere'" in caplog.text
    caplog.clear()
    document = nodes.document(None, None)
    document += nodes.paragraph("", "", verdict_mark(scope="all"))
    fill_table(document, small_book(), here)
    assert "outside a table row" in caplog.text


def test_the_built_page_shows_what_the_ledger_says(site: Path):
    page = BeautifulSoup((site / "book/uniformity.html").read_text(encoding="utf-8"), "html.parser")
    ledger = json.loads((site / "ledger.json").read_text(encoding="utf-8"))
    statuses = {f"{s['page']}.html#{s['label']}": s["status"] for s in ledger["statements"]}
    seen = []
    for line in page.select("table tbody tr"):
        _, holds, fails, told = line.find_all("td")
        supports = [
            Support(side, statuses[chip["href"].removeprefix("../")])
            for side, cell in (("holds", holds), ("fails", fails))
            for chip in cell.select("a.ledger-chip")
        ]
        for side, cell in (("holds", holds), ("fails", fails)):
            supports += [Support(side, None) for _ in cell.select(".ledger-awaits")]
        seen.append(verdict(supports))
        assert VERDICTS[seen[-1]].split("{")[0].strip() in told.get_text()
        assert told.select_one(f".ledger-verdict-{seen[-1]}")
    # The page is not all of one colour: rows that hold, rows that fail, rows that wait.
    assert len(seen) >= 25 and {"uniform", "broken", "open"} <= set(seen)
