"""SIGINT and SIGTERM of an engine.

An idle engine ignores SIGINT, a working one gets KeyboardInterrupt, an async
cell is cancelled. Signals arrive on the main thread (the C side sees to it),
so Python's handlers run between two bytecodes of user code.

Invariant: outside `arm` .. `disarm` SIGINT raises nothing.
Threads:   main only.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from _signal import signal as _set_handler  # signal.signal without its enums
from contextlib import contextmanager

log = logging.getLogger("ipmpi.engine")

_SIGINT = int(signal.SIGINT)


class Interrupts:
    """Who is interrupted by what, now."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_term) -> None:
        self._loop = loop
        self._on_term = on_term
        self._saved = None
        self._armed = False
        self._pair: tuple[socket.socket, socket.socket] | None = None

    def install(self) -> None:
        """Takes over both signals for the life of the engine.

        A signal that comes just before the loop's wait would run its Python
        handler only after it; so each signal also ends the wait.
        """
        reader, writer = self._pair = socket.socketpair()
        for end in self._pair:
            end.setblocking(False)
        self._loop.add_reader(reader, reader.recv, 4096)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._ignore)
        signal.signal(signal.SIGTERM, self._terminate)

    def arm(self) -> None:
        """From here on SIGINT raises KeyboardInterrupt."""
        self._saved = _set_handler(_SIGINT, signal.default_int_handler)
        self._armed = True

    def disarm(self) -> None:
        """Back to the handler from before `arm`; idempotent.

        Setting a handler first runs pending ones, by the old handler,
        so a late KeyboardInterrupt can come out of it: it came too late for
        the user's code, which is over, and is dropped.
        """
        while self._armed:
            try:
                _set_handler(_SIGINT, self._saved)
                self._armed = False
            except KeyboardInterrupt:
                log.info("SIGINT came as the request ended; ignored")

    @contextmanager
    def cancelling(self, task: asyncio.Task):
        """While the cell `task` awaits, SIGINT cancels it; while its own code
        runs, SIGINT raises KeyboardInterrupt there."""

        def interrupt(signum, frame):
            if asyncio.current_task(self._loop) is task:
                raise KeyboardInterrupt
            self._loop.call_soon_threadsafe(task.cancel)

        saved = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, saved)

    def _ignore(self, signum, frame) -> None:
        log.warning("idle engine: SIGINT ignored; SIGTERM ends the engine")

    def _terminate(self, signum, frame) -> None:
        self._on_term()
        if self._armed:  # ends the running request with an error reply
            raise SystemExit("the engine was told to terminate")
