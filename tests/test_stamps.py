"""What a record says about itself: profile, device, versions, digests, commit."""

import copy
import subprocess
from pathlib import Path

import pytest
import stamps
from verify import chapters

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": "# Title", "metadata": {}},
        {
            "cell_type": "code",
            "source": "x = 1",
            "metadata": {"tags": ["hide-input"]},
            "execution_count": 1,
            "outputs": [],
        },
    ],
    "metadata": {},
}


def changed(edit):
    book = copy.deepcopy(NOTEBOOK)
    edit(book["cells"])
    return stamps.source_digest(book)


def test_the_machine_and_the_versions_are_named():
    assert stamps.processor()
    assert stamps.cores() >= 1
    found = stamps.versions()
    assert found["python"].startswith("3.")
    assert found["torch"].startswith("2.")


@pytest.mark.parametrize(
    "edit",
    [
        lambda cells: cells[0].update(source="# Titles"),
        lambda cells: cells[1].update(source="x = 1 "),
        lambda cells: cells[1].update(metadata={}),
        lambda cells: cells[1].update(cell_type="raw"),
        lambda cells: cells.reverse(),
        lambda cells: cells.pop(),
        lambda cells: cells.append(cells[0]),
    ],
)
def test_the_source_digest_sees_every_edit(edit):
    assert changed(edit) != stamps.source_digest(NOTEBOOK)


@pytest.mark.parametrize(
    "edit",
    [
        lambda cells: cells[1].update(execution_count=7, id="abc"),
        lambda cells: cells[1].update(outputs=[{"output_type": "stream"}]),
        lambda cells: cells[1]["metadata"].update(execution={"start": "now"}, collapsed=True),
        lambda cells: cells[0]["metadata"].update(tags=[]),
    ],
)
def test_the_source_digest_ignores_what_running_and_editors_add(edit):
    assert changed(edit) == stamps.source_digest(NOTEBOOK)


def test_only_files_of_the_repository_are_recorded(tmp_path):
    imported = {
        "kdlib": str(tmp_path / "kdlib/__init__.py"),
        "kdlib.operators": str(tmp_path / "kdlib/operators.py"),
        "torch": str(tmp_path / ".venv/lib/python3.11/site-packages/torch/__init__.py"),
        "json": "/usr/lib/python3.11/json/__init__.py",
    }
    found = stamps.repository_files(imported, tmp_path)
    assert found == ["kdlib/__init__.py", "kdlib/operators.py"]


def test_a_kdlib_from_elsewhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match="kdlib.operators was imported from /elsewhere"):
        stamps.repository_files({"kdlib.operators": "/elsewhere/operators.py"}, tmp_path)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def test_commit_marks_a_changed_tree_and_needs_the_top_of_a_repository(tmp_path):
    assert stamps.commit(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert stamps.commit(tmp_path) is None
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/file").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    clean = stamps.commit(tmp_path)
    assert clean is not None and not clean.endswith("+")
    (tmp_path / "inside/file").write_text("two")
    assert stamps.commit(tmp_path) == clean + "+"
    assert stamps.commit(tmp_path / "inside") is None


def test_chapters_are_found_from_either_half_of_the_pair(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for file in ("01_a.md", "01_a.ipynb", "02_b.md", "03_c.ipynb", "notes.md", "04_d.txt"):
        (tmp_path / "notebooks" / file).touch()
    assert chapters(tmp_path) == ["01_a", "02_b", "03_c"]
