"""Live progress of a sweep, as one line."""

from __future__ import annotations

import time
from typing import TextIO

from .results import Record


class Line:
    """Called with each record. Rewrites one line on a terminal and in a
    notebook; elsewhere writes one now and then, and one at the end.

    sign:  1 if a higher score is better, -1 if a lower one is
    total: how many jobs there will be; None: nobody knows
    """

    EVERY_SECONDS = 10.0  # where lines cannot be rewritten

    def __init__(self, stream: TextIO, sign: int, total: int | None) -> None:
        self._stream, self._sign, self._total = stream, sign, total
        self._live = stream.isatty() or type(stream).__module__.startswith(
            "ipykernel.")
        self._done, self._failed, self._flying = 0, 0, 0
        self._best: Record | None = None
        self._start = self._last = time.monotonic()
        self._width = 0

    def __call__(self, record: Record, flying: int) -> None:
        self._done += 1
        self._flying = flying
        if record.score is None:
            self._failed += 1
        elif self._best is None or self._beats(record, self._best):
            self._best = record
        now = time.monotonic()
        if self._live or now - self._last >= self.EVERY_SECONDS:
            self._last = now
            self._show("" if self._live else "\n")

    def end(self) -> None:
        """The last state, and the line's end."""
        self._flying = 0
        if self._done:
            self._show("\n")

    def _show(self, tail: str) -> None:
        text = self._text()
        lead = "\r" if self._live else ""
        self._stream.write(lead + text.ljust(self._width if lead else 0)
                           + tail)
        self._stream.flush()
        self._width = len(text)

    def _text(self) -> str:
        of = f" of {self._total}" if self._total is not None else ""
        parts = [f"sweep: {self._done}{of} done"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if self._flying:
            parts.append(f"{self._flying} running")
        if self._best is not None:
            parts.append(f"best {self._best.score:.5g}")
        parts.append(f"{time.monotonic() - self._start:.0f} s")
        return ", ".join(parts)

    def _beats(self, one: Record, other: Record) -> bool:
        return ((one.rung, self._sign * one.score)
                > (other.rung, self._sign * other.score))
