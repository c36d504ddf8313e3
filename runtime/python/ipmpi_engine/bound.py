"""`ipyparallel.bind_kernel()`: an engine that is a Jupyter kernel, too.

Front ends (jupyter console, a notebook's %qtconsole) connect to ports of the
engine's machine, by a connection file with a key of its own. Their requests
take their turns with the cluster's on the main thread; replies and output go
to whoever asked. What bypasses Python's sys.stdout, and input(), do not.

One thread owns all sockets; other threads reach it through an inproc pipe.
Threads: what is not private here, on any thread unless it says otherwise.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import threading
import uuid

import _ipmpi
import zmq
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session
from jupyter_core.paths import jupyter_runtime_dir

from . import control
from .session import pack

log = logging.getLogger("ipmpi.engine")

KINDS = {"execute_request": _ipmpi.EXECUTE, "comm_open": _ipmpi.COMM,
         "comm_msg": _ipmpi.COMM, "comm_close": _ipmpi.COMM}

CHANNELS = ("shell", "control", "stdin", "iopub", "hb")

CLOSE_S = 2.0
"""How long the sockets may take to close."""


class FrontRequest:
    """A front end's request on the shell channel: the `ref` of its work, and
    where its output goes."""

    def __init__(self, ports: BoundPorts, idents: list, msg: dict) -> None:
        self._ports = ports
        self._idents = idents
        self.msg = msg

    def work(self) -> tuple:
        """As `_ipmpi.take()` returns it."""
        kind = KINDS.get(self.msg["msg_type"], _ipmpi.OTHER)
        return (self, kind, 0, pack(self.msg["header"]),
                pack(self.msg["content"]), self.msg["buffers"])

    def reply(self, status: int, content: bytes | None) -> None:
        """Answers, and says that the engine is idle."""
        if content is not None and status != _ipmpi.UNKNOWN:
            self._ports.send("shell", reply_type(self.msg),
                             json.loads(content), self.msg, self._idents)
        self.state("idle")

    def abort(self) -> None:
        """Answers in place of running."""
        self.reply(_ipmpi.ABORTED, b'{"status": "aborted"}')

    def state(self, state: str) -> None:
        """Publishes "busy" or "idle"."""
        self.publish("status", {"execution_state": state})

    def publish(self, msg_type: str, content: dict,
                metadata: dict | None = None, buffers=None) -> None:
        """Output of this request."""
        self._ports.send("iopub", msg_type, content, self.msg,
                         [msg_type.encode()], metadata, buffers)

    def stream(self, name: str, text: str) -> None:
        """Text that was written to sys.stdout or sys.stderr."""
        self.publish("stream", {"name": name, "text": text})


def reply_type(msg: dict) -> str:
    return msg["msg_type"].replace("_request", "_reply")


class BoundPorts:
    """The sockets of one bound kernel, and the thread that owns them."""

    def __init__(self, kernel) -> None:
        self._kernel = kernel
        self._context = zmq.Context()
        self._key = uuid.uuid4().hex.encode()
        self._session = Session(key=self._key, username="engine")
        self._waiting: queue.SimpleQueue[FrontRequest] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards _outbox and _session
        inbox = self._context.socket(zmq.PULL)
        inbox.bind("inproc://out")
        self._outbox = self._context.socket(zmq.PUSH)
        self._outbox.connect("inproc://out")
        self._sockets = {name: self._context.socket(
            zmq.PUB if name == "iopub" else zmq.ROUTER) for name in CHANNELS}
        for socket in self._sockets.values():
            socket.linger = 1000
        self.file = self._write_file({
            f"{name}_port": socket.bind_to_random_port("tcp://127.0.0.1")
            for name, socket in self._sockets.items()})
        self._thread = threading.Thread(target=self._serve, args=(inbox,),
                                        daemon=True, name="ipmpi-bound")
        self._thread.start()

    def _write_file(self, ports: dict[str, int]) -> str:
        directory = jupyter_runtime_dir()
        os.makedirs(directory, mode=0o700, exist_ok=True)
        path = os.path.join(directory, f"kernel-{os.getpid()}.json")
        write_connection_file(path, ip="127.0.0.1", key=self._key, **ports)
        return path

    def close(self) -> None:
        """Ends the thread and removes the file."""
        with self._lock:
            self._outbox.send(b"")
        self._thread.join(CLOSE_S)
        try:
            os.unlink(self.file)
        except OSError:
            pass

    def take(self) -> tuple | None:
        """The next request as work, or None. Main thread."""
        try:
            return self._waiting.get_nowait().work()
        except queue.Empty:
            return None

    def abort_queued(self) -> None:
        """Aborts the execute_requests that wait. Main thread."""
        kept = []
        while (work := self.take()) is not None:
            if work[1] == _ipmpi.EXECUTE:
                work[0].abort()
            else:
                kept.append(work[0])
        for request in kept:
            self._waiting.put(request)

    def send(self, channel: str, msg_type: str, content: dict, parent: dict,
             idents: list, metadata: dict | None = None,
             buffers=None) -> None:
        """Hands a message to the thread. Content must be plain JSON."""
        with self._lock:
            msg = self._session.msg(msg_type, content, parent=parent,
                                    metadata=metadata)
            frames = self._session.serialize(msg, ident=idents)
            self._outbox.send_multipart(
                [channel.encode(), *frames, *(buffers or ())])

    # -- the thread --------------------------------------------------------

    def _serve(self, inbox: zmq.Socket) -> None:
        poller = zmq.Poller()
        for socket in (inbox, *self._sockets.values()):
            if socket is not self._sockets["iopub"]:
                poller.register(socket, zmq.POLLIN)
        open_ = True
        while open_:
            ready = dict(poller.poll())
            for name in ("hb", "control", "shell", "stdin"):
                if self._sockets[name] in ready:
                    self._receive(name)
            if inbox in ready:
                channel, *frames = inbox.recv_multipart()
                open_ = bool(channel)
                if open_:
                    self._sockets[channel.decode()].send_multipart(frames)
        for socket in (inbox, self._outbox, *self._sockets.values()):
            socket.close()
        self._context.term()

    def _receive(self, name: str) -> None:
        frames = self._sockets[name].recv_multipart()
        if name == "hb":
            self._sockets[name].send_multipart(frames)
        elif name != "stdin":  # nothing is asked there
            try:
                idents, rest = self._session.feed_identities(frames)
                msg = self._session.deserialize(rest)
            except Exception as exc:
                log.warning("a message of a front end was dropped: %s", exc)
                return
            msg["buffers"] = [memoryview(bytearray(buffer))
                              for buffer in msg["buffers"]]
            request = FrontRequest(self, idents, msg)
            if name == "control":
                self._control(idents, msg)
            else:
                self._waiting.put(request)
                self._kernel.wake()

    def _control(self, idents: list, msg: dict) -> None:
        if msg["msg_type"] == "shutdown_request":
            content = dict(msg["content"], status="ok")
            self.send("control", "shutdown_reply", content, msg, idents)
            self._kernel.stop()
            return
        status, content = control.answer(self._kernel, msg["msg_type"],
                                         pack(msg["content"]))
        if status != _ipmpi.UNKNOWN:
            self.send("control", reply_type(msg), json.loads(content), msg,
                      idents)


def bind_kernel(kernel, **_) -> None:
    """Makes the engine of this EngineKernel a Jupyter kernel, once; see
    `%connect_info`. With the kernel given it stands in for
    ipyparallel.bind_kernel. Main thread."""
    from ipykernel.kernelapp import IPKernelApp

    if kernel.bound is not None:
        return
    kernel.bound = BoundPorts(kernel)
    atexit.register(kernel.bound.close)
    # who asks for the connection file asks the application
    app = IPKernelApp.instance()
    app.connection_dir, app.connection_file = os.path.split(kernel.bound.file)
    log.info("an IPython kernel at %s", kernel.bound.file)
