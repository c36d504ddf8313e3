"""Engines join and leave in a living job."""

from __future__ import annotations

import json
import os
import signal
import time

import ipyparallel as ipp
import pytest
import zmq
from harness.spawn import add_engines
from ipyparallel import interactive
from raw import RawClient


@pytest.fixture(autouse=True)
def only_here(kind):
    if kind != "ipmpi":
        pytest.skip("a request of our own")


@interactive
def place():
    """The engine's place among those that it can talk to by MPI."""
    from mpi4py import MPI
    world = MPI.COMM_WORLD
    return world.rank, world.allreduce(1)


@interactive
def variable(name):
    import os
    return os.environ.get(name)


def wait_for(rc, ids, seconds=20.0):
    end = time.monotonic() + seconds
    while rc.ids != ids:
        assert time.monotonic() < end, f"{rc.ids}, not {ids}"
        time.sleep(0.01)


def kill(rc, engine):
    """Kills an engine; returns how long its task's error took, in s."""
    pid = rc[engine].apply_sync(os.getpid)
    ar = rc[engine].apply_async(time.sleep, 60)
    end = time.monotonic() + 10
    while rc.queue_status(engine)["queue"] != 1:
        assert time.monotonic() < end
    start = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ipp.RemoteError, match="EngineError"):
        ar.get(timeout=10)
    return time.monotonic() - start


def test_grow_lose_and_grow_again(make_cluster, connect):
    cluster = make_cluster(2)
    rc = connect(cluster)
    assert add_engines(cluster.connection_file, 2) == [2, 3]
    wait_for(rc, [0, 1, 2, 3])
    assert len(set(rc[:].apply_sync(os.getpid))) == 4
    view = rc.load_balanced_view()
    assert view.map_sync(interactive(lambda x: x * x), range(40)) == [
        x * x for x in range(40)]
    assert kill(rc, 3) < 1.5
    wait_for(rc, [0, 1, 2])
    assert add_engines(cluster.connection_file, 1) == [4]
    wait_for(rc, [0, 1, 2, 4])
    assert len(set(rc[:].apply_sync(os.getpid))) == 4
    cluster.note()
    rc.shutdown(hub=True, block=True)
    cluster.wait_end()
    cluster.check_nothing_left()


def test_a_new_engine_is_announced_twice(make_cluster):
    """For ipyparallel's wait_for_engines, which looks before it listens."""
    cluster = make_cluster(1)
    info = cluster.info()
    with RawClient(info) as raw:
        heard = raw.context.socket(zmq.SUB)
        heard.linger = 0
        heard.subscribe(b"")
        heard.connect(f"{info['interface']}:{info['notification']}")

        def next_id() -> int:
            assert heard.poll(10000), "nothing is announced"
            frames = heard.recv_multipart()
            assert json.loads(frames[2])["msg_type"] == (
                "registration_notification")
            return json.loads(frames[5])["id"]

        assert next_id() == 0  # the subscription has arrived
        add_engines(cluster.connection_file, 1)
        told = 0
        while told < 2:
            told += next_id() == 1


def test_grow_from_nothing(make_cluster, connect):
    cluster = make_cluster(0)
    rc = connect(cluster)
    waiting = rc.load_balanced_view().apply_async(os.getpid)
    assert add_engines(cluster.connection_file, 4) == [0, 1, 2, 3]
    wait_for(rc, [0, 1, 2, 3])
    assert waiting.get(timeout=30) > 0
    cluster.note()
    rc.shutdown(hub=True, block=True)
    cluster.wait_end()
    cluster.check_nothing_left()
    assert cluster.process.returncode == 0


def test_worlds(make_cluster, connect):
    """Each world has a COMM_WORLD of its own, and the environment it was
    asked for."""
    cluster = make_cluster(2)
    rc = connect(cluster)
    first = add_engines(cluster.connection_file, 3, {"HELLO": "wide world"})
    second = add_engines(cluster.connection_file, 1)
    wait_for(rc, list(range(6)))
    assert rc[:2].apply_sync(place) == [(0, 2), (1, 2)]
    assert rc[first].apply_sync(place) == [(0, 3), (1, 3), (2, 3)]
    assert rc[second].apply_sync(place) == [(0, 1)]
    assert rc[:].apply_sync(variable, "HELLO") == [
        None, None, "wide world", "wide world", "wide world", None]


