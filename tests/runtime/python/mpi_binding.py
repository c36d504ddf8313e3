"""mpi4py bound to a part of the job, under mpirun: ipmpi_engine.mpi.

Rank 0 stands for the controller; the others get a communicator of their own,
and mpi4py shows them nothing else. Not collected by pytest: run by ctest as
`mpi_run 3 python mpi_binding.py`.
"""

import pickle
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "runtime" / "python")]

import fake_ipmpi  # noqa: E402, F401
from mpi4py import MPI  # noqa: E402


def raises(f, *args):
    """Whether `f` fails with a clear error."""
    try:
        f(*args)
    except RuntimeError as exc:
        return bool(str(exc))
    return False


def check_engine(engines, rank, size):
    from ipmpi_engine import mpi

    module = mpi.bind(MPI._handleof(engines))
    assert module is MPI
    names = mpi.names(module)
    assert names["mpi_rank"] == rank and names["mpi_size"] == size
    from mpi4py.MPI import COMM_WORLD

    assert COMM_WORLD == engines and bool(COMM_WORLD)
    assert isinstance(COMM_WORLD, MPI.Intracomm)
    assert COMM_WORLD.allreduce(1) == size
    for refused in (MPI.Finalize, MPI.Init, COMM_WORLD.Abort,
                    COMM_WORLD.Free):
        assert raises(refused)
    assert COMM_WORLD.Get_size() == size
    assert pickle.loads(pickle.dumps(COMM_WORLD)) is COMM_WORLD
    duplicate = COMM_WORLD.Dup()
    assert duplicate.allreduce(rank) == sum(range(size))
    duplicate.Free()
    try:
        COMM_WORLD.send(1, dest=size + 7)
    except MPI.Exception:
        pass
    else:
        raise AssertionError("an MPI error must be an exception")


def main():
    world, finalize = MPI.COMM_WORLD, MPI.Finalize
    rank, size = world.Get_rank(), world.Get_size()
    engines = world.Split(0 if rank == 0 else 1, rank)
    if rank > 0:
        check_engine(engines, rank - 1, size - 1)
    finalize()


main()
