"""Questions to a cluster's controller, without a whole ipyparallel.Client.

A Hub speaks ipyparallel's own protocol over the ports of a connection file:
hub requests on the registration port, control requests to engines, and
notifications. It starts no thread; every wait has a deadline. One Hub belongs
to one thread.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Iterator

import zmq
from ipyparallel.util import disambiguate_ip_address
from jupyter_client.session import Session

ANSWER_SECONDS = 5.0


class HubError(RuntimeError):
    """The controller refused; `ename` is its reason's name."""

    def __init__(self, ename: str, evalue: str) -> None:
        super().__init__(f"{ename}: {evalue}")
        self.ename = ename


class HubTimeout(TimeoutError):
    """The controller did not answer in time."""


class Hub:
    """A connection to the controller that `info` describes.

    info: the parsed client connection file of a cluster
    """

    def __init__(self, info: dict) -> None:
        self._info = info
        self._session = Session(
            key=info.get("key", "").encode(), packer="json", unpacker="json",
            signature_scheme=info.get("signature_scheme", "hmac-sha256"))
        protocol, _, address = info["interface"].partition("://")
        address = disambiguate_ip_address(address, info.get("location"))
        self._interface = f"{protocol}://{address}"
        self._context = zmq.Context()
        self._query = self._connect(zmq.DEALER, "registration")
        self._control = None
        self._news = None

    def _connect(self, kind: int, channel: str) -> zmq.Socket:
        socket = self._context.socket(kind)
        socket.linger = 0
        server = self._info.get("curve_serverkey")
        if server:
            public, secret = zmq.curve_keypair()
            socket.curve_serverkey = server.encode()
            socket.curve_publickey, socket.curve_secretkey = public, secret
        if kind == zmq.SUB:
            socket.rcvhwm = 0
            socket.subscribe(b"")
        socket.connect(f"{self._interface}:{self._info[channel]}")
        return socket

    def close(self) -> None:
        """Drops the connection; what was not sent is lost."""
        self._context.destroy(linger=0)

    def __enter__(self) -> "Hub":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    # -- requests ----------------------------------------------------------

    def ask(self, request: str, content: dict | None = None,
            seconds: float = ANSWER_SECONDS) -> dict:
        """A hub request's answer. HubError, HubTimeout."""
        sent = self._session.send(self._query, request, content or {})
        end = time.monotonic() + seconds
        while True:
            answer = self._receive(self._query, end)
            if answer is None:
                raise HubTimeout(f"no answer to {request} in {seconds:g} s")
            if answer["parent_header"].get("msg_id") == sent["msg_id"]:
                return _checked(answer["content"])

    def engines(self, seconds: float = ANSWER_SECONDS) -> dict[int, str]:
        """The engines that are registered now: id -> uuid."""
        answer = self.ask("connection_request", seconds=seconds)
        return {int(key): uuid for key, uuid in answer["engines"].items()}

    def tell_engines(self, uuids: list[str], request: str, content: dict,
                     seconds: float = ANSWER_SECONDS) -> list[dict]:
        """Sends a control request to each of the engines; the answers that
        came in time, in no order."""
        if self._control is None:
            self._control = self._connect(zmq.DEALER, "control")
        waiting = set()
        for uuid in uuids:
            sent = self._session.send(self._control, request, content,
                                      ident=uuid.encode())
            waiting.add(sent["msg_id"])
        answers = []
        end = time.monotonic() + seconds
        while waiting:
            answer = self._receive(self._control, end)
            if answer is None:
                break
            parent = answer["parent_header"].get("msg_id")
            if parent in waiting:
                waiting.remove(parent)
                answers.append(answer["content"])
        return answers

    # -- notifications -----------------------------------------------------

    def news(self, seconds: float) -> Iterator[tuple[str, dict]]:
        """What the controller announces (type, content), for so long.

        A new subscriber hears of all engines that are registered already.
        """
        if self._news is None:
            self._news = self._connect(zmq.SUB, "notification")
        end = time.monotonic() + seconds
        while True:
            message = self._receive(self._news, end)
            if message is None:
                return
            yield message["msg_type"], message["content"]

    def _receive(self, socket: zmq.Socket, end: float) -> dict | None:
        """The next message that is whole and signed, or None at the end."""
        while True:
            left = max(0.0, end - time.monotonic())
            if not socket.poll(int(left * 1000)):
                return None
            frames = socket.recv_multipart()
            try:
                _, frames = self._session.feed_identities(frames)
                return self._session.deserialize(frames)
            except (ValueError, KeyError, TypeError):
                continue  # not ours


def _checked(content: dict) -> dict:
    if content.get("status") == "error":
        raise HubError(content.get("ename", "Error"),
                       content.get("evalue", ""))
    return content


def local_program(name: str) -> str:
    """The path of one of our programs: $IPMPI_BIN, PATH, or its plain name
    (which then fails with the name in the message)."""
    home = os.environ.get("IPMPI_BIN")
    if home and os.access(os.path.join(home, name), os.X_OK):
        return os.path.join(home, name)
    return shutil.which(name) or name
