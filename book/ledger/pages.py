"""Fill the computed places of the pages, and write one page for each tag.

Sphinx reads all pages first. Then `Ledger.collect` gathers the statements from the parsed pages
and the records from the notebooks; only after that are pages written, and `Ledger.fill` puts
the computed parts in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from . import fragments
from .citation import Source, citation_html, read_source
from .collect import collect_statements, is_statement, pages_in_order, reference
from .directives import check_mark, computed
from .drawing import graph_svg
from .figure import softening_svg
from .graph import cycle, dependency_graph
from .model import Book, problems
from .records import Notebook, RecordError, read_notebook
from .tags import read_tags
from .uniformity import fill_table
from .whole import Originals, read_originals, statement_parts

logger = logging.getLogger(__name__)


class Ledger:
    """What the extension knows during one build. Its methods are Sphinx event handlers."""

    def __init__(self) -> None:
        self.book = Book({}, (), {})
        self.source = Source("", "", "", "")
        self.originals: Originals = {}

    def collect(self, app: Sphinx, env: BuildEnvironment) -> None:
        """Gather the whole book and warn about everything that is wrong with it."""
        root = Path(app.srcdir)
        tags_file = root / app.config.book_tags
        tags, faults = read_tags(tags_file)
        for fault in faults:
            logger.warning("%s", fault, location=str(tags_file))
        statements, stray = collect_statements(env)
        self.book = Book(statements, _notebooks(env), tags, stray)
        self.originals = {}
        last_run = max((n.stamp["date"] for n in self.book.notebooks if n.stamp), default="")
        self.source = read_source(root / "CITATION.cff", app.config.book_address, last_run)
        for problem in problems(self.book):
            logger.warning("%s", problem.message, location=problem.page or str(tags_file))

    def fill(self, app: Sphinx, doctree: nodes.document, page: str) -> None:
        """Replace every computed place of one page, and put a footer under each statement."""
        link = self._linker(app, page)
        for node in list(doctree.findall(is_statement)):
            node += _html(fragments.footer(self.book, node["label"], self.source, link))
        for mark in list(doctree.findall(check_mark)):
            record = self.book.records.get(reference(mark))
            mark.replace_self(_html(fragments.check_chip(record, link)) if record else [])
        fill_table(doctree, self.book, link)
        for place in list(doctree.findall(computed)):
            place.replace_self(self._computed(app, place, page))

    def tag_pages(self, app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yield a page for each tag, at an address that never changes."""
        for label, tag in self.book.tags.items():
            if label not in self.book.statements:
                continue
            page = f"tag/{tag}"
            statement = self.book.statements[label]
            content = nodes.compound()
            content += self._neighbours(app, label, page)
            content += self._whole(app, label, page)
            body = app.builder.render_partial(content)["fragment"]
            title = f"Tag {tag}: {statement.title or statement.name}"
            yield page, {"title": title, "body": f"<h1>Tag {tag}</h1>{body}"}, "page.html"

    def write_json(self, app: Sphinx, failure: Exception | None) -> None:
        """Write `ledger.json` beside the pages: every verdict, for programs and for tests."""
        if failure is None and app.builder.format == "html":
            target = Path(app.outdir) / "ledger.json"
            content = json.dumps(as_json(self.book, self.source), indent=1, ensure_ascii=False)
            target.write_text(content + "\n", encoding="utf-8")

    def _computed(self, app: Sphinx, place: computed, page: str) -> list[nodes.Node]:
        book, link = self.book, self._linker(app, page)
        match place["what"]:
            case "ledger":
                html = fragments.ledger_table(book, link)
            case "graph":
                if cycle(dependency_graph(book.uses)):
                    return []  # already a warning: a circle has no layers to draw
                svg = graph_svg(book, lambda label: link(book.statements[label].page, label))
                html = f'<div class="ledger-scroll" tabindex="0">{svg}</div>{fragments.legend()}'
            case "strip":
                html = fragments.strip(book)
            case "provenance":
                stamps = {notebook.page: notebook.stamp for notebook in book.notebooks}
                html = fragments.provenance(stamps.get(page))
            case "softening":
                html = f'<div class="ledger-scroll" tabindex="0">{softening_svg()}</div>'
            case "citebook":
                html = citation_html(self.source)
            case _:
                return self._embedded(app, place["argument"], page)
        return [_html(html)]

    def _embedded(self, app: Sphinx, label: str, page: str) -> list[nodes.Node]:
        if label not in self.book.statements:
            logger.warning("{statement}: unknown label %r", label, location=page)
            return []
        return self._whole(app, label, page)

    def _whole(self, app: Sphinx, label: str, page: str) -> list[nodes.Node]:
        """Return a statement of another page with its footer, proofs and evidence."""
        book, link = self.book, self._linker(app, page)
        self.originals = self.originals or read_originals(app)
        body, proofs = statement_parts(app, self.originals[label], page)
        head = f'<p class="ledger-head">{fragments.statement_link(book, label, link)}</p>'
        foot = fragments.footer(book, label, self.source, link, anchor=False)
        box = nodes.container(classes=["ledger-statement"])
        box += [_html(head), *body, _html(foot)]
        table = fragments.evidence_table(book.evidence(label), link)
        return [box, *proofs, _html(f'<p class="ledger-head">Evidence</p>{table}')]

    def _neighbours(self, app: Sphinx, label: str, page: str) -> nodes.raw:
        book, link = self.book, self._linker(app, page)

        def listed(labels: list[str]) -> str:
            links = ", ".join(fragments.statement_link(book, other, link) for other in labels)
            return links or "nothing"

        where = app.env.titles[book.statements[label].page].astext()
        address = link(book.statements[label].page, label)
        return _html(
            f'<ul><li>It stands in <a href="{address}">{where}</a>.</li>'
            f"<li>Its proof uses: {listed(list(book.uses[label]))}.</li>"
            f"<li>Used by: {listed(book.used_by(label))}.</li></ul>"
        )

    def _linker(self, app: Sphinx, page: str) -> fragments.Link:
        def link(target: str, anchor: str = "") -> str:
            uri = app.builder.get_relative_uri(page, target)
            return f"{uri}#{anchor}" if anchor else uri or "#"

        return link


def as_json(book: Book, source: Source) -> dict[str, Any]:
    """Return the ledger as plain data."""
    return {
        "title": source.title,
        "version": source.version,
        "statements": [
            {
                "tag": book.tags.get(label),
                "label": label,
                "kind": statement.kind,
                "number": statement.number,
                "title": statement.title,
                "page": statement.page,
                "status": book.statuses[label],
                "proof_steps": [len(proof.steps) for proof in statement.proofs],
                "uses": list(book.uses[label]),
                "evidence": [vars(record) for record in book.evidence(label)],
            }
            for label, statement in book.statements.items()
        ],
        "runs": {notebook.page: notebook.stamp for notebook in book.notebooks},
    }


def _notebooks(env: BuildEnvironment) -> list[Notebook]:
    found = []
    for page in pages_in_order(env):
        path = Path(env.doc2path(page))
        if path.suffix == ".ipynb":
            try:
                found.append(read_notebook(path, page))
            except RecordError as error:
                logger.warning("%s", error, location=page)
    return found


def _html(html: str) -> nodes.raw:
    return nodes.raw("", html, format="html")
