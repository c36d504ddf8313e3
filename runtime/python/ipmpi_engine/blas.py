"""One OpenBLAS thread before the fork, the user's number after it.

OpenBLAS starts its threads when it is loaded, one for each core. Before a fork
that is wrong (threads do not survive it), and with an engine on each core it
is too many.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator

_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
_LIBRARY = re.compile(r"\s(/\S*openblas\S*)$", re.MULTILINE)
_SETTERS = ("openblas_set_num_threads", "openblas_set_num_threads64_",
            "scipy_openblas_set_num_threads",
            "scipy_openblas_set_num_threads64_")


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """While this holds, a BLAS that is loaded starts no thread."""
    saved = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def wanted_threads() -> int:
    """The number that the environment asks for, or else one for each core
    that this process may use."""
    for name in _VARIABLES:
        value = os.environ.get(name, "").split(",")[0]
        if value.isdigit() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0))


def restore() -> None:
    """Gives every OpenBLAS that is loaded the wanted number of threads."""
    threads = wanted_threads()
    if threads == 1:
        return
    with open("/proc/self/maps") as maps:
        paths = set(_LIBRARY.findall(maps.read()))
    for path in paths:
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(path)
            for name in _SETTERS:
                setter = getattr(library, name, None)
                if setter is not None:
                    setter(ctypes.c_int(threads))
                    break
