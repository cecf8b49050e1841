"""How to cite the book or one statement of it, from CITATION.cff and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import yaml

from .model import Statement


@dataclass(frozen=True)
class Source:
    """What every citation shares. `address` is empty until the book has one, `year` if unknown."""

    title: str
    author: str
    version: str
    year: str
    address: str = ""


def read_source(path: Path, address: str, last_run: str = "") -> Source:
    """Read title, author, version and year from a CITATION.cff file.

    Parameters
    ----------
    path : Path
    address : str
        The book's address, or "".
    last_run : str
        Date of the last run; it gives the year while the file has no `date-released`.

    Raises
    ------
    KeyError
        If the file lacks `title`, `authors` or `version`.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Source(
        title=content["title"],
        author=content["authors"][0]["name"],
        version=str(content["version"]),
        year=str(content.get("date-released", last_run))[:4],
        address=address,
    )


def bibtex(source: Source, statement: Statement | None = None, tag: str = "") -> str:
    """Return a BibTeX entry for the book, or for one statement with its tag."""
    key = f"sparse-distillation-{tag}" if statement else "sparse-distillation"
    # Titles hold commas and formulas: the second pair of braces keeps BibTeX from changing them.
    fields = {"author": f"{{{source.author}}}", "title": f"{{{source.title}}}"}
    note = f"Version {source.version}"
    if statement:
        note = f"{statement.title or statement.label}, tag {tag}, version {source.version}"
    if source.year:
        fields["year"] = source.year
    fields["note"] = f"{{{note}}}"
    if source.address:
        fields["url"] = source.address
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{key},\n{lines}}}"


def plain(source: Source, statement: Statement | None = None, tag: str = "") -> str:
    """Return the same citation as one sentence."""
    what = f"“{statement.title or statement.label}”, tag {tag} in " if statement else ""
    where = f" {source.address}" if source.address else ""
    year = f" ({source.year})" if source.year else ""
    return f"{source.author}{year}. {what}{source.title}, version {source.version}.{where}"


def citation_html(source: Source, statement: Statement | None = None, tag: str = "") -> str:
    """Return both forms as HTML; the BibTeX block gets the theme's copy button."""
    return (
        f'<p class="ledger-plain-citation">{escape(plain(source, statement, tag))}</p>'
        '<div class="highlight notranslate"><pre>'
        f"{escape(bibtex(source, statement, tag))}\n</pre></div>"
    )
