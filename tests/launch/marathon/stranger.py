"""A stranger at the controller's doors: an ipyparallel client's messages, well
made, and signed with a key of the stranger's own. Runs in the client's Python:

    stranger.py CONNECTION_FILE

The key in the file is not used. Prints what came back for each request; all of
it is expected to be nothing.
"""
from __future__ import annotations

import json
import sys

import zmq
from ipyparallel.serialize import pack_apply_message
from jupyter_client.session import Session

WAIT_MS = 1500


def owned(*_) -> None:
    """What the stranger would like to run."""
    open("/tmp/owned", "w").close()


def main() -> None:
    with open(sys.argv[1]) as file:
        info = json.load(file)
    session = Session(key=b"a key of the stranger's own")
    unsigned = Session(key=b"")
    buffers = pack_apply_message(owned, (), {}, buffer_threshold=1 << 20,
                                 item_threshold=64)
    requests = [
        ("registration", "connection_request", {}, []),
        ("registration", "shutdown_request", {}, []),
        ("registration", "queue_request", {"verbose": True}, []),
        ("registration", "registration_request",
         {"uuid": "stranger", "id": None}, []),
        ("registration", "unregistration_request", {"id": 0}, []),
        ("registration", "ipmpi_spawn_request", {"n": 1}, []),
        ("control", "shutdown_request", {"restart": False}, []),
        ("control", "clear_request", {}, []),
        ("mux", "execute_request",
         {"code": "open('/tmp/owned', 'w')", "silent": False}, []),
        ("mux", "apply_request", {}, buffers),
        ("task", "apply_request", {}, buffers),
        ("broadcast", "apply_request", {}, buffers),
    ]
    context = zmq.Context()
    answers = []
    for channel, kind, content, tail in requests:
        for signer in (session, unsigned):
            sock = context.socket(zmq.DEALER)
            sock.linger = 0
            sock.connect(f"{info['interface']}:{info[channel]}")
            targets = [b"0"] if channel in ("mux", "control") else []
            for ident in targets or [None]:
                signer.send(sock, kind, content, buffers=tail, ident=ident)
            if sock.poll(WAIT_MS):
                answers.append((channel, kind, len(sock.recv_multipart())))
            sock.close()
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
