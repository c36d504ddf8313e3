"""execute_request: run a cell through IPython.

A plain cell runs at once. One with a top-level await runs as a task on the
loop; `run` then returns a coroutine, and the caller holds later requests until
it is done.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import getpass
import inspect
import json
import sys
from collections.abc import Coroutine
from typing import Any

import _ipmpi
from IPython.core.error import StdinNotImplementedError

from . import errors
from .session import pack


class Request:
    """The content of an execute_request, with its defaults filled in.

    Raises KeyError, TypeError or ValueError if it is malformed.
    """

    def __init__(self, content: bytes) -> None:
        fields = json.loads(content)
        self.code = str(fields["code"])
        self.silent = bool(fields.get("silent", False))
        self.store_history = bool(fields.get("store_history",
                                             not self.silent))
        self.user_expressions = dict(fields.get("user_expressions") or {})
        self.stop_on_error = bool(fields.get("stop_on_error", True))


def _no_input(prompt: object = "", **_: Any) -> str:
    raise StdinNotImplementedError(
        "raw_input was called, but this frontend does not support input "
        "requests.")


@contextlib.contextmanager
def _without_input():
    """While a cell runs, input() and getpass() fail instead of waiting."""
    saved = builtins.input, getpass.getpass
    builtins.input = getpass.getpass = _no_input
    try:
        yield
    finally:
        builtins.input, getpass.getpass = saved


def run(kernel, ref: int, content: bytes) -> Coroutine | None:
    """Runs one request and replies, or returns the coroutine that will."""
    try:
        request = Request(content)
    except (KeyError, TypeError, ValueError) as exc:
        failed = errors.error_content(kernel, exc, None, "execute")
        kernel.reply(ref, _ipmpi.ERROR, pack(failed), ())
        return None
    shell = kernel.shell
    if not request.silent:
        kernel.session.send(
            kernel.iopub_socket, "execute_input",
            {"code": request.code, "execution_count": shell.execution_count},
            ident=kernel.topic("execute_input"))
    transformed, failure = _transform(shell, request.code)
    if _is_async(shell, request.code, transformed, failure):
        return _run_async(kernel, ref, request, transformed, failure)
    _run_now(kernel, ref, request)
    return None


def _transform(shell, code: str) -> tuple[str, tuple | None]:
    try:
        return shell.transform_cell(code), None
    except Exception:
        return code, sys.exc_info()


def _is_async(shell, code: str, transformed: str,
              failure: tuple | None) -> bool:
    """Whether the cell needs the loop: it awaits, and the runner is ours."""
    from IPython.core.interactiveshell import _asyncio_runner

    return shell.loop_runner is _asyncio_runner and shell.should_run_async(
        code, transformed_cell=transformed, preprocessing_exc_tuple=failure)


def _run_now(kernel, ref: int, request: Request) -> None:
    interrupts = kernel.interrupts
    try:
        try:
            interrupts.arm()
            with _without_input():
                result = kernel.shell.run_cell(
                    request.code, store_history=request.store_history,
                    silent=request.silent)
                content = _content(kernel, request, result)
        finally:
            interrupts.disarm()
    except BaseException as exc:  # IPython's own code was interrupted
        interrupts.disarm()
        content = _broken(kernel, exc)
    _finish(kernel, ref, request, content)


async def _run_async(kernel, ref: int, request: Request, transformed: str,
                     failure: tuple | None) -> None:
    shell = kernel.shell
    shell._last_traceback = None
    shell._last_traceback_during_displayhook = False
    cell = asyncio.get_running_loop().create_task(
        shell.run_cell_async(
            request.code, store_history=request.store_history,
            silent=request.silent, transformed_cell=transformed,
            preprocessing_exc_tuple=failure),
        context=kernel.context)
    try:
        with kernel.interrupts.cancelling(cell), _without_input():
            result = None
            try:
                result = await cell
            finally:
                shell.events.trigger("post_execute")
                if not request.silent:
                    shell.events.trigger("post_run_cell", result)
            content = _content(kernel, request, result)
    except BaseException as exc:  # cancelled before its first step
        if not cell.done():
            cell.cancel()
        content = _broken(kernel, exc)
    _finish(kernel, ref, request, content)


def _content(kernel, request: Request, result) -> dict[str, Any]:
    """The reply of a cell that IPython ran to its end, good or bad."""
    shell = kernel.shell
    in_display = getattr(shell, "_last_traceback_during_displayhook", False)
    if result.success and not in_display:
        content: dict[str, Any] = {"status": "ok"}
        expressions = shell.user_expressions(request.user_expressions)
    else:
        exc = result.error_before_exec or result.error_in_exec
        content = errors.error_content(kernel, exc, shell._last_traceback,
                                       "execute")
        expressions = {}
    content["user_expressions"] = expressions
    return _counted(shell, content)


def _broken(kernel, exc: BaseException) -> dict[str, Any]:
    content = errors.report(kernel, exc, "execute")
    content["user_expressions"] = {}
    return _counted(kernel.shell, content)


def _counted(shell, content: dict[str, Any]) -> dict[str, Any]:
    content["execution_count"] = shell.execution_count - 1
    content["payload"] = shell.payload_manager.read_payload()
    shell.payload_manager.clear_payload()
    return content


def _finish(kernel, ref: int, request: Request,
            content: dict[str, Any]) -> None:
    failed = content["status"] != "ok"
    kernel.reply(
        ref, _ipmpi.ERROR if failed else _ipmpi.OK, pack(content), (),
        abort_queued=failed and not request.silent and request.stop_on_error)
