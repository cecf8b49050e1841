"""Execute chapters and store their outputs: ``make rerun [CHAPTER=01_softening_a_teacher]``.

The text ``notebooks/NAME.md`` is the only source. Each chapter runs in a fresh kernel, and its
``.ipynb`` is replaced only when every cell has run; what stops a chapter leaves the old file as it
was. The published record is the default profile's; another profile writes to ``_build/PROFILE/``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
import stamps
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm
from verify import chapters, verify

from kdlib import run

ROOT = Path(__file__).resolve().parents[1]
CELL_TIMEOUT = 1200  # seconds; nbval's --nbval-cell-timeout in the Makefile is the same

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python",
            "pygments_lexer": "ipython3"}  # fmt: skip

# Asked after the last cell and not stored: the file of every module the kernel has loaded.
# Installed packages are left out there already: nbclient takes minutes to merge so long a line.
_IMPORTED = """
import json, sys
files = {n: getattr(m, "__file__", None) for n, m in [*sys.modules.items()]}
print(json.dumps({n: f for n, f in files.items() if f and ("kdlib" in n or "-packages" not in f)}))
"""


def execute(notebook: nbformat.NotebookNode, folder: Path, name: str) -> dict[str, str]:
    """Run the cells of a notebook in a fresh kernel, in order, and keep their outputs in it.

    Parameters
    ----------
    notebook
        Changed in place.
    folder
        Working folder of the kernel.
    name
        Shown beside the progress bar, which goes to stderr.

    Returns
    -------
    dict
        Module name to file, for all that the kernel imported.

    Raises
    ------
    CellExecutionError, CellTimeoutError, DeadKernelError
        When a cell does not run to its end.
    """
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        startup_timeout=180,
        coalesce_streams=True,  # otherwise prints are split wherever a message happened to end
        record_timing=False,
        extra_arguments=["--log-level=40"],  # errors; warnings of the kernel itself are not ours
        force_raise_errors=True,  # a published chapter shows no traceback, tagged or not
        resources={"metadata": {"path": str(folder)}},
    )
    query = nbformat.v4.new_code_cell(_IMPORTED)
    with client.setup_kernel():
        for index, cell in enumerate(tqdm(notebook.cells, desc=name, unit="cell")):
            client.execute_cell(cell, index)
        notebook.cells.append(query)
        client.execute_cell(query, len(notebook.cells) - 1, store_history=False)
    notebook.cells.pop()
    return json.loads(query.outputs[0].text)


def tidy(notebook: nbformat.NotebookNode, name: str) -> None:
    """Leave in an executed notebook only what a second run would store again.

    What cells wrote to stderr (progress bars, warnings) is shown on stderr and dropped. Cell ids
    come from the cells' text, so that an edit changes the ids of the edited cells only.
    """
    seen: Counter[str] = Counter()
    for number, cell in enumerate(notebook.cells, 1):
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                print(f"{name}, cell {number}, stderr:\n{output.text}", file=sys.stderr)
            else:
                kept.append(output)
        cell.outputs = kept
    notebook.metadata = nbformat.from_dict({
        "jupytext": {"formats": "ipynb,md:myst"},
        "kernelspec": KERNELSPEC,
        "language_info": LANGUAGE,
    })  # fmt: skip
    notebook.nbformat, notebook.nbformat_minor = 4, 5


def rerun(name: str, root: Path) -> Path:
    """Execute the chapter ``root/notebooks/name.md`` and store the stamped record.

    Returns
    -------
    Path
        The notebook written.

    Raises
    ------
    ValueError
        When the result is not a valid record, or the chapter's text or a file it imported changed
        meanwhile. The stored notebook is then left as it was.
    """
    folder = root / "notebooks"
    text = folder / f"{name}.md"
    published = run.profile() == "default"
    target = (folder if published else root / "_build" / run.profile()) / f"{name}.ipynb"
    digests = {path: stamps.file_digest(path) for path in _python_files(root)}

    notebook = jupytext.read(text, fmt="md:myst")
    device = run.device_name()
    start = time.perf_counter()
    files = execute(notebook, folder, name)
    seconds = time.perf_counter() - start

    modules = stamps.repository_files(files, root)
    for module in modules:
        if digests.get(root / module) != stamps.file_digest(root / module):
            raise ValueError(f"{module} changed while {name} was running; run it again")
    tidy(notebook, name)
    notebook.metadata["kdlib"] = stamps.stamp(
        notebook, modules=modules, root=root, device=device, wall_seconds=seconds
    )
    problems = verify(name, notebook, jupytext.read(text, fmt="md:myst"), root)
    if problems:
        raise ValueError("\n".join(problems))

    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".ipynb.part")
    nbformat.write(notebook, draft)
    os.replace(draft, target)  # in one step: never half a notebook
    return target


def _python_files(root: Path) -> list[Path]:
    return [path for part in ("kdlib", "notebooks", "book") for path in (root / part).rglob("*.py")]


def main() -> int:
    parser = argparse.ArgumentParser(description="Execute chapters and store their outputs.")
    parser.add_argument(
        "chapter", nargs="*", help="names such as 01_softening_a_teacher; none: all"
    )
    names = parser.parse_args().chapter
    known = chapters(ROOT)
    if not known:
        parser.error(f"there is no chapter NN_name.md in {ROOT / 'notebooks'}")
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no chapter is called {', '.join(unknown)}; there are {', '.join(known)}")
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("run this as `make rerun`, which fixes one thread a kernel as the tests do")
    for name in names or known:
        try:
            target = rerun(name, ROOT)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, ValueError) as error:
            print(f"{error}\n{name} stopped; its stored notebook is unchanged.", file=sys.stderr)
            return 1
        print(f"{name}: wrote {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
