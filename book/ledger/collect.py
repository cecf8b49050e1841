"""Read the statements and proofs out of the parsed pages."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from docutils import nodes
from sphinx import addnodes
from sphinx.environment import BuildEnvironment

from .directives import check_mark, proof_block
from .model import THEOREM_LIKE, CheckReference, Proof, Statement


def is_statement(node: nodes.Node) -> bool:
    """Whether a node is a theorem-like statement of sphinx-proof."""
    return isinstance(node, nodes.Element) and node.get("realtype") in THEOREM_LIKE


def collect_statements(
    env: BuildEnvironment,
) -> tuple[dict[str, Statement], list[tuple[str, CheckReference]]]:
    """Collect every theorem-like statement with its proofs.

    Returns
    -------
    statements : dict
        Label to statement, in the order of the table of contents.
    stray_checks : list
        (page, reference) of each `{check}` that stands outside a proof's steps.
    """
    found: dict[str, Statement] = {}
    proofs: dict[str, list[Proof]] = {}
    stray: list[tuple[str, CheckReference]] = []
    for page in pages_in_order(env):
        doctree = env.get_doctree(page)
        for node in doctree.findall(is_statement):
            found[node["label"]] = _statement(env, page, node)
        for block in doctree.findall(proof_block):
            proofs.setdefault(block["of"], []).append(_proof(block))
        in_steps = [
            id(mark)
            for block in doctree.findall(proof_block)
            for step in proof_steps(block)
            for mark in step.findall(check_mark)
        ]
        stray += [
            (page, reference(mark))
            for mark in doctree.findall(check_mark)
            if id(mark) not in in_steps
        ]
    complete = {
        label: Statement(**{**vars(s), "proofs": tuple(proofs.get(label, ()))})
        for label, s in found.items()
    }
    return complete, stray


def pages_in_order(env: BuildEnvironment) -> list[str]:
    """Return every page: first those of the table of contents in its order, then the rest."""
    root = env.config.root_doc
    order = [root]
    for page in order:
        order += [p for p in env.toctree_includes.get(page, ()) if p not in order]
    # The list grows breadth first, which is reading order for a book of one level of chapters.
    return [p for p in order if p in env.found_docs] + sorted(env.found_docs - set(order))


def reference(mark: check_mark) -> CheckReference:
    """Return what a `{check}` points at, taking the label of the enclosing proof by default."""
    label = mark["label"]
    node = mark.parent
    while not label and node is not None:
        if isinstance(node, proof_block):
            label = node["of"]
        node = node.parent
    return CheckReference(label, mark["check"])


def proof_steps(block: proof_block) -> list[nodes.list_item]:
    """Return the steps of a proof: the items of its top-level numbered lists."""
    return [
        item
        for child in block.children
        if isinstance(child, nodes.enumerated_list)
        for item in child.children
        if isinstance(item, nodes.list_item)
    ]


def _proof(block: proof_block) -> Proof:
    return Proof(
        anchor=block["ids"][0],
        steps=tuple(
            tuple(reference(mark) for mark in step.findall(check_mark))
            for step in proof_steps(block)
        ),
        references=tuple(dict.fromkeys(_targets(block))),
    )


def _targets(block: proof_block) -> Iterator[str]:
    for xref in block.findall(addnodes.pending_xref):
        if xref.get("refdomain") in ("prf", None, ""):
            yield xref["reftarget"]


def _statement(env: BuildEnvironment, page: str, node: nodes.Element) -> Statement:
    label = node["label"]
    numbers = env.toc_fignumbers.get(page, {}).get(node["countertype"], {}).get(label, ())
    title = next(node.findall(nodes.title), None)
    children = list(title.children) if title is not None else []
    return Statement(
        label=label,
        kind=node["realtype"],
        title=_strip("".join(child.astext() for child in children)),
        title_html=_strip("".join(map(_title_html, children))),
        number=".".join(map(str, numbers)),
        page=page,
    )


def _strip(title: str) -> str:
    """Remove the brackets that sphinx-proof's title format puts around a title."""
    return title.strip().removeprefix("(").removesuffix(")")


def _title_html(node: nodes.Node) -> str:
    if isinstance(node, nodes.math):
        return rf'<span class="math notranslate nohighlight">\({escape(node.astext())}\)</span>'
    return escape(node.astext())
