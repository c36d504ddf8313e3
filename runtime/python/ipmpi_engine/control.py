"""The control thread: what must be answered while user code runs.

Signals, aborts and shutdown never reach Python: the C side does them without
the GIL. What is left needs Python but not the main thread.
"""

from __future__ import annotations

import json
import logging
import signal
import threading

import _ipmpi

from . import errors, frontend
from .session import pack

log = logging.getLogger("ipmpi.engine")


def _clear(kernel, content: dict) -> dict:
    """clear_request: drops the user's names, at once, also under a running
    task (as upstream). The execution count stays."""
    kernel.shell.reset(new_session=False)
    return {"status": "ok"}


def _interrupt(kernel, content: dict) -> dict:
    """interrupt_request: SIGINT for the main thread."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    return {"status": "ok"}


HANDLERS = {
    "clear_request": _clear,
    "interrupt_request": _interrupt,
    **{name: frontend.HANDLERS[name] for name in (
        "kernel_info_request", "connect_request", "comm_info_request")},
}


def start(kernel) -> threading.Thread:
    """Starts the thread; it ends when the C side says so."""
    thread = threading.Thread(target=_serve, args=(kernel,), daemon=True,
                              name="ipmpi-control")
    thread.start()
    return thread


def _serve(kernel) -> None:
    while True:
        request = _ipmpi.take_control()
        if request is None:
            return
        ref, msg_type, _, content, _ = request
        _ipmpi.reply_control(ref, *answer(kernel, msg_type, content), ())


def answer(kernel, msg_type: str, content: bytes) -> tuple[int, bytes]:
    """The status and content of one reply; errors become error replies."""
    handler = HANDLERS.get(msg_type)
    if handler is None:
        log.warning("unknown control request %r", msg_type)
        return _ipmpi.UNKNOWN, b"{}"
    try:
        return _ipmpi.OK, pack(handler(kernel, json.loads(content)))
    except BaseException as exc:
        log.exception("%s failed", msg_type)
        failed = errors.error_content(kernel, exc, None, msg_type)
        return _ipmpi.ERROR, pack(failed)
