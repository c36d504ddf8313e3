"""mpi4py in user code: COMM_WORLD is the engines, and the runtime goes on
talking while user code talks."""

from __future__ import annotations

import pytest
from ipyparallel import interactive

N = 4


@interactive
def world():
    from mpi4py import MPI
    return (MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size(),
            get_ipython().kernel.engine_id)  # noqa: F821


def test_ranks_are_engine_ids(rc):
    assert rc[:].apply_sync(world) == [(i, N, i) for i in range(N)]


def test_names_in_the_namespace(rc):
    rc[:].execute("seen = (mpi_rank, mpi_size, MPI.COMM_WORLD.size)",
                  block=True)
    assert rc[:].pull("seen", block=True) == [(i, N, N) for i in range(N)]


@pytest.mark.parametrize("code, want", [
    ("r = MPI.COMM_WORLD.allreduce(mpi_rank + 1)", [10] * N),
    ("r = MPI.COMM_WORLD.bcast('x' * 3 if mpi_rank == 2 else None, root=2)",
     ["xxx"] * N),
    ("r = MPI.COMM_WORLD.allgather(mpi_rank)", [list(range(N))] * N),
    ("r = MPI.COMM_WORLD.gather(mpi_rank, root=1)",
     [None, list(range(N)), None, None]),
    ("r = MPI.COMM_WORLD.scatter([i * i for i in range(mpi_size)]"
     " if mpi_rank == 0 else None)", [0, 1, 4, 9]),
    ("r = MPI.COMM_WORLD.sendrecv(mpi_rank, (mpi_rank + 1) % mpi_size,"
     " source=(mpi_rank - 1) % mpi_size)", [3, 0, 1, 2]),
    ("r = MPI.COMM_WORLD.Split(mpi_rank % 2, mpi_rank).allreduce(mpi_rank)",
     [2, 4, 2, 4]),
    ("r = MPI.COMM_WORLD.Dup().allreduce(1); MPI.COMM_WORLD.Barrier()",
     [N] * N),
])
def test_collectives(rc, code, want):
    view = rc[:]
    view.execute("from mpi4py import MPI", block=True)
    view.execute(code, block=True)
    assert view.pull("r", block=True) == want


def test_buffers(rc):
    view = rc[:]
    view.execute("""
import numpy
from mpi4py import MPI
mine = numpy.full(1_000_000, mpi_rank + 1.0)
total = numpy.empty_like(mine)
MPI.COMM_WORLD.Allreduce(mine, total)
good = bool((total == 10.0).all())
""", block=True)
    assert view.pull("good", block=True) == [True] * N


@interactive
def reduce_often(times):
    import numpy
    from mpi4py import MPI
    mine, total = numpy.ones(1000), numpy.empty(1000)
    for i in range(times):
        MPI.COMM_WORLD.Allreduce(mine, total)
        if i % 20 == 0:
            print("round", i)
    return float(total[0])


def test_user_and_runtime_talk_at_once(rc):
    """Output, hub requests and signals flow while allreduce goes on."""
    ar = rc[:].apply_async(reduce_often, 2000)
    answers = 0
    while not ar.ready():
        assert rc.queue_status()["unassigned"] == 0
        rc.send_signal(0, block=True)
        answers += 1
    assert ar.get(60) == [4.0] * N
    assert answers > 0
    ar.wait_for_output(10)
    assert all(out.count("round") == 100 for out in ar.stdout)
