"""The table of what holds for every softening operator: its verdicts come from the ledger.

Each row of such a table names the statements that show a property where it holds, by the role
`{holds}`, and those that show where it fails, by `{fails}`; `{uniform}` stands where the verdict
goes. A statement that a later part will bring is written with that part, as in
``{holds}`rank-students <Part IV>` ``: the row fills itself when the statement arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from .model import Book
from .status import STATUSES

logger = logging.getLogger(__name__)

_TEXT = re.compile(r"(?P<label>[a-z0-9-]+)(?:\s*<(?P<part>[^>]+)>)?")

#: Statuses that establish what a statement says. A refuted claim establishes a failure only.
PROVED = ("checked", "proved")

#: The words of each verdict; a row names the class of operators that it speaks of.
VERDICTS = {
    "uniform": "uniform over {scope}",
    "measured": "uniform over {scope}, as far as measured",
    "broken": "not uniform over {scope}",
    "broken-measured": "not uniform over {scope}, by measurement",
    "open": "open",
}


class support_mark(nodes.Inline, nodes.Element):
    """A `{holds}` or `{fails}` role: `side`, `label`, and the `part` that will bring it or ''."""


class verdict_mark(nodes.Inline, nodes.Element):
    """A `{uniform}` role: the place of a row's verdict."""


class SupportRole(SphinxRole):
    """`{holds}` and `{fails}`: name a statement that supports a row."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = _TEXT.fullmatch(" ".join(self.text.split()))
        if not found:
            message = self.inliner.reporter.error(
                f"{{{self.name}}} takes a label, or `label <Part>`; got {self.text!r}",
                line=self.lineno,
            )
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        mark = support_mark(side=self.name, label=found["label"], part=found["part"] or "")
        self.set_source_info(mark)
        return [mark], []


class VerdictRole(SphinxRole):
    """`{uniform}`: shows the verdict of its row, about the class of operators that it names."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        mark = verdict_mark(scope=self.text.strip())
        self.set_source_info(mark)
        return [mark], []


@dataclass(frozen=True)
class Support:
    """One supporting statement of a row: its side and its status (None: not in the book yet)."""

    side: str
    status: str | None


def verdict(supports: Iterable[Support]) -> str:
    """Compute the verdict of a row, a key of `VERDICTS`.

    One established failure decides against uniformity. Without one, every named support must
    be established: a row that waits for a part of its proof is open.
    """
    supports = list(supports)
    fails = [s.status for s in supports if s.side == "fails"]
    holds = [s.status for s in supports if s.side == "holds"]
    if any(status in (*PROVED, "refuted") for status in fails):
        return "broken"
    if "measured" in fails:
        return "broken-measured"
    if not fails and holds and all(status in PROVED for status in holds):
        return "uniform"
    if not fails and holds and all(status in (*PROVED, "measured") for status in holds):
        return "measured"
    return "open"


def fill_table(doctree: nodes.document, book: Book, link: Callable[..., str]) -> None:
    """Replace the marks of a page by links with statuses, and each row's mark by its verdict."""
    for row in list(doctree.findall(nodes.row)):
        marks = list(row.findall(support_mark))
        places = list(row.findall(verdict_mark))
        if places:
            found = verdict(Support(m["side"], book.statuses.get(m["label"])) for m in marks)
            for place in places:
                place.replace_self(nodes.raw("", _verdict(found, place["scope"]), format="html"))
    for mark in list(doctree.findall(support_mark)):
        mark.replace_self(nodes.raw("", _support(mark, book, link), format="html"))
    for place in list(doctree.findall(verdict_mark)):
        logger.warning("{uniform} stands outside a table row", location=place)


def _verdict(found: str, scope: str) -> str:
    words = VERDICTS[found].format(scope=scope)
    return f'<span class="ledger-verdict ledger-verdict-{found}">{escape(words)}</span>'


def _support(mark: support_mark, book: Book, link: Callable[..., str]) -> str:
    label = mark["label"]
    if label not in book.statements:
        if not mark["part"]:
            logger.warning("{%s}: unknown label %r", mark["side"], label, location=mark)
        return f'<span class="ledger-awaits">{escape(mark["part"] or label)}, to come</span>'
    statement, status = book.statements[label], book.statuses[label]
    told = f"{statement.title or statement.name}: {STATUSES[status]}"
    return (
        f'<a class="ledger-chip ledger-is-{status}" href="{escape(link(statement.page, label))}" '
        f'title="{escape(told)}">{escape(statement.name)}, {status}</a>'
    )
