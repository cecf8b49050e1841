"""The dependency graph as an SVG with links, coloured by classes of the style sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from html import escape

from .graph import dependency_graph, layered_layout
from .model import Book
from .status import STATUSES, settled

BOX = (180, 66)  # width and height of a node, in SVG units
STEP = (196, 106)  # distance between neighbouring columns and rows
MARGIN = 14
LINE = 26  # characters of a title that fit on one line of a node

#: What the fill of a node says, weakest first.
FILLS = {
    "none": "no evidence yet",
    "some": "some evidence, but not for every step and case",
    "full": "every step checked for every case",
    "settled": "the same, and for everything it rests on",
}


def fills(book: Book) -> dict[str, str]:
    """Return for each label the key of `FILLS` that its evidence has earned."""
    dark = settled(book.uses, book.statuses)

    def fill(label: str) -> str:
        if dark[label]:
            return "settled"
        if book.statuses[label] == "checked":
            return "full"
        return "some" if book.evidence(label) else "none"

    return {label: fill(label) for label in book.statements}


def graph_svg(book: Book, link: Callable[[str], str]) -> str:
    """Draw the dependency graph of a book without circular proofs.

    Parameters
    ----------
    book : Book
    link : callable
        Label to the address that a click on its node opens.

    Returns
    -------
    str
        An `<svg>` element. Border class = status, fill class = evidence.
    """
    graph = dependency_graph(book.uses)
    layout = layered_layout(graph)
    corners = {
        label: (MARGIN + column * STEP[0], MARGIN + row * STEP[1])
        for label, (column, row) in layout.places.items()
    }
    width = max((x for x, _ in corners.values()), default=0) + BOX[0] + MARGIN
    height = max((y for _, y in corners.values()), default=0) + BOX[1] + MARGIN
    filled = fills(book)
    arrows = "".join(
        _arrow(corners[used], corners[label], number)
        for number, (used, label) in enumerate(graph.edges)
    )
    nodes = "".join(
        _node(book, label, corners[label], filled[label], link(label)) for label in corners
    )
    summary = f"{len(corners)} statements and {graph.number_of_edges()} uses in proofs"
    return (
        f'<svg class="ledger-graph" role="img" aria-label="Dependency graph: {summary}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
        '<defs><marker id="ledger-arrow" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" class="ledger-arrowhead"/></marker></defs>'
        f"{arrows}{nodes}</svg>"
    )


def _arrow(source: tuple[float, float], target: tuple[float, float], number: int) -> str:
    x0, y0 = source[0] + BOX[0] / 2, source[1] + BOX[1]
    x1, y1 = target[0] + BOX[0] / 2, target[1] - 2
    gap = STEP[1] - BOX[1]
    if y1 - y0 <= gap:
        middle = (y0 + y1) / 2
        curve = f"C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1}"
    else:
        # Down the gutter beside the target's column, so that no box in between hides the line;
        # lines that share a gutter stand a little apart.
        side = -1 if x0 < x1 else 1
        gutter = x1 + side * STEP[0] / 2 + 4 * (number % 3 - 1)
        top, bottom = y0 + gap - 2, y1 - gap + 2
        curve = (
            f"C{x0:.1f},{top:.1f} {gutter:.1f},{y0:.1f} {gutter:.1f},{top:.1f} "
            f"V{bottom:.1f} C{gutter:.1f},{y1:.1f} {x1:.1f},{bottom:.1f} {x1:.1f},{y1}"
        )
    path = f"M{x0:.1f},{y0:.1f} {curve}"
    return f'<path class="ledger-edge" marker-end="url(#ledger-arrow)" d="{path}"/>'


def _node(book: Book, label: str, corner: tuple[float, float], fill: str, address: str) -> str:
    statement, status = book.statements[label], book.statuses[label]
    tag = book.tags.get(label, "no tag")
    x, y = corner
    lines = textwrap.wrap(statement.title or label, LINE, max_lines=2, placeholder="…")
    texts = "".join(
        f'<text x="{x + 10:.1f}" y="{y + 39 + 16 * i:.1f}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<a href="{escape(address)}" class="ledger-node ledger-is-{status} ledger-fill-{fill}">'
        f"<title>{escape(statement.name)} ({escape(statement.title)}): {STATUSES[status]}; "
        f"{FILLS[fill]}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
        f'<text class="ledger-node-name" x="{x + 10:.1f}" y="{y + 20:.1f}">'
        f"{escape(statement.name)} · {tag}</text>{texts}</a>"
    )
