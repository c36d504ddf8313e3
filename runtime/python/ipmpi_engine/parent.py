"""The request whose output is being published.

The C side holds the same state as bytes; here it is decoded only when someone
looks, because most requests never do.
"""

from __future__ import annotations

import json
from typing import Any

import _ipmpi


def message_from(header: dict, content: dict | None = None,
                 buffers: list | None = None) -> dict[str, Any]:
    """A message dict as jupyter_client makes them, of a decoded header."""
    return {
        "header": header,
        "msg_id": header.get("msg_id", ""),
        "msg_type": header.get("msg_type", ""),
        "parent_header": {},
        "metadata": {},
        "content": {} if content is None else content,
        "buffers": [] if buffers is None else buffers,
    }


class Parent:
    """Holds the header of the current request; one for the whole process."""

    def __init__(self) -> None:
        self._raw = b""
        self._message: dict[str, Any] | None = {}
        self.front = None
        """The bound.FrontRequest whose output this is, if it is one's."""

    def begin(self, header: bytes) -> None:
        """A request starts; the C side has set its own parent already."""
        self._raw = header
        self._message = None
        self.front = None

    def begin_front(self, request) -> None:
        """A front end's request (bound.FrontRequest) starts."""
        self.set(request.msg)
        self.front = request
        request.state("busy")

    def set(self, message: dict[str, Any] | None) -> None:
        """User code redirects output to another request's message.

        `message` may be a message or a bare header, as in jupyter_client.
        """
        header = (message or {}).get("header", message) or {}
        self._raw = json.dumps(header, default=str).encode() if header else b""
        self._message = message_from(header) if header else {}
        self.front = None
        _ipmpi.set_parent(self._raw or b"{}")

    @property
    def message(self) -> dict[str, Any]:
        """The request as a message dict, {} before the first one."""
        if self._message is None:
            self._message = message_from(json.loads(self._raw))
        return self._message

    @property
    def header(self) -> dict[str, Any]:
        """The header of `message`: always the same dict for one request."""
        return self.message.get("header", {})

    def is_current(self, header: dict | None) -> bool:
        """Whether output for `header` goes where output goes anyway."""
        return not header or header is (self._message or {}).get("header")


current = Parent()
