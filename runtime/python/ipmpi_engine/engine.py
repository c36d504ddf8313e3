"""The life of an engine: join, start up, serve, leave.

`main()` runs on the main thread of a rank that is an engine: of a process that
a zygote forked, or of one that embeds Python by itself.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import os
import random
import sys

import _ipmpi

from . import blas, bound, control, forked, mpi, output, preload
from .loop import WorkLoop

log = logging.getLogger("ipmpi.engine")

CANCEL_S = 2.0
"""How long background tasks may take to end when the engine stops."""


def main() -> int:
    """Runs one engine to its end; returns the exit status of the process."""
    _start_log()
    try:
        kernel = preload.prepare()
        joined = _ipmpi.join()
    except (ImportError, OSError, RuntimeError) as exc:
        log.error("this engine cannot start: %s", exc)
        return 1
    _settle_process()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    kernel.bind(joined, loop)
    start(kernel, joined)
    work = WorkLoop(kernel, loop, joined["wake_fd"])
    _ipmpi.ready()
    work.run()
    stop(loop)
    _ipmpi.leave()
    return 0


def start(kernel, joined: dict) -> None:
    """What must have happened before the first request comes."""
    import ipyparallel

    from . import children, public, startup

    os.environ.setdefault("MPLBACKEND",
                          "module://matplotlib_inline.backend_inline")
    kernel.shell.user_ns.update(mpi.names(mpi.bind(joined["user_world"])))
    kernel.interrupts.install()
    children.prepare(kernel)
    public.install()
    options = startup.read_options()
    level = options.get("log_level", logging.WARNING)
    log.setLevel(level)
    if level > logging.DEBUG:  # IPython's own steps are our details
        startup.log.setLevel(max(level, logging.WARNING))
    startup.Startup(kernel.shell, options).run()
    forked.watch()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout, sys.stderr = output.make_streams()
    ipyparallel.bind_kernel = functools.partial(bound.bind_kernel, kernel)
    control.start(kernel)


def stop(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what user code has left running, while MPI still works: tasks,
    then functions registered with atexit."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=CANCEL_S))
    atexit._run_exitfuncs()


def _settle_process() -> None:
    """Undoes what a fork of one zygote would make alike in all engines, and
    gives stdin an end that never blocks."""
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    blas.restore(preload.blas_setters)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = open(0, closefd=False)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # for start-up code
        stream.reconfigure(line_buffering=True)


def _start_log() -> None:
    """Our log goes to the stderr of the process, never into the output of a
    request: the descriptor is taken before the C side captures it."""
    if log.handlers:
        return
    handler = logging.StreamHandler(
        open(os.dup(2), "w", buffering=1, errors="backslashreplace"))
    handler.setFormatter(logging.Formatter(
        "%(asctime)s %(process)d %(levelname).1s ENGINE %(message)s",
        "%H:%M:%S"))
    log.addHandler(handler)
    log.propagate = False
