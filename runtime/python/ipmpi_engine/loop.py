"""The main thread's event loop.

It runs all of an engine's life, so that what one request leaves behind (tasks,
comms, a dask worker) lives on. The C side wakes it through a descriptor; one
wake-up drains everything that waits, in slices, so that a flood of small tasks
cannot starve the loop's other users.

Invariant: one request at a time, in the order of arrival.
Threads:   main only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine

import _ipmpi

log = logging.getLogger("ipmpi.engine")

SLICE_S = 0.005
"""How long requests may follow each other before the loop has a turn."""

FAILURES_MAX = 100
"""A loop that raises this often between two requests is broken for good."""


class WorkLoop:
    """Feeds the work that arrives to the kernel."""

    def __init__(self, kernel, loop: asyncio.AbstractEventLoop,
                 wake_fd: int) -> None:
        self._kernel = kernel
        self._loop = loop
        self._wake_fd = wake_fd
        self._busy = False  # in a request, or in an async cell
        self._scheduled = False  # a call of _resume is on its way
        self._failures = 0
        kernel.wake = self._wake_from_thread

    def run(self) -> None:
        """Serves until the engine is to stop. What user code does to the
        loop (KeyboardInterrupt in a callback, nest_asyncio) ends nothing."""
        self._loop.add_reader(self._wake_fd, self._wake)
        while not self.should_stop():
            self._schedule()  # again after a failure: wake-ups may be lost
            try:
                self._loop.run_forever()
            except BaseException as exc:
                self._failures += 1
                log.warning("%s in the event loop; it goes on",
                            type(exc).__name__, exc_info=True)
                if self._failures > FAILURES_MAX:
                    raise
        self._loop.remove_reader(self._wake_fd)

    def should_stop(self) -> bool:
        """Whether user code, a signal, or rank 0 wants this engine to end."""
        kernel = self._kernel
        return (kernel.stopping or kernel.shell.exit_now
                or _ipmpi.stop_requested() != 0)

    def _wake(self) -> None:
        _ipmpi.clear_wake()
        if self._busy:  # a nested loop (nest_asyncio), or an async cell
            if _ipmpi.stop_requested():
                self._loop.stop()
        elif not self._scheduled:
            self._resume()

    def _wake_from_thread(self) -> None:
        """There is work of a front end. Any thread."""
        self._loop.call_soon_threadsafe(self._resume)

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._scheduled = False
        if not self._busy:
            self._kernel.context.run(self._drain)

    def _drain(self) -> None:
        deadline = time.monotonic() + SLICE_S
        while not self.should_stop():
            work = self._kernel.take()
            if work is None:
                return
            self._busy = True
            self._failures = 0
            cell = None
            try:
                cell = self._kernel.handle(work)
            except BaseException as exc:  # not the user's: those are answered
                log.exception("a request failed inside the engine")
                self._kernel.fail(work, exc)
            finally:
                self._busy = cell is not None
            if cell is not None:
                self._loop.create_task(self._finish(cell),
                                       context=self._kernel.context)
                return
            if time.monotonic() > deadline:
                self._schedule()
                return
        self._loop.stop()

    async def _finish(self, cell: Coroutine) -> None:
        """Lets an async cell end, then goes on with what waits."""
        try:
            await cell
        finally:
            self._busy = False
            self._schedule()
