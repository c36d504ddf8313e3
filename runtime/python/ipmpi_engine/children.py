"""Tasks that submit tasks: `from ipmpi import submit`, inside a task.

A child waits on its own engine, the newest first; idle engines steal the
oldest. Whoever waits for a result runs waiting children meanwhile (help
first), so joining never blocks an engine that has something to do.

Note [stacks]. Help nests: a child that waits helps, too. The children that a
thread runs inside each other are bounded; the next one gets a thread, and so a
stack, of its own, while the first thread waits for it. One child runs at a
time, always.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from concurrent.futures import CancelledError

import _ipmpi
from ipyparallel import error, serialize

from . import apply, errors
from .session import BUFFER_THRESHOLD, ITEM_THRESHOLD, pack

NESTED_MAX = 24
"""Children inside each other on one stack, see note [stacks]."""

LOOK_S = 1.0
"""A waiting thread looks again at least this often."""

_kernel = None
_runner = None  # the thread that runs work, or the one it lent that to
_nested = 0


def prepare(kernel) -> None:
    """Once, on the main thread, before the first work."""
    global _kernel, _runner
    _kernel = kernel
    _runner = threading.get_ident()


def submit(f, *args, **kwargs) -> "Future":
    """Submits f(*args, **kwargs) as a child of the task that runs, to be run
    by this engine or by one that steals it. Like apply's, arguments and
    result are copies. Inside an engine only."""
    if _kernel is None:
        raise RuntimeError("submit() works inside a task, on an engine")
    return Future(_ipmpi.submit(serialize.pack_apply_message(
        f, args, kwargs, buffer_threshold=BUFFER_THRESHOLD,
        item_threshold=ITEM_THRESHOLD)))


class Future:
    """The result of a child; for the engine that submitted it."""

    def __init__(self, ref: int) -> None:
        self._ref = ref
        self._outcome: tuple | None = None

    def __del__(self) -> None:
        if self._outcome is None:
            _ipmpi.child_forget(self._ref)

    def __reduce__(self):
        raise TypeError("a child's future cannot leave its engine: send its "
                        "result()")

    def done(self) -> bool:
        """Whether the result is there."""
        if self._outcome is None:
            self._outcome = _ipmpi.child_outcome(self._ref)
        return self._outcome is not None

    def cancel(self) -> bool:
        """Keeps the child from running if it still waits on this engine.
        False: it runs, has ended, or another engine has stolen it."""
        return self.cancelled() or (
            not self.done() and _ipmpi.child_cancel(self._ref))

    def cancelled(self) -> bool:
        """Whether it will never run, since it was cancelled."""
        return self.done() and self._outcome[0] == _ipmpi.ABORTED

    def result(self, timeout: float | None = None):
        """The child's result; runs waiting children meanwhile. Raises
        RemoteError for what the child raised, EngineError if its engine died
        while it ran, CancelledError if it was cancelled; TimeoutError after `timeout` seconds, or when a child
        that this thread ran meanwhile has ended: that is not interrupted."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done():
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"no result within {timeout} s")
            if not _help(self._ref):
                _wait(end)
        return _value_of(*self._outcome)


def run(kernel, ref: int, buffers: list) -> None:
    """Runs one child that the engine has taken."""
    status, content, result = _ipmpi.OK, b"{}", []
    try:
        result = apply.perform(buffers, kernel.shell.user_ns)
    except BaseException as exc:
        status = _ipmpi.ERROR
        content = pack(errors.error_content(kernel, exc, None, "submit"))
    try:
        _ipmpi.child_reply(ref, status, content, result)
    except (BufferError, TypeError, ValueError) as exc:  # cannot be sent
        _ipmpi.child_reply(ref, _ipmpi.ERROR, pack(
            errors.error_content(kernel, exc, None, "submit")), [])


def run_alone(kernel, ref: int, buffers: list) -> None:
    """The same between requests: a client may interrupt it."""
    interrupts = kernel.interrupts
    try:
        try:
            interrupts.arm()
            run(kernel, ref, buffers)
        finally:
            interrupts.disarm()
    except BaseException as exc:  # interrupted outside the child's own code
        interrupts.disarm()
        try:
            _ipmpi.child_reply(ref, _ipmpi.ERROR, pack(
                errors.error_content(kernel, exc, None, "submit")), [])
        except LookupError:  # it had got its answer
            pass


def _help(ref: int) -> bool:
    """Runs one waiting child, if there is one, and this thread may."""
    if threading.get_ident() != _runner:
        return False
    work = _ipmpi.help(ref)
    if work is None:
        return False
    if (_nested + 1) % NESTED_MAX:
        _run_nested(work)
    else:
        _run_beside(work)
    return True


def _run_nested(work: tuple) -> None:
    global _nested
    _nested += 1
    try:
        run(_kernel, work[0], work[5])
    finally:
        _nested -= 1


def _run_beside(work: tuple) -> None:
    """On a fresh stack; what this thread may do is lent to it meanwhile."""
    global _runner
    mine = _runner

    def start() -> None:
        global _runner
        _runner = threading.get_ident()
        _run_nested(work)

    thread = threading.Thread(target=start, name="ipmpi-child")
    thread.start()
    try:
        _join(thread)
    finally:
        _runner = mine


def _join(thread: threading.Thread) -> None:
    """An interrupt that comes meanwhile is raised when the child is done:
    two stacks must not run at once."""
    interrupt = None
    while thread.is_alive():
        try:
            thread.join()
        except BaseException as exc:
            interrupt = exc
    if interrupt is not None:
        raise interrupt


def _wait(end: float | None) -> None:
    """Until something happens to a child; signals are served."""
    seconds = LOOK_S
    if end is not None:
        seconds = max(0.0, min(seconds, end - time.monotonic()))
    fd = _ipmpi.children_fd()
    if select.select([fd], [], [], seconds)[0]:
        try:
            os.read(fd, 8)
        except BlockingIOError:  # another thread was faster
            pass


def _value_of(status: int, lost: str, content: bytes, buffers: list):
    if lost:
        raise error.EngineError(f"a child of this task is lost: {lost}")
    if status == _ipmpi.ABORTED:
        raise CancelledError("the child was aborted before it began")
    if status != _ipmpi.OK:
        fields = json.loads(content or b"{}")
        raise error.RemoteError(
            fields.get("ename", "TaskAborted"), fields.get("evalue", ""),
            "\n".join(fields.get("traceback", [])),
            fields.get("engine_info"))
    return serialize.deserialize_object(buffers, _kernel.shell.user_ns)[0]