def test_large_data(make_cluster, connect):
    cluster = make_cluster(1)
    rc = connect(cluster)
    add_engines(cluster.connection_file, 2)
    wait_for(rc, [0, 1, 2])
    data = os.urandom(8 << 20)
    assert rc[:].apply_sync(interactive(lambda x: x), data) == [data] * 3


def test_shutdown_of_added_engines(make_cluster, connect):
    cluster = make_cluster(1)
    rc = connect(cluster)
    add_engines(cluster.connection_file, 2)
    wait_for(rc, [0, 1, 2])
    rc.shutdown([1], block=True)
    wait_for(rc, [0, 2])
    assert len(rc[:].apply_sync(os.getpid)) == 2
    assert add_engines(cluster.connection_file, 1) == [3]
    wait_for(rc, [0, 2, 3])


@pytest.mark.parametrize("n, environment", [
    (0, None), (-1, None), (True, None), ("2", None), (1 << 20, None),
    (1, ["A=B"]), (1, {"A": 1}), (1, {"A=B": "C"}), (1, {"-i": ""}),
    (1, {"": "C"}), (1, {"A": "B\0C"}),
], ids=str)
def test_nonsense_is_refused(cluster, n, environment):
    with pytest.raises(RuntimeError, match="must be"):
        add_engines(cluster.connection_file, n, environment)


@pytest.mark.parametrize("seen", [0, 2, 5, 7])
def test_the_job_ends_while_engines_come(make_cluster, seen):
    """Wherever they are on their way into it, by the number of processes that
    are there: nobody waits for a job that is over."""
    cluster = make_cluster(1)
    with RawClient(cluster.info()) as client:
        before = len(cluster.pids())
        client.send("registration", client.frames(
            "ipmpi_spawn_request", {"n": 3, "environment": None}))
        end = time.monotonic() + 20
        while len(cluster.pids()) < before + seen:
            assert time.monotonic() < end
            time.sleep(0.005)
        cluster.note()
        client.send("registration", client.frames("shutdown_request"))
        cluster.wait_end()
        cluster.check_nothing_left()


def test_engine_that_cannot_start(make_cluster, connect):
    """Its death is told at once, and the cluster goes on."""
    cluster = make_cluster(1)
    rc = connect(cluster)
    with pytest.raises(RuntimeError, match="before it was ready"):
        add_engines(cluster.connection_file, 1,
                    {"LD_PRELOAD": "", "IPMPI_PYTHON": "/no/python",
                     "PATH": "/no", "VIRTUAL_ENV": "", "CONDA_PREFIX": ""})
    assert len(rc[:].apply_sync(os.getpid)) == 1
    cluster.note()
    rc.shutdown(hub=True, block=True)
    cluster.wait_end()
    cluster.check_nothing_left()


def test_controller_killed(make_cluster, connect):
    cluster = make_cluster(1)
    add_engines(cluster.connection_file, 2)
    cluster.note()
    os.kill(cluster.controller(), signal.SIGKILL)
    cluster.wait_end(10)


def test_respawn(make_cluster, connect):
    cluster = make_cluster(2, args=("--respawn",))
    rc = connect(cluster)
    kill(rc, 0)
    wait_for(rc, [1, 2])
    kill(rc, 2)
    wait_for(rc, [1, 3])
    assert len(set(rc[:].apply_sync(os.getpid))) == 2
    rc.shutdown([1], block=True)
    wait_for(rc, [3])
    assert rc[3].apply_sync(os.getpid) > 0
    assert rc.ids == [3]


def test_one_engine_for_one_death(make_cluster, connect):
    """Rank 0 is too busy to hear of a death when its nanny tells it, which
    tells it again; one engine comes in its place."""
    cluster = make_cluster(2, args=("--respawn",))
    rc = connect(cluster)
    pids = rc[:].apply_sync(os.getpid)
    controller = cluster.controller()
    os.kill(controller, signal.SIGSTOP)
    try:
        os.kill(pids[0], signal.SIGKILL)
        time.sleep(2)  # the nanny repeats itself every 0.3 s
    finally:
        os.kill(controller, signal.SIGCONT)
    wait_for(rc, [1, 2])
    end = time.monotonic() + 5  # the pause before another is 2 s
    while time.monotonic() < end:
        assert rc.ids == [1, 2]
        time.sleep(0.1)
