"""The requests of Jupyter front ends that only ask: completion, inspection,
history and information. The parallel client sends none of them."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core import release
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.utils.tokenutil import token_at_cursor

PROTOCOL_VERSION = "5.3"


def complete(kernel, content: dict) -> dict[str, Any]:
    """complete_request: {"code", "cursor_pos"}."""
    code = content["code"]
    cursor = content.get("cursor_pos")
    if cursor is None:
        cursor = len(code)
    with provisionalcompleter():
        found = list(rectify_completions(
            code, kernel.shell.Completer.completions(code, cursor)))
    types = [{"start": one.start, "end": one.end, "text": one.text,
              "type": one.type, "signature": one.signature} for one in found]
    return {
        "status": "ok",
        "matches": [one.text for one in found],
        "cursor_start": found[0].start if found else cursor,
        "cursor_end": found[0].end if found else cursor,
        "metadata": {"_jupyter_types_experimental": types},
    }


def inspect(kernel, content: dict) -> dict[str, Any]:
    """inspect_request: {"code", "cursor_pos", "detail_level"}."""
    shell = kernel.shell
    name = token_at_cursor(content["code"], content["cursor_pos"])
    data: dict[str, Any] = {}
    try:
        data = dict(shell.object_inspect_mime(
            name, detail_level=content.get("detail_level", 0),
            omit_sections=tuple(content.get("omit_sections", ()))))
        found = True
        if not shell.enable_html_pager:
            data.pop("text/html", None)
    except KeyError:
        found = False
    return {"status": "ok", "data": data, "metadata": {}, "found": found}


def is_complete(kernel, content: dict) -> dict[str, Any]:
    """is_complete_request: {"code"}."""
    manager = kernel.shell.input_transformer_manager
    status, indent = manager.check_complete(content["code"])
    reply: dict[str, Any] = {"status": status}
    if status == "incomplete":
        reply["indent"] = " " * (indent or 0)
    return reply


def history(kernel, content: dict) -> dict[str, Any]:
    """history_request: tail, range or search of this engine's inputs."""
    manager = kernel.shell.history_manager
    raw, output = content.get("raw", True), content.get("output", False)
    kind = content.get("hist_access_type")
    if kind == "tail":
        rows = manager.get_tail(content.get("n") or 10, raw=raw,
                                output=output, include_latest=True)
    elif kind == "range":
        rows = manager.get_range(
            content.get("session", 0), content.get("start", 0),
            content.get("stop"), raw=raw, output=output)
    elif kind == "search":
        rows = manager.search(
            content.get("pattern") or "*", raw=raw, output=output,
            n=content.get("n"), unique=content.get("unique", False))
    else:
        rows = []
    return {"status": "ok", "history": list(rows)}


def kernel_info(kernel, content: dict) -> dict[str, Any]:
    """kernel_info_request."""
    return {
        "status": "ok",
        "protocol_version": PROTOCOL_VERSION,
        "implementation": "ipython",
        "implementation_version": release.version,
        "language_info": {
            "name": "python",
            "version": sys.version.split()[0],
            "mimetype": "text/x-python",
            "codemirror_mode": {"name": "ipython",
                                "version": sys.version_info[0]},
            "pygments_lexer": "ipython3",
            "nbconvert_exporter": "python",
            "file_extension": ".py",
        },
        "banner": kernel.shell.banner,
        "help_links": [],
        "supported_features": [],
    }


def connect(kernel, content: dict) -> dict[str, Any]:
    """connect_request: an engine has no ports of its own."""
    return {"status": "ok"}


def comm_info(kernel, content: dict) -> dict[str, Any]:
    """comm_info_request: the open comms, of one target if it is named."""
    target = content.get("target_name")
    comms = {key: {"target_name": comm.target_name}
             for key, comm in dict(kernel.comm_manager.comms).items()
             if target in (None, comm.target_name)}
    return {"status": "ok", "comms": comms}


HANDLERS = {
    "complete_request": complete,
    "inspect_request": inspect,
    "is_complete_request": is_complete,
    "history_request": history,
    "kernel_info_request": kernel_info,
    "connect_request": connect,
    "comm_info_request": comm_info,
}
