"""Copy a statement and its proofs from their own page into another one."""

from __future__ import annotations

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import new_document

from .collect import is_statement
from .directives import proof_block
from .model import Statement


def statement_parts(
    app: Sphinx, statement: Statement, page: str
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Return copies of a statement's text and of its proofs, resolved for another page.

    Parameters
    ----------
    app : Sphinx
    statement : Statement
    page : str
        The page the copies go to. Their ids are removed: they belong to the original.

    Returns
    -------
    body, proofs : lists of nodes
    """
    document = new_document(page)
    for original in _originals(app, statement):
        document += _without_ids(original.deepcopy(), page)
    app.env.resolve_references(document, page, app.builder)
    proofs = [child for child in document.children if isinstance(child, proof_block)]
    body = [child for child in document.children if not isinstance(child, proof_block)]
    return body, proofs


def _originals(app: Sphinx, statement: Statement) -> list[nodes.Element]:
    def belongs(node: nodes.Node) -> bool:
        return isinstance(node, proof_block) and node["of"] == statement.label

    own = app.env.get_doctree(statement.page)
    theorem = next(n for n in own.findall(is_statement) if n["label"] == statement.label)
    section = next(child for child in theorem.children if isinstance(child, nodes.section))
    found = list(section.children)
    for page in sorted(app.env.found_docs):
        doctree = own if page == statement.page else app.env.get_doctree(page)
        found += doctree.findall(belongs)
    return found


def _without_ids(node: nodes.Element, page: str) -> nodes.Element:
    for element in node.findall(nodes.Element):
        element["ids"] = []
        if isinstance(element, nodes.math_block):
            # A numbered equation keeps its number on its own page only.
            element["number"] = element["label"] = None
        if isinstance(element, addnodes.pending_xref):
            element["refdoc"] = page
    return node
