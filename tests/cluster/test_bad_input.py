"""What a stranger, a broken program or a vanished client may send: it is
dropped, counted, logged at a limited rate, and disturbs nobody."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ipyparallel import interactive
from raw import CHANNELS, DELIMITER, RawClient

MEBI = 1 << 20


def sealed(raw: RawClient, parts: list[bytes]) -> list[bytes]:
    """Rightly signed, whatever the parts hold."""
    return [DELIMITER, raw.sign(parts[:4]), *parts]


def unsigned(raw):
    frames = raw.frames("connection_request")
    return [DELIMITER, b"", *frames[2:]]


def wrongly_signed(raw):
    frames = raw.frames("connection_request")
    return [DELIMITER, b"0" * 64, *frames[2:]]


def signed_with_another_key(raw):
    frames = raw.frames("connection_request")
    right, raw.key = raw.key, b"another"
    forged = [DELIMITER, raw.sign(frames[2:6]), *frames[2:]]
    raw.key = right
    return forged


def changed_after_signing(raw):
    frames = raw.frames("connection_request")
    return [*frames[:5], b'{"targets": null}']


def signature_too_long(raw):
    frames = raw.frames("connection_request")
    return [DELIMITER, frames[1] * 1000, *frames[2:]]


def truncated(raw):
    return raw.frames("connection_request")[:4]


def nothing_after_delimiter(raw):
    return [DELIMITER]


def no_delimiter(raw):
    return raw.frames("connection_request")[1:]


def one_empty_frame(raw):
    return [b""]


def header_is_not_json(raw):
    return sealed(raw, [b"{not json", b"{}", b"{}", b"{}"])


def header_is_a_list(raw):
    return sealed(raw, [b"[]", b"{}", b"{}", b"{}"])


def header_is_empty(raw):
    return sealed(raw, [b"{}", b"{}", b"{}", b"{}"])


def metadata_is_not_json(raw):
    header = json.dumps(raw.header("apply_request")).encode()
    return sealed(raw, [header, b"{}", b"\xff\xfe", b"{}"])


def no_msg_id(raw):
    return raw.frames("x", header=raw.header("connection_request",
                                             msg_id=None))


def msg_type_is_a_number(raw):
    return raw.frames("x", header=raw.header("x", msg_type=7))


def deep_nesting(raw):
    header = json.dumps(raw.header("connection_request"))
    deep = header[:-1] + ', "x": ' + "[" * 100000 + "]" * 100000 + "}"
    return sealed(raw, [deep.encode(), b"{}", b"{}", b"{}"])


def oversized_header(raw):
    header = raw.header("connection_request", filler="x" * (8 * MEBI))
    return raw.frames("x", header=header)


BAD = [unsigned, wrongly_signed, signed_with_another_key,
       changed_after_signing, signature_too_long, truncated,
       nothing_after_delimiter, no_delimiter, one_empty_frame,
       header_is_not_json, header_is_a_list, header_is_empty,
       metadata_is_not_json, no_msg_id, msg_type_is_a_number, deep_nesting,
       oversized_header]


@pytest.mark.parametrize("channel", CHANNELS)
def test_bad_messages_are_dropped(cluster, rc, channel):
    with RawClient(cluster.info()) as raw:
        for make in BAD:
            raw.send(channel, make(raw))
        assert raw.receive(channel, 1.0) is None
        # the same socket still serves who behaves
        raw.ask("registration", "connection_request")
    assert rc[:].apply_sync(os.getpid)
    status = rc.queue_status()
    assert status["unassigned"] == 0
    assert all(status[i]["queue"] == status[i]["tasks"] == 0
               for i in rc.ids)


def test_replay_is_dropped(cluster):
    with RawClient(cluster.info()) as raw:
        frames = raw.frames("connection_request")
        raw.send("registration", frames)
        assert raw.receive("registration", 10)["content"]["status"] == "ok"
        raw.send("registration", frames)
        assert raw.receive("registration", 0.5) is None
    with RawClient(cluster.info()) as other:
        other.send("registration", frames)
        assert other.receive("registration", 0.5) is None


def test_replayed_work_runs_once(cluster, rc):
    view = rc[0]
    view.push({"runs": 0}, block=True)
    with RawClient(cluster.info()) as raw:
        hello = raw.ask("registration", "connection_request")
        uuid = hello["content"]["engines"]["0"].encode()
        frames = raw.frames("execute_request", route=(uuid,),
                            content={"code": "runs += 1", "silent": True})
        for _ in range(5):
            raw.send("mux", frames)
        assert raw.receive("mux", 10)["content"]["status"] == "ok"
        assert raw.receive("mux", 0.5) is None
    assert view.pull("runs", block=True) == 1


def test_flood_is_logged_at_a_limited_rate(make_cluster, connect):
    cluster = make_cluster(1)
    rc = connect(cluster)
    before = len(cluster.log().splitlines())
    with RawClient(cluster.info()) as raw:
        for _ in range(3000):
            raw.send("task", wrongly_signed(raw))
        # they were read when this comes back
        raw.ask("registration", "connection_request")
        end = time.monotonic() + 10
        while "signature" not in cluster.log():
            assert time.monotonic() < end, "nothing was logged"
            time.sleep(0.05)
        assert rc[:].apply_sync(os.getpid)
    lines = cluster.log().splitlines()[before:]
    assert 1 <= len(lines) < 60
    assert not any(cluster.info()["key"] in line for line in lines)


def resident(pid: int) -> int:
    """Bytes of memory that a process holds alone."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(n) for n in
                      re.findall(r"Private_\w+:\s+(\d+) kB", text))


