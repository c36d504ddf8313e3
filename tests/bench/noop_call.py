"""Writes the buffers of a task that does nothing, as ipyparallel's client
makes them, for bench_generator: each after its length (32 bits, little-endian).

    python noop_call.py FILE
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path


def nothing():
    return None


def write(path: Path) -> None:
    """Canned as if typed in a notebook: it runs in the engine's namespace."""
    from ipyparallel.serialize import pack_apply_message

    nothing.__module__ = "__main__"
    write_buffers(path, pack_apply_message(nothing, (), {}))


def write_buffers(path: Path, buffers: list) -> None:
    with open(path, "wb") as file:
        for buffer in buffers:
            view = memoryview(buffer)
            file.write(struct.pack("<I", view.nbytes) + view)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
