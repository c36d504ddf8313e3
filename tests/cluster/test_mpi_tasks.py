"""view.mpi(k): functions that get a communicator of k engines."""

from __future__ import annotations

import signal
import time

import pytest
from ipyparallel import error, interactive
from ours import WAIT, connected, our_cluster

SOON = 20  # seconds within which failures are known, on a busy machine


@pytest.fixture(scope="module")
def four(kind):
    with our_cluster(kind, 4) as cluster:
        yield cluster


@pytest.fixture
def rc(four):
    with connected(four) as client:
        yield client
        assert client.wait(timeout=WAIT)


@pytest.fixture
def view(rc):
    return rc.load_balanced_view()


@interactive
def ranks(comm):
    return comm.rank, comm.size, comm.allreduce(comm.rank)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_communicator_of_k_engines(view, k):
    assert view.mpi(k).apply_sync(ranks) == [
        (rank, k, k * (k - 1) // 2) for rank in range(k)]


def test_results_are_in_the_order_of_ranks_and_engines(view):
    @interactive
    def who(comm, *, add):
        from IPython import get_ipython

        print("rank", comm.rank)
        return get_ipython().kernel.engine_id + add

    result = view.mpi(3).apply_async(who, add=100)
    got = result.get(WAIT)
    assert got == sorted(got)
    assert result.engine_id == [engine - 100 for engine in got]
    assert result.wait_for_output(WAIT)
    assert sorted(result.stdout.split()) == sorted("rank 0 rank 1 rank 2"
                                                   .split())


def test_the_world_is_left_as_it_was(rc, view):
    before = rc[:].apply_sync(interactive(lambda: MPI.COMM_WORLD.size))  # noqa: F821
    view.mpi(2).apply_sync(ranks)
    assert rc[:].apply_sync(
        interactive(lambda: MPI.COMM_WORLD.allreduce(1))) == before  # noqa: F821


@interactive
def everything(comm):
    """Each call of the communicator, against what it must give."""
    import numpy as np
    from mpi4py import MPI

    me, n = comm.rank, comm.size
    x = np.arange(4.0) + me
    right, left = (me + 1) % n, (me - 1) % n
    total = np.empty_like(x)
    comm.Allreduce(x, total)
    assert (total == np.arange(4.0) * n + n * (n - 1) / 2).all()
    comm.Reduce(x, total if me == 0 else None, MPI.MAX)
    y = np.full(3, me)
    comm.Bcast(y, root=n - 1)
    assert (y == n - 1).all()
    rows = np.empty((n, 4))
    comm.Allgather(x, rows)
    assert (rows[:, 0] == np.arange(n)).all()
    comm.Sendrecv(x, right, 0, total, left, 0)
    assert total[0] == left
    request = comm.Isend(x, right, 5)
    status = MPI.Status()
    comm.Recv(total, left, 5, status)
    request.Wait()
    assert total[0] == left and status.Get_source() == left
    comm.Barrier()
    comm.barrier()
    assert comm.bcast({"a": me}, root=0) == {"a": 0}
    assert comm.allgather("x" * me) == ["x" * i for i in range(n)]
    assert comm.gather(me) == (list(range(n)) if me == 0 else None)
    assert comm.scatter(list("abcdefg")[:n] if me == 0 else None) == "abcdefg"[
        me]
    assert comm.alltoall([(me, i) for i in range(n)]) == [
        (i, me) for i in range(n)]
    assert comm.reduce(me, MPI.MAX) == (n - 1 if me == 0 else None)
    assert comm.scan(1) == me + 1
    assert comm.exscan(1) == (me or None)
    assert comm.sendrecv(me, right, source=left) == left
    assert comm.Dup().allreduce(1) == n
    assert comm.Split(me % 2).size == (n + 1 - me % 2) // 2
    if me == 0:
        comm.send(list(range(100000)), 1, tag=3)
    elif me == 1:
        comm.Probe(0, 3)
        assert len(comm.recv(source=0, tag=3)) == 100000
    return "good"


@pytest.mark.parametrize("k", [2, 3, 4])
def test_it_is_a_whole_communicator(view, k):
    assert view.mpi(k).apply_sync(everything) == ["good"] * k


WAITS = {
    "Barrier": "comm.Barrier()",
    "recv": "comm.recv(source=1)",
    "Allreduce": "comm.allreduce(1)",
    "Recv": "comm.Recv(bytearray(8), source=1)",
    "probe": "comm.probe(source=1)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_who_raises_fails_it_on_all(rc, view, wait):
    @interactive
    def fail(comm, code):
        if comm.rank == 1:
            raise ValueError("rank 1 will not")
        exec(code, {"comm": comm})

    start = time.monotonic()
    result = view.mpi(4).apply_async(fail, WAITS[wait])
    with pytest.raises(error.RemoteError, match="rank 1 will not") as caught:
        result.get(WAIT)
    assert caught.value.engine_info["engine_id"] in rc.ids
    assert time.monotonic() - start < SOON
    # all are free again, and their communicators are none the worse
    assert view.mpi(4).apply_sync(ranks)[3] == (3, 4, 6)
    assert rc[:].apply_sync(abs, -1) == [1] * 4


def test_mpi_tasks_and_others_wait_for_each_other(view):
    naps = [view.apply_async(time.sleep, 0.05) for _ in range(30)]
    tasks = [view.mpi(3).apply_async(ranks) for _ in range(5)]
    bulk = view.map_async(time.sleep, [0.001] * 2000)
    naps += [view.apply_async(time.sleep, 0.05) for _ in range(30)]
    for task in tasks:
        assert task.get(WAIT)[2] == (2, 3, 3)
    for nap in naps:
        nap.get(WAIT)
    bulk.get(WAIT)


def test_a_task_gets_in_between_mpi_tasks(view):
    @interactive
    def slow(comm):
        import time

        time.sleep(0.1)

    tasks = [view.mpi(4).apply_async(slow) for _ in range(20)]
    assert view.apply_sync(abs, -1) == 1
    assert not tasks[-1].ready()
    for task in tasks:
        task.get(WAIT)


def test_targets_and_aborts(rc):
    view = rc.load_balanced_view(targets=[1, 3])
    result = view.mpi(2).apply_async(ranks)
    result.get(WAIT)
    assert result.engine_id == [1, 3]
    nap = rc.load_balanced_view(targets=[1]).apply_async(time.sleep, 1)
    waiting = view.mpi(2).apply_async(ranks)
    waiting.abort()
    with pytest.raises(error.TaskAborted):
        waiting.get(WAIT)
    nap.get(WAIT)


def test_more_than_there_are(view):
    with pytest.raises(error.EngineError):
        raise_named(view.mpi(5).apply_async(ranks))
    with pytest.raises(ValueError):
        view.mpi(0)


def raise_named(result):
    """The error of an engine or of the controller, by its own class."""
    try:
        result.get(WAIT)
    except error.RemoteError as exc:
        if exc.ename == "EngineError":
            raise error.EngineError(exc.evalue) from None
        raise


def test_no_mpi4py_is_said(rc, view):
    @interactive
    def hide():
        import sys

        hidden = {name: sys.modules.pop(name) for name in list(sys.modules)
                  if name.split(".")[0] == "mpi4py"}
        sys.modules["mpi4py"] = None
        globals()["hidden"] = hidden

    @interactive
    def show():
        import sys

        del sys.modules["mpi4py"]
        sys.modules.update(hidden)  # noqa: F821

    rc[0].apply_sync(hide)
    try:
        only = rc.load_balanced_view(targets=[0, 1])
        with pytest.raises(error.RemoteError, match="needs mpi4py"):
            only.mpi(2).apply_sync(ranks)
    finally:
        rc[0].apply_sync(show)
    assert only.mpi(2).apply_sync(ranks)[1] == (1, 2, 1)


@pytest.mark.parametrize("wait", ["Barrier", "recv"])
def test_who_dies_fails_it_on_all(kind, wait):
    @interactive
    def die(comm, number, code):
        import os

        if comm.rank == 1:
            os.kill(os.getpid(), number)
        exec(code, {"comm": comm})

    with our_cluster(kind, 4) as cluster, connected(cluster) as client:
        view = client.load_balanced_view()
        start = time.monotonic()
        result = view.mpi(3).apply_async(die, signal.SIGKILL, WAITS[wait])
        with pytest.raises(error.EngineError, match="engine [0-3] .*killed"):
            raise_named(result)
        assert time.monotonic() - start < SOON
        assert len(client.ids) == 3
        assert view.mpi(3).apply_sync(ranks) == [
            (rank, 3, 3) for rank in range(3)]
        assert client[:].apply_sync(abs, -1) == [1] * 3
