"""Fixtures for the tests of the built book."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def build_book(source: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """Build the book in `source` with warnings as errors; the pages go to `output/_build/html`."""
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(source),
        "--all",
        "--warningiserror",
        "--keep-going",
        "--path-output",
        str(output),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build this repository's book once and return the folder of its pages.

    Workers of one parallel run share the build: the first to take the lock builds.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    output = shared / "book"
    pages = output / "_build" / "html"
    with (shared / "book.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (pages / "ledger.json").exists():
            built = build_book(ROOT, output)
            if built.returncode:
                pytest.fail(f"the book does not build:\n{built.stdout}\n{built.stderr}")
    return pages
