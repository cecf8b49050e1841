"""A Sphinx extension that computes the status of every statement from executed checks.

Authors write `{prf:proof}`, `{check}` and a handful of directives; the evidence comes from the
notebooks' recorded outputs, and no verdict is typed by hand. See `book/how-to-read.md`.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from .directives import (
    COMPUTED,
    CheckRole,
    ProofDirective,
    check_mark,
    computed,
    depart_proof,
    ignore,
    proof_block,
    visit_proof,
)
from .offline import configure, copy_mathjax, disconnect_thebe
from .pages import Ledger
from .uniformity import SupportRole, VerdictRole, support_mark, verdict_mark


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.setup_extension("sphinx_proof")
    app.setup_extension("ledger.explorer")
    app.add_config_value("book_address", "", "env", [str])
    app.add_config_value("book_tags", "book/tags.csv", "env", [str])

    app.add_node(proof_block, html=(visit_proof, depart_proof))
    app.add_node(check_mark, html=(ignore, ignore))
    app.add_node(computed, html=(ignore, ignore))
    app.add_directive_to_domain("prf", "proof", ProofDirective, override=True)
    app.add_node(support_mark, html=(ignore, ignore))
    app.add_node(verdict_mark, html=(ignore, ignore))
    app.add_role("check", CheckRole())
    app.add_role("holds", SupportRole())
    app.add_role("fails", SupportRole())
    app.add_role("uniform", VerdictRole())
    for name, directive in COMPUTED.items():
        app.add_directive(name, directive)

    ledger = Ledger()
    app.connect("config-inited", configure)
    app.connect("config-inited", disconnect_thebe)
    app.connect("builder-inited", copy_mathjax)
    app.connect("doctree-read", make_ids_unique)
    app.connect("env-updated", rewrite_all)
    app.connect("env-check-consistency", ledger.collect)
    app.connect("doctree-resolved", ledger.fill)
    app.connect("html-collect-pages", ledger.tag_pages)
    app.connect("build-finished", ledger.write_json)
    # Tag pages and embedded statements hold math that Sphinx does not see.
    app.set_html_assets_policy("always")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def make_ids_unique(app: Sphinx, doctree: nodes.document) -> None:
    """Number the bodies of statements, exercises and solutions, which share one id per kind."""
    shared = {"proof-content", "exercise-content", "solution-content"}
    for number, section in enumerate(doctree.findall(nodes.section)):
        if len(section["ids"]) == 1 and section["ids"][0] in shared:
            section["ids"] = [f"{section['ids'][0]}-{number}"]


def rewrite_all(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Ask for every page to be written again: one new record can change any of them."""
    return sorted(env.found_docs)
