"""Every published notebook is the record of its text and of the code as they are now."""

import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest
import rerun
import stamps
import yaml
from nbclient.exceptions import CellExecutionError
from nbval.plugin import get_sanitize_patterns
from verify import chapters, verify

from kdlib import run

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = chapters(ROOT)
EVIDENCE = "application/vnd.kdlib.evidence+json"
SANITIZE = get_sanitize_patterns((ROOT / "book/sanitize.cfg").read_text())


def read_pair(name: str, root: Path = ROOT):
    for suffix in (".md", ".ipynb"):
        file = root / "notebooks" / (name + suffix)
        assert file.is_file(), f"{name}: {file.name} is missing; run `make rerun CHAPTER={name}`"
    notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
    return notebook, jupytext.read(root / "notebooks" / f"{name}.md", fmt="md:myst")


def test_there_are_chapters():
    assert CHAPTERS, "there is no chapter: notebooks/ holds no NN_name.md"


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_record_holds(name):
    problems = verify(name, *read_pair(name), ROOT)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_record_is_the_default_profile_and_seed(name):
    found = read_pair(name)[0].metadata.kdlib
    advice = f"{name}: run `make rerun CHAPTER={name}`"
    assert (found["profile"], found["seed"]) == ("default", run.SEED), advice


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_text_opens_in_jupyter_as_this_pair(name):
    text = (ROOT / "notebooks" / f"{name}.md").read_text()
    header = yaml.safe_load(text.split("---\n", 2)[1])
    representation = header["jupytext"]["text_representation"]
    assert header["jupytext"]["formats"] == "ipynb,md:myst", name
    assert (representation["extension"], representation["format_name"]) == (".md", "myst"), name
    assert header["kernelspec"] == rerun.KERNELSPEC, name


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_mask_touches_a_verdict(name):
    for cell in read_pair(name)[0].cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for mime in data if EVIDENCE in data else ():
                for pattern, _ in SANITIZE:
                    found = re.search(pattern, str(data[mime]))
                    assert not found, f"{name}: {pattern} masks {found[0]!r} of a verdict"


@pytest.mark.parametrize(
    "text, masked",
    [
        ("<function f at 0x7f3a5c0d1e50>", "<function f at ADDRESS>"),
        ("/tmp/ipykernel_81/3924.py:1: Warning", "CELL:1: Warning"),
        ("took 12.3 s on one core", "took TIME on one core"),
        ("0x10 boxes, T = 3.5 s, gap 1.2e-3", "0x10 boxes, T = 3.5 s, gap 1.2e-3"),
    ],
)
def test_masks_hide_what_they_say_and_no_more(text, masked):
    for pattern, replacement in SANITIZE:
        text = re.sub(pattern, replacement, text)
    assert text == masked


# A small pair, executed for real, of which every altered copy must be refused.

MINI = """---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
:tags: [hide-input]

import sys

sys.path.insert(0, "..")
from kdlib import operators

print(operators.double(3))
```

```{code-cell} ipython3
print("a progress bar", file=sys.stderr)
2 + 2
```

```{code-cell} ipython3
print(operators.double(3))
```

```{provenance}
```
"""
NAME = "01_mini"


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    for folder in ("notebooks", "kdlib"):
        (root / folder).mkdir()
    (root / "kdlib/__init__.py").touch()
    (root / "kdlib/operators.py").write_text("def double(x):\n    return 2 * x\n")
    (root / "kdlib/unused.py").touch()
    (root / f"notebooks/{NAME}.md").write_text(MINI)
    rerun.rerun(NAME, root)
    return root


@pytest.fixture
def book(mini, tmp_path):
    return shutil.copytree(mini, tmp_path / "book")


def test_a_fresh_record_holds_and_says_what_it_ran(mini):
    notebook, text = read_pair(NAME, mini)
    assert verify(NAME, notebook, text, mini) == []
    found = notebook.metadata.kdlib
    assert found.keys() == stamps.STAMP_KEYS
    assert sorted(found.modules) == ["kdlib/__init__.py", "kdlib/operators.py"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [output.output_type for output in code[1].outputs] == ["execute_result"]
    assert code[0].outputs[0].text == "6\n"


def test_a_second_run_stores_the_same_but_for_the_time(mini, book):
    rerun.rerun(NAME, book)
    first, second = read_pair(NAME, mini)[0], read_pair(NAME, book)[0]
    for notebook in (first, second):
        for key in ("wall_seconds", "date", "commit"):
            notebook.metadata.kdlib.pop(key)
    assert first == second


def edit_text(old, new):
    def edit(book):
        file = book / f"notebooks/{NAME}.md"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))

    return edit


