"""One job is a cluster: how it starts, says so, and ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import time

import ipyparallel as ipp
import pytest
from ipyparallel import interactive

ROUTERS = ("registration", "control", "mux", "task", "broadcast")


def mode(path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@interactive
def spin():
    """User code that holds the GIL most of the time and never ends."""
    n = 0
    while True:
        n += 1


def test_ready_line(cluster):
    line = cluster.ready_line()
    assert "4 engines" in line
    assert "127.0.0.1" in line
    assert str(cluster.connection_file) in line
    ready = [text for text in cluster.log().splitlines() if "ready" in text]
    assert len(ready) == 1


def test_connection_files(cluster):
    client = cluster.info()
    engine = json.loads(cluster.file("engine").read_text())
    assert mode(cluster.file("client")) == 0o600
    assert mode(cluster.file("engine")) == 0o600
    assert mode(cluster.connection_file.parent) == 0o700
    assert client["interface"] == "tcp://127.0.0.1"
    assert client["location"] == os.uname().nodename
    assert client["signature_scheme"] == "hmac-sha256"
    assert client["pack"] == client["unpack"] == "json"
    assert client["ssh"] == ""
    assert len(client["key"]) >= 32
    for name in (*ROUTERS, "iopub", "notification"):
        assert isinstance(client[name], int)
    assert client["iopub"] != client["notification"]
    assert engine["key"] == client["key"]


@contextlib.contextmanager
def ports(free: int, taken: int):
    """Numbers of free ports, and before them of some that a program has."""
    with contextlib.ExitStack() as kept, contextlib.ExitStack() as let_go:
        sockets = [socket.create_server(("127.0.0.1", 0))
                   for _ in range(free + taken)]
        for at in sockets[:taken]:
            kept.enter_context(at)
        for at in sockets[taken:]:
            let_go.enter_context(at)
        numbers = [at.getsockname()[1] for at in sockets]
        let_go.close()
        yield numbers


def port_option(numbers) -> str:
    return "--ports=" + ",".join(map(str, numbers))


def test_spare_ports_stand_in_for_taken_ones(make_cluster, connect):
    with ports(free=7, taken=2) as numbers:
        cluster = make_cluster(1, args=(port_option(numbers),))
        info = cluster.info()
        assert {info[name] for name in (*ROUTERS, "iopub", "notification")
                } == set(numbers[2:])
        assert connect(cluster).ids == [0]


def test_a_taken_port_is_named(make_cluster):
    with ports(free=6, taken=1) as numbers:
        cluster = make_cluster(1, args=(port_option(numbers),), start=False)
        assert cluster.run_to_end() != 0
        assert f"port {numbers[0]} on 127.0.0.1 is in use" in cluster.log()


def test_files_appear_whole(make_cluster):
    cluster = make_cluster(1, start=False).launch()
    end = time.monotonic() + 60
    path = cluster.connection_file
    while not path.exists():
        assert time.monotonic() < end, cluster.log()
    assert json.loads(path.read_text())["registration"] > 0
    assert json.loads(cluster.file("engine").read_text())
    cluster.wait_ready()
    visible = {p.name for p in path.parent.iterdir()
               if not p.name.startswith(".")}
    assert visible == {path.name, cluster.file("engine").name}


def test_ids_are_ranks(rc):
    assert rc.ids == [0, 1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM],
                         ids=["ctrl-c", "term"])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_ends_by_signal(make_cluster, connect, number, busy):
    cluster = make_cluster(2)
    rc = connect(cluster)
    if busy:
        ar = rc[:].apply_async(spin)
        rc.load_balanced_view().apply_async(spin)
        end = time.monotonic() + 10
        while any(rc.queue_status()[i]["queue"] != 1 for i in rc.ids):
            assert time.monotonic() < end
        assert not ar.ready()
    cluster.stop(number=number)


def test_hub_shutdown(make_cluster, connect):
    cluster = make_cluster(2)
    rc = connect(cluster)
    cluster.note()
    rc.shutdown(hub=True, block=True)
    cluster.wait_end()
    cluster.check_nothing_left()
    assert cluster.process.returncode == 0


def test_hub_shutdown_with_running_work(make_cluster, connect):
    cluster = make_cluster(2)
    rc = connect(cluster)
    rc[:].apply_async(time.sleep, 60)
    cluster.note()
    rc.shutdown(hub=True, block=False)
    cluster.wait_end(6)
    cluster.check_nothing_left()


def test_mpirun_killed(make_cluster):
    """Nobody can clean up files then, but no process may stay."""
    cluster = make_cluster(2)
    cluster.note()
    cluster.process.send_signal(signal.SIGKILL)
    cluster.wait_end(10)


def test_controller_alone(make_cluster, connect):
    cluster = make_cluster(0)
    rc = connect(cluster)
    assert rc.ids == []
    assert rc.queue_status() == {"unassigned": 0}
    waiting = rc.load_balanced_view().apply_async(os.getpid)
    assert not waiting.ready()
    end = time.monotonic() + 5
    while rc.queue_status()["unassigned"] != 1:
        assert time.monotonic() < end
    cluster.stop()


def test_profile_and_cluster_id(make_cluster, connect):
    cluster = make_cluster(1, profile="mine", cluster_id="blue")
    assert cluster.connection_file.name == "ipcontroller-blue-client.json"
    rc = ipp.Client(profile="mine", cluster_id="blue",
                    ipython_dir=str(cluster.ipython_dir))
    try:
        rc.wait_for_engines(1, timeout=10)
        assert rc[:].apply_sync(interactive(lambda: 6 * 7)) == [42]
    finally:
        rc.close()


def test_two_clusters_in_one_profile(make_cluster, connect):
    first = make_cluster(1, cluster_id="a")
    second = make_cluster(1, cluster_id="b", ipython_dir=first.ipython_dir)
    one, two = connect(first), connect(second)
    pids = one[:].apply_sync(os.getpid) + two[:].apply_sync(os.getpid)
    assert len(set(pids)) == 2
    one.close()
    two.close()
    second.send_signal(signal.SIGTERM)
    second.wait_end()
    assert first.connection_file.exists()
    assert connect(first)[:].apply_sync(os.getpid) == pids[:1]


def test_again_on_the_same_profile(make_cluster, connect):
    first = make_cluster(1)
    key = first.info()["key"]
    first.stop()
    second = make_cluster(1, ipython_dir=first.ipython_dir)
    assert second.info()["key"] != key
    assert connect(second)[:].apply_sync(interactive(lambda: 1)) == [1]


def test_sixteen_ranks_and_back(make_cluster, connect):
    cluster = make_cluster(15)
    rc = connect(cluster)
    assert rc.ids == list(range(15))
    pids = rc[:].apply_sync(os.getpid)
    assert len(set(pids)) == 15
    cluster.stop()


@pytest.mark.long
@pytest.mark.seconds(300)
def test_sixty_four_ranks_and_back(make_cluster, connect):
    cluster = make_cluster(63)
    rc = connect(cluster)
    assert len(set(rc[:].apply_sync(os.getpid))) == 63
    cluster.stop()
