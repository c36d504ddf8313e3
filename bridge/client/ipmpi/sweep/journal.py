"""The journal: one line of JSON for each job that came back.

The first line says what sweep it is. A line that was cut short by a crash is
dropped; so are jobs that failed, which run again.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from .searches import Job
from .space import text_of


class Journal:
    """Appends to a file, and remembers what was in it.

    path:  the file; None keeps nothing
    title: what the first line says; ValueError if the file has another

    Only one sweep at a time writes to a journal.
    """

    def __init__(self, path: str | os.PathLike | None,
                 title: dict[str, Any]) -> None:
        self._path = Path(path) if path is not None else None
        self._known: dict[str, dict] = {}
        self.seed: int | None = None
        self._file = None
        if self._path is not None:
            self._read(title)
        self._title = title

    def _read(self, title: dict[str, Any]) -> None:
        if not self._path.exists() or self._path.stat().st_size == 0:
            return
        lines = self._path.read_text().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        if len(whole) < len(lines):
            self._path.write_text("".join(whole))
        if not whole:
            return
        first = json.loads(whole[0])
        self.seed = first.pop("seed")
        if first != json.loads(json.dumps(title)):
            raise ValueError(f"{self._path} is the journal of another sweep: "
                             f"{first}")
        for line in whole[1:]:
            entry = json.loads(line)
            if entry["score"] is not None:
                self._known[_key(entry["params"], entry["budget"])] = entry

    def open(self, seed: int) -> None:
        """Begins to append; the seed goes into a new file. BlockingIOError:
        another sweep is at it."""
        if self._path is None:
            return
        new = self.seed is None
        self.seed = seed
        self._file = open(self._path, "a", buffering=1)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise BlockingIOError(
                f"another sweep writes to {self._path}") from None
        if new:
            self._write({**self._title, "seed": seed})

    def known(self, job: Job) -> dict | None:
        """The entry of such a job, from an earlier run."""
        return self._known.get(_key(job.params, job.budget))

    def add(self, entry: dict[str, Any]) -> None:
        """Appends an entry; on disk when this returns."""
        if self._file is not None:
            self._write(entry)
            os.fsync(self._file.fileno())

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry, default=_to_json) + "\n")

    def close(self) -> None:
        """Ends appending."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _key(params: dict[str, Any], budget: float | None) -> str:
    return json.dumps([params, budget], sort_keys=True, default=_to_json)


def _to_json(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's, the rest as text."""
    return value.tolist() if hasattr(value, "tolist") else text_of(value)
