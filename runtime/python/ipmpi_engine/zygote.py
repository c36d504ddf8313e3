"""The zygote: one process a host and job that has imported what every engine
needs, and forks engines on request, so that imports are paid once and their
pages are shared.

A nanny (runtime/process) connects to the listening socket and sends one packet
``fork`` with six descriptors: the rank's 0, 1 and 2, its end of the link to
the nanny, a file with settings and environment, its working directory. It gets
``started PID`` with a pidfd, later ``ended STATUS`` (a wait status), or
``refused REASON``. A nanny that closes its connection has its child killed.

Invariants: the zygote has one thread, and it never touches MPI. A child runs
            nothing of an engine before its nanny has sent a packet by the
            link, so that a child that a nanny has given up becomes no rank.

The zygote ends when its keeper (the nanny that started it) and all other
nannies have closed their connections.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import selectors
import signal
import socket
import struct
import sys
from typing import Any

from . import preload

log = logging.getLogger("ipmpi.zygote")

_DESCRIPTORS = 6
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1,
            signal.SIGUSR2)
"""A launcher signals the process group of the nanny that started the zygote;
the ranks of other nannies still need it then."""


def main() -> int:
    """Runs the zygote to its end, or in a child, an engine; returns the exit
    status of the process."""
    listening, keeper = map(int, os.environ.pop("IPMPI_ZYGOTE_FDS").split(","))
    for fd in (listening, keeper):
        os.set_inheritable(fd, False)
    _name_process("ipmpi-zygote")
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    try:
        preload.prepare()
    except (ImportError, OSError) as exc:
        print(f"ipmpi-zygote: {exc}", file=sys.stderr)
        # 3 ends the job: no engine can do better. With a full disk, one may.
        return 3 if isinstance(exc, ImportError) else 1
    zygote = Zygote(socket.socket(fileno=listening),
                    socket.socket(fileno=keeper))
    request = zygote.serve()
    if request is None:
        return 0
    # From here on this process is a rank.
    request.apply()
    from . import engine  # which prepare() has imported

    return engine.main()


class Request:
    """What a nanny wants of its rank: six descriptors, which it owns."""

    def __init__(self, fds: list[int]) -> None:
        self._fds = fds

    def close(self) -> None:
        """Closes what the zygote itself does not need."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def apply(self) -> None:
        """Makes this process the rank. Ends it if its nanny is gone."""
        *standard, link, settings, directory = self._fds
        if not os.read(link, 4096):
            os._exit(0)
        with open(settings, "rb") as file:
            text, *environment = file.read().split(b"\0")
        wanted = json.loads(text)
        _name_process(f"ipmpi-rank {wanted['rank']}")
        for number, fd in enumerate(standard):
            os.dup2(fd, number)
            os.close(fd)
        os.fchdir(directory)
        os.close(directory)
        _set_environment(environment)
        os.environ["IPMPI_LINK_FD"] = str(link)
        _apply_settings(wanted)
        _apply_signals(wanted)


