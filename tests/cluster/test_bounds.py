"""Rank 0 holds a bounded amount for its clients: above it they wait, and
nothing is lost."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest
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
