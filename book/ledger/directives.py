"""What authors write: `{prf:proof}`, `{check}` and the directives that show computed tables.

Everything here only marks a place in the page. What stands there is computed once the whole
book has been read (see `pages`).
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from .model import THEOREM_LIKE

logger = logging.getLogger(__name__)

_EXPLICIT_LABEL = re.compile(r"(?P<check>.+?)\s*<(?P<label>[a-z0-9-]+)>", re.DOTALL)


class proof_block(nodes.General, nodes.Element):
    """A proof: `of` is the statement's label, `ids` holds one id that no other proof has."""


class check_mark(nodes.Inline, nodes.Element):
    """A `{check}` role: `check` and `label` (empty until the enclosing proof is known)."""


class computed(nodes.General, nodes.Element):
    """A place for something computed: `what` names it, `argument` is its argument or ''."""


class ProofDirective(SphinxDirective):
    """`{prf:proof}`: replaces sphinx-proof's, whose proofs share one id and name no theorem."""

    has_content = True
    option_spec = {"of": directives.unchanged_required, "class": directives.class_option}

    def run(self) -> list[nodes.Node]:
        label = self.options.get("of") or self._preceding_statement()
        if label is None:
            raise self.error("a proof needs a theorem before it, or the option :of: label")
        block = proof_block(of=label, classes=["proof-block", *self.options.get("class", [])])
        earlier = self.env.temp_data.setdefault("ledger_proofs", [])
        earlier.append(label)
        count = earlier.count(label)
        block["ids"] = [f"proof-of-{label}" + (f"-{count}" if count > 1 else "")]
        self.set_source_info(block)
        self.state.nested_parse(self.content, self.content_offset, block)
        self._add_heading(block, label)
        return [block]

    def _preceding_statement(self) -> str | None:
        labels = [
            label
            for label, entry in getattr(self.env, "proof_list", {}).items()
            if entry["docname"] == self.env.docname and entry["realtype"] in THEOREM_LIKE
        ]
        return labels[-1] if labels else None

    def _add_heading(self, block: proof_block, label: str) -> None:
        heading = nodes.strong(classes=["proof-heading"])
        if "of" in self.options:
            target = addnodes.pending_xref(
                refdomain="prf",
                reftype="ref",
                reftarget=label,
                refdoc=self.env.docname,
                refexplicit=False,
                refwarn=True,
            )
            # sphinx-proof writes "Theorem 1.2" in place of a text that holds the label.
            target += nodes.inline(label, label)
            heading += [nodes.Text("Proof of "), target, nodes.Text(".")]
        else:
            heading += nodes.Text("Proof.")
        if not block.children or not isinstance(block.children[0], nodes.paragraph):
            block.insert(0, nodes.paragraph())
        block.children[0].insert(0, [heading, nodes.Text(" ")])


class CheckRole(SphinxRole):
    """`{check}`: points from a proof step at the evidence that supports it."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        explicit = _EXPLICIT_LABEL.fullmatch(self.text)
        parts = explicit.groupdict() if explicit else {"check": self.text, "label": ""}
        mark = check_mark(check=" ".join(parts["check"].split()), label=parts["label"])
        self.set_source_info(mark)
        return [mark], []


class ComputedDirective(SphinxDirective):
    """The directives without argument: `{ledger}`, `{graph}`, `{strip}` and so on."""

    def run(self) -> list[nodes.Node]:
        return [computed(what=self.name, argument=" ".join(self.arguments))]


class StatementDirective(ComputedDirective):
    """`{statement} label`: shows a statement of another page whole."""

    required_arguments = 1


COMPUTED: dict[str, type[ComputedDirective]] = {
    "ledger": ComputedDirective,
    "graph": ComputedDirective,
    "strip": ComputedDirective,
    "provenance": ComputedDirective,
    "softening": ComputedDirective,
    "citebook": ComputedDirective,
    "statement": StatementDirective,
}


def visit_proof(translator: Any, node: proof_block) -> None:
    """Open a proof as a plain block; the style sheet draws its rule and its end mark."""
    translator.body.append(translator.starttag(node, "div"))


def depart_proof(translator: Any, node: proof_block) -> None:
    """Close a proof."""
    translator.body.append("</div>\n")


def ignore(translator: Any, node: nodes.Element) -> None:
    """Write nothing: these nodes are replaced before a page is written."""
