"""Executes one notebook in its own directory, and writes the outputs into it:

    PYTHON tests/upstream/run_notebook.py NOTEBOOK [CELL...]

A cell may fail if it failed when upstream stored the notebook, or if its
number is given; no other.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

CELL_SECONDS = 90

#: Upstream's notebooks are written for people, who need a moment before they
#: look at what an earlier cell has started.
MOMENT = 0.5


def errors(notebook) -> dict[int, str]:
    """Which cells hold an error, and its last words."""
    return {i: f"{out.ename}: {out.evalue}"
            for i, cell in enumerate(notebook.cells)
            for out in cell.get("outputs", ()) if out.output_type == "error"}


def main(path: Path, may_fail: set[int]) -> int:
    notebook = nbformat.read(path, as_version=4)
    may_fail |= errors(notebook).keys()
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3",
        allow_errors=True, resources={"metadata": {"path": str(path.parent)}},
        on_cell_executed=lambda **_: time.sleep(MOMENT))
    client.execute()
    nbformat.write(notebook, path)
    failed = {i: what for i, what in errors(notebook).items()
              if i not in may_fail}
    for i, what in failed.items():
        print(f"cell {i}: {what}\n{notebook.cells[i].source}",
              file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), set(map(int, sys.argv[2:]))))
