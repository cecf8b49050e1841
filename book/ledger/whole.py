"""Copy a statement and its proofs from their own page into another one."""

from __future__ import annotations

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import new_document

from .collect import is_statement
from .directives import proof_block

Originals = dict[str, list[nodes.Element]]  # label to its text and then its proofs


def read_originals(app: Sphinx) -> Originals:
    """Collect the text and the proofs of every statement, and read each page once for it."""
    texts: Originals = {}
    proofs: Originals = {}
    for page in sorted(app.env.found_docs):
        for node in app.env.get_doctree(page).findall(nodes.Element):
            if isinstance(node, proof_block):
                proofs.setdefault(node["of"], []).append(node)
            elif is_statement(node):
                section = next(child for child in node.children if isinstance(child, nodes.section))
                texts[node["label"]] = list(section.children)
    return {label: text + proofs.get(label, []) for label, text in texts.items()}


def statement_parts(
    app: Sphinx, originals: list[nodes.Element], page: str
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Return copies of a statement's text and of its proofs, resolved for another page.

    Parameters
    ----------
    app : Sphinx
    originals : list of nodes
        What `read_originals` found for the statement; it stays unchanged.
    page : str
        The page the copies go to. Their ids are removed: they belong to the original.

    Returns
    -------
    body, proofs : lists of nodes
    """
    document = new_document(page)
    for original in originals:
        document += _without_ids(original.deepcopy(), page)
    app.env.resolve_references(document, page, app.builder)
    proofs = [child for child in document.children if isinstance(child, proof_block)]
    body = [child for child in document.children if not isinstance(child, proof_block)]
    return body, proofs


def _without_ids(node: nodes.Element, page: str) -> nodes.Element:
    for element in node.findall(nodes.Element):
        element["ids"] = []
        if isinstance(element, nodes.math_block):
            # A numbered equation keeps its number on its own page only.
            element["number"] = element["label"] = None
        if isinstance(element, addnodes.pending_xref):
            element["refdoc"] = page
    return node