def test_client_that_promises_a_gigabyte(cluster, rc):
    """A ZMTP frame header that announces 4 GiB, a little of it, and gone."""
    pid = cluster.controller()
    before = resident(pid)
    for _ in range(8):
        with socket.create_connection(
                ("127.0.0.1", cluster.info()["mux"]), timeout=10) as plain:
            plain.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" +
                          b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
            plain.recv(64)
            ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
            plain.sendall(b"\x04" + bytes([len(ready)]) + ready)
            plain.sendall(b"\x02" + (4 << 30).to_bytes(8, "big"))
            plain.sendall(bytes(100000))
    assert rc[:].apply_sync(os.getpid)
    assert resident(pid) - before < 64 * MEBI


@pytest.mark.parametrize("noise", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 5000, b"\xff" * 5000,
    random.Random(1).randbytes(5000), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
], ids=["http", "zeros", "ones", "random", "tls"])
def test_noise_on_every_port(cluster, rc, noise):
    info = cluster.info()
    for name in (*CHANNELS, "iopub", "notification"):
        with socket.create_connection(("127.0.0.1", info[name]),
                                      timeout=10) as plain:
            try:
                plain.sendall(noise)
            except OSError:
                pass  # cut off in the middle: fine
    assert rc[:].apply_sync(os.getpid)


VANISHING = """
import os, sys, time, ipyparallel as ipp
rc = ipp.Client(profile_dir=sys.argv[1])
rc.wait_for_engines(4, timeout=30)
for view in (rc[:], rc.load_balanced_view()):
    for _ in range(5):
        view.apply_async(time.sleep, 0.05)
rc[:].push({"big": bytes(50_000_000)})
while rc.queue_status()[0]["queue"] == 0:
    pass
print("now", flush=True)
time.sleep(60)
"""


def test_client_that_vanishes_with_work_under_way(cluster, rc):
    client = subprocess.Popen(
        [sys.executable, "-c", VANISHING, str(cluster.profile_dir)],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=cluster.env)
    try:
        assert client.stdout.readline() == b"now\n"
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
        client.stdout.close()
    end = time.monotonic() + 20
    while True:
        status = rc.queue_status()
        if status["unassigned"] == 0 and all(
                status[i]["queue"] == status[i]["tasks"] == 0
                for i in rc.ids):
            break
        assert time.monotonic() < end, status
        time.sleep(0.05)
    assert rc[:].apply_sync(interactive(lambda: 5)) == [5] * 4