def edit_record(change):
    def edit(book):
        file = book / f"notebooks/{NAME}.ipynb"
        notebook = nbformat.read(file, as_version=4)
        change(notebook)
        nbformat.write(notebook, file)

    return edit


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def swap_counts(notebook):
    first, second, _ = code_cells(notebook)
    first.execution_count, second.execution_count = 2, 1


def edit_both(book):
    edit_text("2 + 2", "2 + 3")(book)
    second = 'print("a progress bar", file=sys.stderr)\n2 + 3'
    edit_record(lambda notebook: code_cells(notebook)[1].update(source=second))(book)


STDERR = nbformat.v4.new_output("stream", name="stderr", text="50 %")
ERROR = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])

ALTERATIONS = {
    "one character of a code cell": (edit_text("double(3)", "double(4)"), "its source"),
    "one character of the prose": (edit_text("# A chapter", "# a chapter"), "its source"),
    "a tag": (edit_text("hide-input", "hide-output"), "its metadata"),
    "a cell more": (edit_text("```{prov", "+++\n\nMore.\n\n+++\n\n```{prov"), "cells and the"),
    "both halves alike": (edit_both, "not the source that the provenance stamp records"),
    "the code": (
        lambda book: (book / "kdlib/operators.py").write_text("def double(x): return -2 * x"),
        "kdlib/operators.py changed",
    ),
    "the code removed": (lambda book: (book / "kdlib/operators.py").unlink(), "is gone"),
    "the order of execution": (edit_record(swap_counts), "has execution count 2 where 1"),
    "a cell never run": (
        edit_record(lambda n: code_cells(n)[2].update(execution_count=None)),
        "has execution count None where 3",
    ),
    "a stored error": (edit_record(lambda n: code_cells(n)[2].update(outputs=[ERROR])), "an error"),
    "stored stderr": (edit_record(lambda n: code_cells(n)[2].update(outputs=[STDERR])), "stderr"),
    "no stamp": (edit_record(lambda n: n.metadata.pop("kdlib")), "no provenance stamp"),
    "part of a stamp": (edit_record(lambda n: n.metadata.kdlib.pop("seed")), "lacks seed"),
    "no provenance at the end": (
        edit_text("```{provenance}\n```\n", "The end.\n"),
        "its source",
    ),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_record_is_refused_by_name(book, alteration):
    edit, expected = ALTERATIONS[alteration]
    edit(book)
    problems = verify(NAME, *read_pair(NAME, book), book)
    assert any(expected in problem for problem in problems), problems
    for problem in problems:
        assert problem.startswith(NAME) and f"make rerun CHAPTER={NAME}" in problem


def test_an_edit_to_code_that_the_chapter_does_not_import_is_no_problem(book):
    (book / "kdlib/unused.py").write_text("x = 1\n")
    assert verify(NAME, *read_pair(NAME, book), book) == []


def test_a_chapter_without_its_provenance_is_not_stored(book):
    edit_text("```{provenance}\n```\n", "The end.\n")(book)
    before = (book / f"notebooks/{NAME}.ipynb").read_bytes()
    with pytest.raises(ValueError, match=r"does not hold the directive ```\{provenance\}"):
        rerun.rerun(NAME, book)
    assert (book / f"notebooks/{NAME}.ipynb").read_bytes() == before


def test_a_failing_cell_stops_and_leaves_the_stored_notebook(book):
    edit_text("2 + 2", "raise KeyError('stop here')")(book)
    before = (book / f"notebooks/{NAME}.ipynb").read_bytes()
    with pytest.raises(CellExecutionError, match="stop here"):
        rerun.rerun(NAME, book)
    assert (book / f"notebooks/{NAME}.ipynb").read_bytes() == before
    assert not list((book / "notebooks").glob("*.part"))


def test_another_profile_does_not_touch_the_published_record(book, monkeypatch):
    monkeypatch.setenv("KDLIB_PROFILE", "large")
    before = (book / f"notebooks/{NAME}.ipynb").read_bytes()
    written = rerun.rerun(NAME, book)
    assert written == book / f"_build/large/{NAME}.ipynb"
    assert nbformat.read(written, as_version=4).metadata.kdlib.profile == "large"
    assert (book / f"notebooks/{NAME}.ipynb").read_bytes() == before
