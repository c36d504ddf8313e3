"""The jupyter_client Session of an engine: messages leave through C.

Display hooks, comms and user code send by `session.send(socket, ...)`. The
socket is ignored here: there is only IOPub. The C side makes the header, signs
and queues the message; nothing is copied but small buffers.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

import _ipmpi
from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session, extract_header

from . import forked
from .parent import current

ITEM_THRESHOLD = 64
"""Containers of fewer items are canned item by item (upstream's value)."""

BUFFER_THRESHOLD = 1024
"""Bytes; larger buffers travel outside the pickle (upstream's value)."""


def _plain(value: Any) -> Any:
    """`value` in terms that JSON has: no NaN, no foreign keys or objects."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        return json_default(value)
    except TypeError:
        return repr(value)


def pack(value: Any) -> bytes:
    """JSON text of `value`, whatever it holds; never raises for odd content.

    User code fills display data with anything: what JSON lacks becomes its
    repr, and a lone surrogate becomes an escape, rather than a lost message.
    """
    try:
        text = json.dumps(value, default=json_default, ensure_ascii=False,
                          allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(_plain(value), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")


class IOPub:
    """Stands where kernels keep the socket that outputs go to."""

    def __repr__(self) -> str:
        return "<ipmpi output channel>"


class EngineSession(Session):
    """Sends every message to IOPub, under the current request."""

    def bind(self, session: str, username: str, key: bytes,
             engine_uuid: str) -> None:
        """Gives the session its identity, once the engine knows its own."""
        self.session = session
        self.username = username
        self.key = key
        self.pid = os.getpid()
        self.metadata = {"engine": engine_uuid}

    def send(self, stream, msg_or_type, content=None, parent=None, ident=None,
             buffers=None, track=False, header=None, metadata=None):
        """Publishes one message; returns it. See `Session.send`.

        The msg_id of the returned message is not the one that is sent.
        """
        if isinstance(msg_or_type, dict):
            msg = msg_or_type
            buffers = buffers or msg.get("buffers")
        else:
            msg = self.msg(msg_or_type, content=content, parent=parent,
                           header=header, metadata=metadata)
        if forked.in_child:
            return msg
        parent_header = msg.get("parent_header")
        if current.front is not None and current.is_current(parent_header):
            current.front.publish(
                msg["header"]["msg_type"], json.loads(pack(msg["content"])),
                json.loads(pack(msg["metadata"])), _contiguous(buffers))
            return msg
        _ipmpi.publish(
            msg["header"]["msg_type"],
            pack(msg["content"]),
            pack(msg["metadata"]) if msg["metadata"] else None,
            _contiguous(buffers),
            None if current.is_current(parent_header)
            else pack(extract_header(parent_header)),
            _topic(ident),
        )
        msg["buffers"] = list(buffers or ())
        return msg


def _topic(ident: Any) -> str | None:
    if isinstance(ident, (list, tuple)):
        ident = ident[0] if ident else None
    if isinstance(ident, (bytes, memoryview)):
        return bytes(ident).decode("utf-8", "replace")
    return ident


def _contiguous(buffers: Any) -> list:
    """`buffers` as a list; ValueError names the first that cannot be sent."""
    checked = list(buffers or ())
    for index, buffer in enumerate(checked):
        view = buffer if isinstance(buffer, memoryview) else memoryview(buffer)
        if not view.contiguous:
            raise ValueError(f"Buffer {index} ({buffer!r}) is not contiguous")
    return checked
