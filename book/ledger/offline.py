"""Serve everything from the build itself, and show outward links only with an address."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

# The parts of MathJax that a page can ask for: the loader with TeX input and HTML output, its
# fonts, TeX packages loaded on demand, and what its menu offers (zoom, speech).
PARTS = (
    "tex-chtml.js",
    "output/chtml",
    "output/chtml.js",
    "input/tex/extensions",
    "a11y",
    "sre",
    "ui",
)


def mathjax_folder() -> Path:
    """Return the MathJax folder that the package sphinx-mathjax-offline installs."""
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None or found.origin is None:
        raise ImportError("MathJax comes from the package sphinx-mathjax-offline: install it")
    return Path(found.origin).parent / "static" / "mathjax"


def copy_mathjax(app: Sphinx) -> None:
    """Copy MathJax into the build, before pages are written."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in PARTS:
        source = mathjax_folder() / part
        if source.is_dir():
            shutil.copytree(source, target / part, dirs_exist_ok=True)
        elif source.is_file():
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / part)


def disconnect_thebe(app: Sphinx, config: Config) -> None:
    """Silence sphinx-thebe, which Jupyter Book always loads.

    It would put the address of another host into every page, and its script twice. Its style
    sheet, which every page links, stays.
    """
    for event in ("env-before-read-docs", "doctree-resolved"):
        for listener in list(app.events.listeners[event]):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)


def configure(app: Sphinx, config: Config) -> None:
    """Point pages at the copied MathJax; switch buttons on if `book_address` is set."""
    config.mathjax_path = "mathjax/tex-chtml.js"
    config.nb_ipywidgets_js = {}
    options = config.html_theme_options
    options["repository_url"] = config.book_address
    options["repository_branch"] = "main"
    options["use_repository_button"] = options["use_issues_button"] = bool(config.book_address)
    options["launch_buttons"] = {}
    if config.book_address:
        options["launch_buttons"] = {
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        }
