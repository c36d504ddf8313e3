"""`get_ipython().kernel`, and the dispatch of requests.

It is an ipykernel Kernel only in type: ipykernel's comms and user code ask for
`Kernel.instance()`. No socket, stream or thread of ipykernel is used.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import Coroutine
from typing import Any

import _ipmpi
from ipykernel.kernelbase import Kernel
from tornado.ioloop import IOLoop

from . import (apply, bulk, children, comms, errors, execute, forked, frontend,
               gang, shell)
from .bound import FrontRequest
from .interrupts import Interrupts
from .parent import current
from .session import EngineSession, IOPub, pack

log = logging.getLogger("ipmpi.engine")


class EngineKernel(Kernel):
    """The kernel of one engine: what user code expects of upstream's.

    `prepare` may run before a fork, `bind` makes it this engine's own.
    """

    implementation = "ipmpi"
    banner = "ipmpi engine"
    language_info = {"name": "python"}
    engine_id = -1
    io_loop = None
    interrupts: Interrupts
    stopping = False
    bound = None  # the ports of bind_kernel(), once it was called
    wake = None  # any thread: there is work of `bound`; set by the loop

    def prepare(self) -> None:
        """Makes session and shell; no identity, no loop, no thread."""
        self.log = log
        self.session = EngineSession(parent=self, key=b"")
        self.iopub_socket = IOPub()
        self.shell = shell.create(self, self.session, self.iopub_socket)
        self.comm_manager = comms.create_manager(self)

    def bind(self, joined: dict[str, Any],
             loop: asyncio.AbstractEventLoop) -> None:
        """Takes the identity that `_ipmpi.join()` returned."""
        self.engine_id = self.int_id = joined["engine_id"]
        self.ident = joined["uuid"]
        self.session.bind(joined["session"], joined["username"],
                          joined["key"], joined["uuid"])
        shell.bind(self.shell, self.engine_id)
        self.io_loop = IOLoop.current()
        self._loop = loop
        # Requests share one context, as cells of a notebook do: decimal's
        # precision, set by one, holds for the next.
        self.context = contextvars.copy_context()
        self.interrupts = Interrupts(loop, self.stop)

    def topic(self, name: str) -> str:
        """The IOPub topic of this engine's messages of one kind."""
        return f"engine.{self.engine_id}.{name}"

    def _topic(self, topic: str) -> bytes:
        return self.topic(topic).encode()

    def get_parent(self, channel: str | None = None) -> dict[str, Any]:
        """The current request as a message dict."""
        return current.message

    def set_parent(self, ident, parent, channel: str = "shell") -> None:
        """Redirects output to the request `parent`."""
        current.set(parent)

    def stop(self) -> None:
        """Ends the engine after the current request. Main thread."""
        self.stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)

    def reply(self, ref: int, status: int, content: bytes | None, buffers,
              abort_queued: bool = False) -> None:
        """Answers the request `ref`. A result that cannot be sent (a buffer
        with holes) becomes an error reply, so there always is one."""
        forked.leave()
        if isinstance(ref, FrontRequest):
            ref.reply(status, content)
            if abort_queued:
                self.bound.abort_queued()
            return
        try:
            _ipmpi.reply(ref, status, content, buffers, abort_queued)
        except (BufferError, TypeError, ValueError) as exc:
            failed = errors.error_content(self, exc, None, "apply")
            _ipmpi.reply(ref, _ipmpi.ERROR, pack(failed), ())

    def take(self) -> tuple | None:
        """The next piece of work: the cluster's, or a front end's."""
        work = _ipmpi.take()
        if work is None and self.bound is not None:
            work = self.bound.take()
        return work

    def handle(self, work: tuple) -> Coroutine | None:
        """Runs one piece of work to its reply. An async cell comes back as a
        coroutine, which must end before the next piece."""
        ref, kind, _, header, content, buffers = work
        if isinstance(ref, FrontRequest):
            current.begin_front(ref)
        else:
            current.begin(header)
        if kind == _ipmpi.APPLY:
            apply.run(self, ref, buffers)
        elif kind == _ipmpi.CHILD:
            children.run_alone(self, ref, buffers)
        elif kind == _ipmpi.BULK:
            bulk.run(self, ref, content, buffers)
        elif kind == _ipmpi.MPI:
            gang.run(self, ref, content, buffers)
        elif kind == _ipmpi.EXECUTE:
            return execute.run(self, ref, content)
        elif kind == _ipmpi.COMM:
            comms.handle(self, content, buffers)
            self._finish(ref)
        else:
            self._ask(ref, content)
        return None

    def fail(self, work: tuple, exc: BaseException) -> None:
        """Answers work that `handle` failed to answer: its client must not
        wait for ever for what went wrong in here."""
        ref, kind = work[:2]
        self.interrupts.disarm()
        try:
            if kind == _ipmpi.COMM:
                self._finish(ref)
            else:
                self.reply(ref, _ipmpi.ERROR, pack(
                    errors.error_content(self, exc, None, "engine")), ())
        except LookupError:  # it had got its answer
            pass

    def _finish(self, ref) -> None:
        """Work that has no reply is done."""
        if isinstance(ref, FrontRequest):
            ref.reply(_ipmpi.OK, None)
        else:
            _ipmpi.finish(ref)

    def _ask(self, ref: int, content: bytes) -> None:
        msg_type = current.header.get("msg_type")
        handler = frontend.HANDLERS.get(msg_type)
        if handler is None:
            log.warning("unknown request %r", msg_type)
            self.reply(ref, _ipmpi.UNKNOWN, None, ())
            return
        try:
            self.interrupts.arm()
            reply, status = handler(self, json.loads(content)), _ipmpi.OK
        except BaseException as exc:
            self.interrupts.disarm()
            reply = errors.error_content(self, exc, None, msg_type)
            status = _ipmpi.ERROR
        finally:
            self.interrupts.disarm()
        self.reply(ref, status, pack(reply), ())
