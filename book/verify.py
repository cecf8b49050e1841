"""Whether a published chapter is still the record of its text and of the code as they are now."""

from __future__ import annotations

from pathlib import Path

from stamps import STAMP_KEYS, Notebook, cell_source, file_digest, source_digest


def chapters(root: Path) -> list[str]:
    """Return the names of the chapters in ``root/notebooks``, e.g. ``01_softening_a_teacher``."""
    names = (root / "notebooks").glob("[0-9][0-9]_*")
    return sorted({path.stem for path in names if path.suffix in (".md", ".ipynb")})


def verify(chapter: str, notebook: Notebook, text: Notebook, root: Path) -> list[str]:
    """Say where a published notebook is not the record of its text and of the code as they are.

    Parameters
    ----------
    chapter
        Name of the chapter, used in the messages.
    notebook
        The executed notebook, from the ``.ipynb`` file.
    text
        The notebook that the ``.md`` file describes.
    root
        Top folder of the repository.

    Returns
    -------
    list of str
        One sentence a problem, each with the chapter and the command to run; empty when all holds.
    """
    problems = [
        *_compare_cells(notebook, text),
        *_check_execution(notebook),
        *_check_stamp(notebook, text, root),
        *_check_ending(notebook),
    ]
    return [f"{chapter}: {problem}; run `make rerun CHAPTER={chapter}`" for problem in problems]


def _compare_cells(notebook: Notebook, text: Notebook) -> list[str]:
    ours = [cell_source(cell) for cell in notebook["cells"]]
    theirs = [cell_source(cell) for cell in text["cells"]]
    if len(ours) != len(theirs):
        return [f"the .md has {len(theirs)} cells and the .ipynb {len(ours)}"]
    return [
        f"cell {number} differs between the .md and the .ipynb in its {part}"
        for number, (mine, yours) in enumerate(zip(ours, theirs, strict=True), 1)
        for part in mine
        if mine[part] != yours[part]
    ]


def _check_execution(notebook: Notebook) -> list[str]:
    problems = []
    expected = 0
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        expected += 1
        count = cell.get("execution_count")
        if count != expected:
            problems.append(
                f"cell {number} has execution count {count} where {expected} follows, "
                "so the cells were not run once each from top to bottom"
            )
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                problems.append(f"cell {number} stores an error ({output.get('ename')})")
            if output["output_type"] == "stream" and output["name"] == "stderr":
                problems.append(f"cell {number} stores what it wrote to stderr")
    return problems


def _check_stamp(notebook: Notebook, text: Notebook, root: Path) -> list[str]:
    found = notebook["metadata"].get("kdlib")
    if found is None:
        return ["the .ipynb has no provenance stamp"]
    if missing := sorted(STAMP_KEYS - found.keys()):
        return [f"the provenance stamp lacks {', '.join(missing)}"]
    problems = [
        f"the {suffix} is not the source that the provenance stamp records"
        for suffix, book in ((".ipynb", notebook), (".md", text))
        if source_digest(book) != found["source"]
    ]
    for name, digest in found["modules"].items():
        if not (root / name).is_file():
            problems.append(f"{name}, which the chapter imported, is gone")
        elif file_digest(root / name) != digest:
            problems.append(f"{name} changed since the chapter was run")
    return problems


def _check_ending(notebook: Notebook) -> list[str]:
    prose = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    if not prose or "```{provenance}" not in prose[-1]:
        return ["the last Markdown cell does not hold the directive ```{provenance}"]
    return []
