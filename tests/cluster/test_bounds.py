"""Rank 0 holds a bounded amount for its clients: above it they wait, and
nothing is lost."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from harness import places
from harness.spawn import add_engines
from ipyparallel import interactive
from raw import RawClient

MEBI = 1 << 20


@pytest.fixture(autouse=True)
def only_here(kind):
    if kind != "ipmpi":
        pytest.skip("upstream's controller has no bounds")


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Rss:\s+(\d+)", text)[1]) / 1024


def submit(client: RawClient, n: int, size: int) -> None:
    """Tasks that nobody will ever run: they only have to be held."""
    for _ in range(n):
        client.send("task", client.frames(
            "apply_request", metadata={"retries": 0}, buffers=(bytes(size),)))


def status(client: RawClient) -> dict:
    return client.ask("registration", "ipmpi_status_request")["content"]


@pytest.mark.parametrize("n, size", [(200, MEBI), (20000, 300)],
                         ids=["large", "small"])
def test_held_work_is_bounded(make_cluster, n, size):
    """No engine takes the work: 200 MB, or 110 MB in small pieces, with a
    bound of 32. The rest waits in the client, and other requests go on."""
    cluster = make_cluster(0, args=("--memory=32",))
    before = resident_mb(cluster.controller())
    with RawClient(cluster.info()) as client:
        client.socket("task").sndhwm = 0
        client.ask("registration", "connection_request")
        submit(client, n, size)
        end = time.monotonic() + 30
        while (seen := status(client))["controller"]["held_bytes"] < 32 * MEBI:
            assert time.monotonic() < end, seen
            time.sleep(0.01)
        held = seen["controller"]["held_bytes"]
        assert held < 40 * MEBI
        assert 0 < seen["unassigned"] < n
        # What ZMQ has read ahead is bounded by its own marks.
        assert resident_mb(cluster.controller()) - before < 120
        assert status(client)["unassigned"] == seen["unassigned"]


@interactive
def length(data):
    return len(data)


def test_held_back_work_is_done_in_the_end(make_cluster, connect):
    """More than may be held, from two clients; engines come late."""
    cluster = make_cluster(0, args=("--memory=16",))
    length.__module__ = "__main__"
    clients = [connect(cluster) for _ in range(2)]
    for client in clients:  # what it imports is not made for threads
        client.load_balanced_view().apply_async(length, b"")
    found: list = [None, None]

    def work(i: int) -> None:
        view = clients[i].load_balanced_view()
        ars = [view.apply_async(length, bytes(MEBI + n)) for n in range(60)]
        found[i] = [ar.get(60) for ar in ars]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    add_engines(cluster.connection_file, 2)
    for thread in threads:
        thread.join(90)
    assert found == [[MEBI + n for n in range(60)]] * 2


@interactive
def megabytes(n):
    return bytes(n << 20)


class Unread:
    """A raw client that submits tasks with results of 1 MB, and may leave them
    unread: neither it nor the kernel takes much in its place."""

    def __init__(self, cluster, n: int) -> None:
        import zmq
        from ipyparallel.serialize import pack_apply_message

        megabytes.__module__ = "__main__"
        self.client = RawClient(cluster.info())
        self.wanted = n
        self.client.ask("registration", "connection_request")
        dealer = self.client.context.socket(zmq.DEALER)
        dealer.linger, dealer.rcvhwm, dealer.rcvbuf = 0, 1, 1 << 16
        dealer.connect("{interface}:{task}".format(**self.client.info))
        self.client.sockets["task"] = dealer
        call = pack_apply_message(megabytes, (1,), {})
        for _ in range(n):
            self.client.send("task", self.client.frames(
                "apply_request", buffers=tuple(map(bytes, call))))

    def read(self, seconds: float = 30) -> int:
        """Reads everything; how many replies were right."""
        right = 0
        for _ in range(self.wanted):
            reply = self.client.receive("task", seconds)
            if reply is None:
                break
            right += reply["metadata"]["status"] == "ok"
        return right


def settled_mb(pid: int, seconds: float = 30) -> float:
    """The memory of a process, once it has stopped growing."""
    last, end = resident_mb(pid), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(2)  # a span to measure over
        now = resident_mb(pid)
        if abs(now - last) < 1:
            return now
        last = now
    raise TimeoutError(f"{last} MB and growing")


ARGS = ("--memory=32", "--db=none")  # the database keeps results, too


def test_unread_replies_hold_back(make_cluster):
    """300 MB of results that nobody reads for a while; then all of them."""
    cluster = make_cluster(2, args=ARGS)
    before = resident_mb(cluster.controller())
    late = Unread(cluster, 300)
    with late.client:
        assert settled_mb(cluster.controller()) - before < 100
        assert late.read() == 300


@pytest.mark.long
def test_a_deaf_client_stops_nobody(make_cluster, connect):
    """It is waited for, for 30 s; then others go on, and it costs no more."""
    cluster = make_cluster(2, args=ARGS)
    before = resident_mb(cluster.controller())
    deaf = Unread(cluster, 300)
    with deaf.client:
        rc = connect(cluster)
        assert rc.load_balanced_view().map_sync(length, [b"abc"] * 20) == (
            [3] * 20)
        assert "CLIENT-DEAF" in cluster.log()
        assert resident_mb(cluster.controller()) - before < 150
        # The tasks have run; rank 0 has nothing more to do with them.
        status = rc.queue_status()
        assert status["unassigned"] == 0
    assert rc[:].apply_sync(length, b"abcd") == [4, 4]


@pytest.mark.long
@pytest.mark.seconds(600)
def test_a_long_life_costs_no_memory():
    """400,000 tasks: the second half lets nobody grow."""
    done = subprocess.run(
        [sys.executable, "-B", places.TESTS / "bench" / "million",
         "--tasks", "400000"], capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
