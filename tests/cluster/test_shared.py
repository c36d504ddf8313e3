"""Arrays that the engines of a node share: one copy in memory, whatever the
number of engines, and nothing left of it when nobody has it any more."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import ipyparallel as ipp
import pytest
from harness import processes
from ours import WAIT, connected, our_cluster, until

MIB = 1 << 20
SIZE = 32 * MIB
SEGMENT = "/memfd:ipmpi-array"


@pytest.fixture
def four(kind):
    """A cluster of four engines, of which a test may kill any, and a client
    of ours."""
    with our_cluster(kind, 4) as cluster, connected(cluster) as client:
        client[:].execute("import numpy as np", block=True)
        yield cluster, client


def mapped(pid: int, field: str = "Pss:") -> int:
    """Bytes of segments in a process's memory, by the fields of smaps that
    begin so; 0 for one that is gone."""
    total, inside = 0, False
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        if re.match(r"[0-9a-f]+-", line):
            inside = SEGMENT in line
        elif inside and line.startswith(field):
            total += int(line.split()[1]) * 1024
    return total


def holders(cluster) -> list[int]:
    """The processes of a cluster that map a segment or have one open."""
    found = []
    for pid in processes.marked(cluster.mark):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}")
                     for fd in os.listdir(f"/proc/{pid}/fd")]
            text = Path(f"/proc/{pid}/maps").read_text()
        except OSError:
            continue
        if SEGMENT in text or any(SEGMENT in link for link in links):
            found.append(pid)
    return found


@ipp.interactive
def touch():
    return int(x[::4096].sum()), x.flags.writeable  # noqa: F821


def check_one_copy(client) -> list[int]:
    """All engines read all of x; together they have it once."""
    engines = client[:].apply_sync(os.getpid)
    client[:].apply_sync(touch)
    assert all(mapped(pid, "Rss:") >= SIZE for pid in engines)
    assert sum(map(mapped, engines)) < 1.1 * SIZE
    assert all(mapped(pid, "Private_") < 0.1 * SIZE for pid in engines)
    return engines


def test_bcast_lands_once(four):
    cluster, client = four
    view = client[:]
    view.block = True
    client[1].execute(f"x = np.arange({SIZE}, dtype='u1'); z = x[:10]",
                      block=True)
    view.bcast("x", root=1)
    want = [(sum(i % 256 for i in range(0, SIZE, 4096)), False)] * 4
    assert view.apply_sync(touch) == want
    check_one_copy(client)
    with pytest.raises(ipp.RemoteError, match="read-only"):
        client[0].execute("x[0] = 1", block=True)

    view.writable("x", targets=[2])  # its own from now on
    client[2].execute("x[0] = 99", block=True)
    assert view.pull("x[0]", targets=[2]) == [99]
    assert client[0].apply_sync(touch) == want[0]
    client[3].execute("import ipmpi_engine\n"
                      "ipmpi_engine.writable('x')[1] = 77", block=True)
    view.execute("y = int(x[0]), int(x[1])")
    assert view["y"] == [(0, 1), (0, 1), (99, 1), (0, 77)]

    view.execute("del x")
    until(lambda: not holders(cluster), "the segment is still there")


def test_allreduce_lands_once(four):
    cluster, client = four
    view = client[:]
    view.block = True
    view.execute(f"import os; x = np.arange({2 * SIZE // 8}.)[::2]")
    view.allreduce("x", into="y")
    engines = view.apply_sync(os.getpid)
    view.execute("ok = bool((y == 4 * x).all()) and y.flags.writeable")
    assert view["ok"] == [True] * 4
    assert all(mapped(pid, "Rss:") >= SIZE for pid in engines)
    assert sum(map(mapped, engines)) < 1.1 * SIZE
    client[2].execute("y[0] = 99", block=True)
    assert view["float(y[0])"] == [0, 0, 99, 0]
    assert sum(map(mapped, engines)) < 1.1 * SIZE  # but a page
    view.execute("del y")
    until(lambda: not holders(cluster), "the segment is still there")
    view.allreduce("x", "max", into="y", shared=False)
    view.execute("ok = bool((y == x).all())")
    assert view["ok"] == [True] * 4
    assert not holders(cluster)


def test_small_and_private_ones_are_writable(four):
    cluster, client = four
    view = client[:]
    view.block = True
    view.execute(f"x = np.ones({SIZE}, 'u1'); s = np.ones({MIB} - 1, 'u1')")
    view.bcast("x", shared=False)
    view.bcast("s")
    view.execute("x[0] = s[0] = 2")
    assert not holders(cluster)


def test_an_engine_that_dies_keeps_nothing(four):
    cluster, client = four
    view = client[:]
    view.block = True
    view.execute(f"x = np.ones({SIZE}, 'u1')")
    view.bcast("x", root=2)
    engines = check_one_copy(client)
    os.kill(engines[2], signal.SIGKILL)  # the one that made it
    until(lambda: len(client.ids) == 3, "its death is not noticed")
    rest = client[[0, 1, 3]]
    assert all(total == SIZE // 4096 for total, _ in rest.apply_sync(touch))
    rest.execute("del x", block=True)
    until(lambda: not holders(cluster), "the segment is still there")


def test_nothing_is_left_of_a_killed_job(four):
    cluster, client = four
    view = client[:]
    before = set(os.listdir("/dev/shm"))
    client[0].execute(f"x = np.ones({SIZE}, 'u1')", block=True)
    view.bcast("x", block=True)
    assert holders(cluster)
    assert not [name for name in set(os.listdir("/dev/shm")) - before
                if "ipmpi" in name]
    for pid in processes.marked(cluster.mark):
        with contextlib.suppress(ProcessLookupError):  # gone with another
            os.kill(pid, signal.SIGKILL)
    until(lambda: not processes.marked(cluster.mark), "it cannot be killed")
    assert not holders(cluster)


@ipp.interactive
def add_one():
    x[0] += 1  # noqa: F821
    return int(x[0]), int(x[-1]), x.flags.writeable  # noqa: F821


def test_a_stock_client_pushes_one_copy(four):
    """As with ipyparallel each engine may write to what it got."""
    import numpy as np
    cluster, client = four
    with ipp.Client(profile_dir=str(cluster.profile_dir)) as stock:
        view = stock.broadcast_view()
        view.block = True
        x = np.arange(SIZE, dtype="u1")
        view.push({"x": x, "small": np.ones(10), "text": "t" * 5000})
        assert stock[:].apply_sync(touch) == [
            (int(x[::4096].sum()), True)] * 4
        check_one_copy(client)
        stock[1].apply_sync(add_one)
        assert stock[1].apply_sync(add_one) == (2, 255, True)
        assert stock[2].apply_sync(add_one) == (1, 255, True)
        engines = client[:].apply_sync(os.getpid)
        assert sum(map(mapped, engines)) < 1.1 * SIZE  # but a page each
        view.execute("del x")
        until(lambda: not holders(cluster), "the segment is still there")


def test_what_comes_late_shares_it_too(four):
    """Engines that are busy, with more waiting, map it when they are ready."""
    import numpy as np
    cluster, client = four
    for i in (1, 3):
        for _ in range(3):
            client[i].apply_async(time.sleep, 0.3 + i / 10)
    view = client.broadcast_view()
    first = view.push({"x": np.ones(SIZE, "u1")}, block=False)
    second = view.apply_async(touch)
    first.get(WAIT)
    assert second.get(WAIT) == [(SIZE // 4096, True)] * 4
    check_one_copy(client)


def test_a_relay_that_dies_leaves_nobody_waiting(four):
    """The engine that the others get the data from is killed under way."""
    import numpy as np
    cluster, client = four
    view = client.broadcast_view()
    engines = client[:].apply_sync(os.getpid)
    x = np.ones(2 * SIZE, "u1")
    results = [view.push({"x": x}, block=False) for _ in range(6)]
    os.kill(engines[0], signal.SIGKILL)
    for result in results:
        values = [child.result(WAIT) for child in result._children]
        assert values[1:] == [None] * 3
    assert client[[1, 2, 3]].apply_sync(touch) == [
        (2 * SIZE // 4096, True)] * 3


def test_private_copies_where_nothing_can_be_shared(kind):
    with our_cluster(kind, 3, env={"IPMPI_SHARE": "no"}) as cluster, \
            connected(cluster) as client:
        view = client[:]
        view.block = True
        view.execute(f"import numpy as np; x = np.ones({SIZE}, 'u1')")
        view.bcast("x", root=1)
        assert view.apply_sync(touch) == [(SIZE // 4096, False)] * 3
        view.allreduce("x", "max", into="y")
        view.execute("ok = bool((y == 1).all())")
        assert view["ok"] == [True] * 3
        assert not holders(cluster)
