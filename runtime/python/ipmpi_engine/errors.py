"""Exceptions of user code as reply content."""

from __future__ import annotations

import logging
import traceback
from typing import Any

log = logging.getLogger("ipmpi.engine")


def text_of(exc: BaseException | None) -> str:
    """str(exc), even if its __str__ fails."""
    try:
        return str(exc)
    except BaseException as failure:
        return ("Failed to cast exception to string: "
                f"{type(failure).__name__}")


def error_content(kernel, exc: BaseException | None, stb: list | None,
                  method: str) -> dict[str, Any]:
    """The content of an error reply; `stb` is a formatted traceback."""
    return {
        "status": "error",
        "ename": type(exc).__name__,
        "evalue": text_of(exc),
        "traceback": stb or [],
        "engine_info": {"engine_uuid": kernel.ident,
                        "engine_id": kernel.engine_id, "method": method},
    }


def report(kernel, exc: BaseException, method: str) -> dict[str, Any]:
    """Publishes `exc` (being handled) by IPython's formatter, as an error
    message; returns the content for the reply. Never raises."""
    shell = kernel.shell
    shell._last_traceback = None
    try:
        shell.showtraceback()
    except BaseException as failure:
        log.error("cannot show the traceback of a %s: %s",
                  type(exc).__name__, text_of(failure))
    stb, shell._last_traceback = shell._last_traceback, None
    if stb is None:
        try:
            stb = traceback.format_exception(exc)
        except BaseException:
            stb = [type(exc).__name__]
    return error_content(kernel, exc, stb, method)


def publish(kernel, content: dict[str, Any]) -> None:
    """Publishes an error that IPython has not shown."""
    shown = {key: content[key] for key in ("ename", "evalue", "traceback")}
    kernel.session.send(kernel.iopub_socket, "error", shown,
                        ident=kernel.topic("error"))