class Zygote:
    """Accepts nannies, forks for them, and tells them of exits."""

    def __init__(self, listening: socket.socket,
                 keeper: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._listening = listening
        self._children: dict[int, socket.socket] = {}  # by pid
        self._pids: dict[socket.socket, int] = {}
        self._nannies: set[socket.socket] = {keeper}
        self._wake, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wake_write = write
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        listening.setblocking(False)
        keeper.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ, self._accept)
        self._selector.register(keeper, selectors.EVENT_READ, self._hear)
        self._selector.register(self._wake, selectors.EVENT_READ, self._reap)

    def serve(self) -> Request | None:
        """Returns None at the end of the job, or in a child, its request."""
        while self._nannies:
            for key, _ in self._selector.select():
                request = key.data(key.fileobj)
                if request is not None:
                    return request
        return None

    def _accept(self, _) -> None:
        try:
            nanny, _address = self._listening.accept()
        except OSError:  # it has gone again
            return
        credentials = nanny.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                       struct.calcsize("3i"))
        if struct.unpack("3i", credentials)[1] != os.getuid():
            nanny.close()
            return
        nanny.setblocking(False)
        self._nannies.add(nanny)
        self._selector.register(nanny, selectors.EVENT_READ, self._hear)

    def _hear(self, nanny: socket.socket) -> Request | None:
        """A nanny has something to say, or has gone."""
        try:
            text, fds, _, _ = socket.recv_fds(
                nanny, 64, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        except OSError:
            text, fds = b"", []
        request = Request(list(fds))
        if not text:
            self._forget(nanny)
        elif text != b"fork" or len(fds) != _DESCRIPTORS:
            self._tell(nanny, "refused the request is not understood")
        elif nanny in self._pids:
            self._tell(nanny, "refused there is one already")
        else:
            return self._fork(nanny, request)
        request.close()
        return None

    def _fork(self, nanny: socket.socket, request: Request) -> Request | None:
        try:
            pid = os.fork()
        except OSError as exc:
            self._tell(nanny, f"refused fork: {exc.strerror}")
            request.close()
            return None
        if pid == 0:
            self._leave()
            return request
        request.close()
        self._children[pid] = nanny
        self._pids[nanny] = pid
        try:
            fds = [os.pidfd_open(pid)]
        except OSError:  # an old kernel
            fds = []
        self._tell(nanny, f"started {pid}", fds)
        for fd in fds:
            os.close(fd)
        return None

    def _leave(self) -> None:
        """In the child: nothing of the zygote stays open."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._listening.close()
        os.close(self._wake)
        os.close(self._wake_write)
        for nanny in self._nannies:
            nanny.close()

    def _tell(self, nanny: socket.socket, text: str,
              fds: list[int] | None = None) -> None:
        try:
            socket.send_fds(nanny, [text.encode()], fds or [],
                            socket.MSG_NOSIGNAL)
        except OSError:  # it has gone; its end of file will be read
            pass

    def _forget(self, nanny: socket.socket) -> None:
        self._selector.unregister(nanny)
        self._nannies.discard(nanny)
        nanny.close()
        pid = self._pids.pop(nanny, None)
        if pid is not None and pid in self._children:
            os.kill(pid, signal.SIGKILL)  # not reaped, so still this child

    def _reap(self, _) -> None:
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            pass
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            nanny = self._children.pop(pid, None)
            if nanny is not None and nanny in self._nannies:
                self._tell(nanny, f"ended {status}")


def _name_process(name: str) -> None:
    """The name that ps and top show; at most 15 bytes."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name)
    except OSError:
        pass


def _set_environment(environment: list[bytes]) -> None:
    """Replaces the environment, for C code as well as for Python."""
    os.environb.clear()
    for entry in environment:
        name, equals, value = entry.partition(b"=")
        if name and equals:
            os.environb[name] = value


def _apply_settings(wanted: dict[str, Any]) -> None:
    """Umask, limits, affinity, priority, process group.

    What the system refuses stays as the zygote has it, which mpirun gave the
    same limits; it is not worth losing an engine for.
    """
    os.umask(wanted["umask"])
    for which, soft, hard in wanted["limits"]:
        if resource.getrlimit(which) != (soft, hard):
            _attempt("limit", resource.setrlimit, which, (soft, hard))
    if wanted["affinity"]:
        _attempt("affinity", os.sched_setaffinity, 0, wanted["affinity"])
    if os.getpriority(os.PRIO_PROCESS, 0) != wanted["nice"]:
        _attempt("priority", os.setpriority, os.PRIO_PROCESS, 0,
                 wanted["nice"])
    # The launcher signals the nanny's group; a job step of its own session
    # does not let us in, and then the nanny passes signals on.
    _attempt("process group", os.setpgid, 0, wanted["group"])


def _attempt(what: str, call, *args) -> None:
    try:
        call(*args)
    except (OSError, ValueError) as exc:
        log.debug("%s of this rank cannot be set: %s", what, exc)


def _apply_signals(wanted: dict[str, Any]) -> None:
    """Dispositions as if Python had started in this process."""
    ignored = set(wanted["ignored"])
    for number in (*_IGNORED, signal.SIGCHLD):
        if number in ignored:
            handler = signal.SIG_IGN
        elif number == signal.SIGINT:
            handler = signal.default_int_handler
        else:
            handler = signal.SIG_DFL
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, wanted["blocked"])
