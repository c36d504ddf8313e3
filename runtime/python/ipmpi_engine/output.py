"""sys.stdout and sys.stderr of an engine.

Text goes to the C side, which gathers it and publishes it under the current
request: every 0.1 s, and before anything that must come after it.

Invariant: closing, flushing or detaching these objects never harms the engine.
Threads:   any; the C side locks.
"""

from __future__ import annotations

import io
import os
from typing import Any

import _ipmpi

from . import forked
from .parent import current


def _put(fd: int, data: bytes) -> None:
    """Hands over bytes; a user's fork writes to the captured descriptor."""
    if forked.in_child:
        while data:
            data = data[os.write(fd, data):]
    elif data:
        _ipmpi.write(fd, data)


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`: raw bytes into the same stream."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any) -> int:
        data = bytes(data)
        _put(self._fd, data)
        return len(data)

    def close(self) -> None:
        """Does nothing: the engine's output outlives any user of it."""


class Stream(io.TextIOBase):
    """A text stream in the manner of ipykernel's OutStream."""

    encoding = "UTF-8"
    errors = "backslashreplace"
    newlines = None
    mode = "w"

    def __init__(self, name: str, fd: int) -> None:
        self.name = f"<{name}>"
        self._stream = name
        self._fd = fd
        self.buffer = _Bytes(fd)

    def write(self, text: str) -> int:
        """Adds `text` to the current request's output; returns len(text)."""
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not "
                            f"{type(text).__name__}")
        front = current.front
        if front is not None and not forked.in_child:
            front.stream(self._stream, text)
        else:
            _put(self._fd, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writelines(self, lines) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """Publishes what is gathered, soon; never waits for it."""
        if not forked.in_child:
            _ipmpi.flush()

    def close(self) -> None:
        """Flushes only: a closed sys.stdout would end all later output."""
        self.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        """The captured descriptor: children that inherit it are published."""
        return self._fd

    @property
    def parent_header(self) -> dict:
        """The header of the request that output belongs to."""
        return current.header

    @parent_header.setter
    def parent_header(self, header: dict) -> None:
        current.set(header)

    def set_parent(self, parent: dict) -> None:
        """Redirects output to the request `parent` (a message or header)."""
        current.set(parent)


def make_streams() -> tuple[Stream, Stream]:
    """The pair for sys.stdout and sys.stderr."""
    return Stream("stdout", 1), Stream("stderr", 2)
