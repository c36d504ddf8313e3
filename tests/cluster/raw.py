"""A client that is free to misbehave: frames by hand over plain ZMQ."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid

import zmq

DELIMITER = b"<IDS|MSG>"
CHANNELS = ("registration", "control", "mux", "task", "broadcast")


class RawClient:
    """Sockets made from a connection file's keys; a context manager."""

    def __init__(self, info: dict) -> None:
        self.info = info
        self.key = info["key"].encode()
        self.session = uuid.uuid4().hex
        self.context = zmq.Context()
        self.sockets: dict[str, zmq.Socket] = {}
        self.count = 0

    def socket(self, channel: str) -> zmq.Socket:
        """The DEALER for a channel, made at the first use."""
        if channel not in self.sockets:
            dealer = self.context.socket(zmq.DEALER)
            dealer.linger = 0
            dealer.connect(f"{self.info['interface']}:{self.info[channel]}")
            self.sockets[channel] = dealer
        return self.sockets[channel]

    def header(self, msg_type: str, /, **changes) -> dict:
        """A right header with a msg_id of its own, then changed."""
        self.count += 1
        date = time.strftime("%Y-%m-%dT%H:%M:%S.000001Z", time.gmtime())
        header = {"msg_id": f"{self.session}_{self.count}",
                  "msg_type": msg_type, "username": "raw",
                  "session": self.session, "date": date, "version": "5.3"}
        header.update(changes)
        return {k: v for k, v in header.items() if v is not None}

    def sign(self, parts: list[bytes]) -> bytes:
        """The signature of the four parts."""
        return hmac.new(self.key, b"".join(parts),
                        hashlib.sha256).hexdigest().encode()

    def frames(self, msg_type: str, content: object = None,
               metadata: object = None, header: dict | None = None,
               route: tuple = (), buffers: tuple = ()) -> list[bytes]:
        """A whole signed message."""
        parts = [json.dumps(part).encode() for part in (
            header or self.header(msg_type), {}, metadata or {},
            {} if content is None else content)]
        return [*route, DELIMITER, self.sign(parts), *parts, *buffers]

    def send(self, channel: str, frames: list[bytes]) -> None:
        self.socket(channel).send_multipart(frames)

    def receive(self, channel: str, seconds: float) -> dict | None:
        """The next reply's parent msg_id, type and content; None: none."""
        dealer = self.socket(channel)
        if not dealer.poll(int(seconds * 1000)):
            return None
        frames = dealer.recv_multipart()
        at = frames.index(DELIMITER)
        header, parent, metadata, content = map(json.loads,
                                                frames[at + 2:at + 6])
        assert frames[at + 1] == self.sign(frames[at + 2:at + 6])
        return {"type": header["msg_type"], "parent": parent,
                "metadata": metadata, "content": content,
                "buffers": frames[at + 6:]}

    def ask(self, channel: str, msg_type: str, seconds: float = 10,
            **keywords) -> dict:
        """Sends a right request and returns its reply."""
        self.send(channel, self.frames(msg_type, **keywords))
        reply = self.receive(channel, seconds)
        assert reply is not None, f"no reply to {msg_type} on {channel}"
        return reply

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *exc) -> None:
        self.context.destroy(linger=0)
