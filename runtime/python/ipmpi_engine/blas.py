"""One OpenBLAS thread before the fork, the user's number after it.

OpenBLAS starts its threads when it is loaded, one for each core. Before a fork
that is wrong (threads do not survive it), and with an engine on each core it
is too many.

A thread of it that has nothing to do spins before it sleeps, for 2**26 cycles
by default: where engines share cores, that is most of their start. Ours spin
for half a millisecond.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
_TIMEOUT = ("OPENBLAS_THREAD_TIMEOUT", "20")  # log2 of cycles
_SETTERS = ("openblas_set_num_threads", "openblas_set_num_threads64_",
            "scipy_openblas_set_num_threads",
            "scipy_openblas_set_num_threads64_")


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """While this holds, a BLAS that is loaded starts no thread; those that it
    starts later do not spin for long, unless the user wants them to."""
    names = (*_VARIABLES, _TIMEOUT[0])
    saved = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    os.environ.setdefault(*_TIMEOUT)
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


def find_setters() -> list:
    """The thread setters of every OpenBLAS that is loaded now; they stay
    valid in a forked child."""
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "openblas" in line}
    setters = []
    for path in paths:
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(path)
            setters += [getattr(library, name) for name in _SETTERS
                        if hasattr(library, name)][:1]
    return setters


def restore(setters: list) -> None:
    """Gives each OpenBLAS of `setters` the wanted number of threads."""
    threads = wanted_threads()
    for setter in setters if threads > 1 else ():
        setter(ctypes.c_int(threads))
