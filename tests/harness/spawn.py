"""More engines for a running ipmpi cluster: the request ipmpi_spawn_request,
spoken at the hub's registration port by any program that can read the
connection file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import zmq
from jupyter_client.session import Session


def _connection(where) -> dict:
    """The parsed connection file of a client, or of a path."""
    if hasattr(where, "_connection_info_file"):
        where = where._connection_info_file
    if isinstance(where, (str, Path)):
        return json.loads(Path(where).read_text())
    return where


def add_engines(where, n: int, environment: dict[str, str] | None = None,
                timeout: float = 60.0) -> list[int]:
    """Adds n engines and returns their ids once all are ready.

    where: path of the client's connection file, or its parsed content.
    environment: added to that of the new engines.
    RuntimeError: the cluster refused, with its reason; TimeoutError: no
    answer within `timeout` seconds (the engines may still come).
    """
    info = _connection(where)
    session = Session(key=info["key"].encode(),
                      signature_scheme=info["signature_scheme"])
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    try:
        if info.get("curve_serverkey"):
            public, secret = zmq.curve_keypair()
            socket.curve_serverkey = info["curve_serverkey"].encode()
            socket.curve_publickey, socket.curve_secretkey = public, secret
        socket.connect(f"{info['interface']}:{info['registration']}"
                       .replace("*", "127.0.0.1")
                       .replace("0.0.0.0", "127.0.0.1"))
        content = {"n": n, "environment": environment}
        session.send(socket, "ipmpi_spawn_request", content)
        return _answer(session, socket, time.monotonic() + timeout)
    finally:
        context.destroy(linger=0)


def _answer(session: Session, socket: zmq.Socket, end: float) -> list[int]:
    while True:
        left = end - time.monotonic()
        if left <= 0 or not socket.poll(1000 * left):
            raise TimeoutError("no answer to ipmpi_spawn_request")
        _, message = session.recv(socket)
        if message is None or message["msg_type"] != "ipmpi_spawn_reply":
            continue
        content = message["content"]
        if content["status"] != "ok":
            raise RuntimeError(content["evalue"])
        return content["engine_ids"]
