"""The directive `{explorer}`: the interactive triangle, with a picture and a table without it.

The controls stand in `explorer.html`, what they do in `book/_static/explorer`. Without
JavaScript a reader sees the picture and the table made here, from kdlib's own operators.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 0.5  # of the Tsallis operator in the picture and the table
#: Name in the scripts, and the reader's name of each operator.
OPERATORS = {
    "escort": "escort",
    "tsallis": "Tsallis",
    "burg": "Burg",
    "glue": "glue",
    "layerCake": "layer-cake",
    "matchedEscort": "entropy-matched escort",
    "mixing": "mixing (leaves the triangle)",
    "gini": "Gini (sparsemax)",
}
SCRIPTS = ("explorer/operators.js", "explorer/explorer.js")
STYLE = "explorer/explorer.css"
EXAMPLE = (1 / 2, 1 / 3, 1 / 6)
TEMPERATURES = (0.25, 0.5, 2.0, 4.0)

SIDE, LEFT, TOP = 352.0, 24.0, 34.0  # of the triangle in SVG units; label 1 is its upper corner
HEIGHT = SIDE * math.sqrt(3) / 2
PICTURE = (640, 372)


def example(name: str, temperature: float) -> list[float] | None:
    """Soften the example with kdlib.

    Parameters
    ----------
    name : str
        A key of `OPERATORS`.
    temperature : float
        T > 0.

    Returns
    -------
    list of float or None
        Three probabilities; None where mixing has no point inside the triangle.
    """
    if name == "mixing" and temperature <= exit_temperature():
        return None
    return _softened(name, [temperature])[0]


def _softened(name: str, temperatures: list[float]) -> list[list[float]]:
    import torch  # here, because only the page with the explorer needs it

    from kdlib import operators, outside_class

    softeners = {
        "escort": operators.escort,
        "tsallis": lambda x, t: operators.tsallis(x, t, ORDER),
        "burg": operators.burg,
        "glue": operators.glue,
        "layerCake": operators.layer_cake,
        "matchedEscort": operators.matched_escort,
        "mixing": outside_class.mixing,
        "gini": outside_class.gini,
    }
    log_probs: Tensor = torch.tensor(EXAMPLE, dtype=torch.float64).log()
    column: Tensor = torch.tensor(temperatures, dtype=torch.float64).unsqueeze(-1)
    return softeners[name](log_probs, column).exp().tolist()


def exit_temperature() -> float:
    """Temperature at which mixing takes the example out of the triangle, to twelve digits."""
    return round(1 - len(EXAMPLE) * min(EXAMPLE), 12)


def place(q: list[float] | tuple[float, ...]) -> tuple[float, float]:
    """Return where a distribution on three labels stands in the drawing, in SVG units."""
    return LEFT + SIDE * (q[0] / 2 + q[2]), TOP + HEIGHT * (1 - q[0])


def picture() -> str:
    """Draw the orbit of the example under each operator, as an SVG with a legend."""
    corners = [place(corner) for corner in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    outline = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in corners) + "Z"
    parts = [
        f'<path class="explorer-frame" d="{outline}"/>',
        f'<text x="{corners[0][0]:.1f}" y="{TOP - 10:.0f}" text-anchor="middle">label 1</text>',
        f'<text x="{LEFT:.0f}" y="{TOP + HEIGHT + 22:.0f}">label 2</text>',
        f'<text x="{LEFT + SIDE:.0f}" y="{TOP + HEIGHT + 22:.0f}" text-anchor="end">label 3</text>',
    ]
    for row, name in enumerate(OPERATORS):
        points = "L".join(f"{x:.2f},{y:.2f}" for x, y in _orbit(name))
        y = TOP + 10 + 26 * row
        parts.append(
            f'<g class="explorer-orbit-{row}"><path d="M{points}"/>'
            f'<path d="M388,{y - 5:.0f}h36"/><text x="432" y="{y:.0f}">{_told(name)}</text></g>'
        )
    x, y = place(EXAMPLE)
    parts.append(f'<circle class="explorer-teacher" cx="{x:.2f}" cy="{y:.2f}" r="6"/>')
    alt = (
        "Triangle of the distributions on three labels. From a ring at p = (1/2, 1/3, 1/6) each of "
        "eight operators draws a curve: towards the centre for growing temperature, and towards "
        "the corner of label 1 for falling temperature. Mixing and Gini run straight; mixing ends "
        "on the side of the triangle. The others bend apart, layer-cake the most."
    )
    return (
        f'<svg class="explorer-picture" role="img" aria-label="{escape(alt)}" '
        f'viewBox="0 0 {PICTURE[0]} {PICTURE[1]}">{"".join(parts)}</svg>'
    )


def _told(name: str) -> str:
    return OPERATORS[name] + (f", s = {ORDER:g}" if name == "tsallis" else "")


def _orbit(name: str) -> Iterator[tuple[float, float]]:
    low, steps = 2.0**-10, 20 * 8
    if name == "mixing":
        low = exit_temperature() * (1 + 1e-9)
    heats = [low * (2.0**10 / low) ** (k / steps) for k in range(steps + 1)]
    return map(place, _softened(name, heats))


def table() -> str:
    """Return the values of every operator at the example, at four temperatures, as HTML."""
    rows = []
    for name in OPERATORS:
        for temperature in TEMPERATURES:
            q = example(name, temperature)
            if q is None:
                cells = f'<td colspan="5">no point inside: exit at T = {exit_temperature():g}</td>'
            else:
                values = [*q, -sum(x * math.log(x) for x in q if x > 0), max(q)]
                cells = "".join(f"<td>{abs(value):.7f}</td>" for value in values)
            rows.append(
                f'<tr data-operator="{name}" data-temperature="{temperature:g}">'
                f'<th scope="row">{_told(name)}</th><td>{temperature:g}</td>{cells}</tr>'
            )
    heads = ("Operator", "T", "Label 1", "Label 2", "Label 3", "Entropy", "Top")
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        '<div class="ledger-scroll" tabindex="0"><table class="ledger-table explorer-table">'
        "<caption>p = (1/2, 1/3, 1/6), softened; entropy in nats</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def explorer_html() -> str:
    """Return the explorer: its controls, hidden, and what stands there until a script runs."""

    def options(chosen: str) -> str:
        return "".join(
            f'<option value="{name}"{" selected" if name == chosen else ""}>{told}</option>'
            for name, told in OPERATORS.items()
        )

    fallback = (
        '<p class="explorer-note">With JavaScript, this place is interactive. Here is one teacher, '
        f'p = (1/2, 1/3, 1/6).</p><div class="ledger-scroll" tabindex="0">{picture()}</div>'
        + table()
    )
    template = Path(__file__).with_name("explorer.html").read_text(encoding="utf-8")
    return template.format(
        fallback=fallback, options_a=options("escort"), options_b=options("burg")
    )


class explorer_place(nodes.General, nodes.Element):
    """The place of the explorer in a page."""


class ExplorerDirective(SphinxDirective):
    """`{explorer}`: the interactive triangle."""

    def run(self) -> list[nodes.Node]:
        return [explorer_place()]


def visit_explorer(translator: Any, node: explorer_place) -> None:
    """Write the explorer into the page."""
    translator.body.append(explorer_html())


def depart_explorer(translator: Any, node: explorer_place) -> None:
    """Nothing is left open."""


def load_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let the page with the explorer, and no other, load its scripts and its style sheet."""
    if doctree is None or not any(doctree.findall(explorer_place)):
        return
    for script in SCRIPTS:
        # Classic scripts also run from a file:// address, where modules are refused.
        app.add_js_file(script, loading_method="defer")
    app.add_css_file(STYLE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive with Sphinx."""
    app.add_node(explorer_place, html=(visit_explorer, depart_explorer))
    app.add_directive("explorer", ExplorerDirective)
    app.connect("html-page-context", load_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
