"""A task that several engines run together: f(comm, ...), where `comm` is an
mpi4py communicator of exactly these engines, made for this call.

If one of them raises or dies, rank 0 tells the others, whose waits in `comm`
end with GangError: its blocking calls wait by polling. What does not wait in
`comm` (a loop that computes, a Request's own Wait) is not interrupted, but its
result is nobody's.

Threads: main only.
"""

from __future__ import annotations

import functools
import json
import pickle
import sys
import time
from typing import Any

import _ipmpi
from ipyparallel import serialize

from . import apply, mpi

SPIN_S = 0.0002
NAP_S = 0.00005
POLL_S = 0.005

TAGS = 1 << 15


class GangError(RuntimeError):
    """Another engine of this task has failed; the text names it and says why."""


def run(kernel, ref: int, content: bytes, buffers: list) -> None:
    """Runs one share and replies."""
    apply.run(kernel, ref, buffers,
              functools.partial(_call, json.loads(content)))


def _call(told: dict, buffers: list, user_ns: dict) -> list:
    MPI = mpi.import_unbound()
    if MPI is None:
        raise ImportError("view.mpi() needs mpi4py, which this engine's Python "
                          f"({sys.executable}) does not have: pip install "
                          "mpi4py")
    f, args, kwargs = serialize.unpack_apply_message(buffers, user_ns,
                                                     copy=False)
    _meet(told)
    comm = _make(MPI, told)
    try:
        return apply.pack_result(f(comm, *args, **kwargs))
    finally:
        if not comm.gave_up:  # what MPI still uses stays
            MPI.Intracomm.Free(comm)


def _meet(told: dict) -> None:
    """Returns when all are there; MPI's own calls could not be given up."""
    _ipmpi.collective_open(told["engines"], told["number"])
    try:
        _ipmpi.collective_agree(b"here")
    except ConnectionAbortedError as error:
        raise GangError(str(error)) from None
    finally:
        _ipmpi.collective_close()


def _make(MPI, told: dict):
    world = MPI.COMM_WORLD
    # A world's engines have consecutive ids, in the order of ranks.
    first = _engine_id() - world.Get_rank()
    everyone = world.Get_group()
    group = everyone.Incl([engine - first for engine in told["engines"]])
    try:
        made = world.Create_group(group, told["number"] % TAGS)
    finally:
        group.Free()
        everyone.Free()
    made.Set_errhandler(MPI.ERRORS_RETURN)
    return _gang_comm(MPI)(made)


def _engine_id() -> int:
    return sys.modules["IPython"].get_ipython().kernel.engine_id


def _polling(name: str):
    """A blocking call, by its non-blocking twin."""
    twin = "I" + name[0].lower() + name[1:]

    @functools.wraps(name, assigned=())
    def method(self, *args, **kwargs) -> None:
        self._await(getattr(self, twin)(*args, **kwargs))

    method.__name__ = name
    return method


@functools.lru_cache
def _gang_comm(MPI) -> type:
    """The class of a gang's communicators."""

    class GangComm(MPI.Intracomm):
        """A communicator whose waits end when another member has failed."""

        gave_up = False

        for _name in ("Barrier", "Bcast", "Gather", "Gatherv", "Scatter",
                      "Scatterv", "Allgather", "Allgatherv", "Alltoall",
                      "Alltoallv", "Alltoallw", "Reduce", "Allreduce",
                      "Reduce_scatter", "Reduce_scatter_block", "Scan",
                      "Exscan", "Send", "Ssend", "Rsend"):
            locals()[_name] = _polling(_name)
        del _name

        def _until(self, done) -> Any:
            """What `done()` returns, once it is true."""
            start = now = time.monotonic()
            poll = start + POLL_S
            while not (result := done()):
                if now >= poll:
                    why = _ipmpi.why_cancelled()
                    if why is not None or _ipmpi.stop_requested():
                        self.gave_up = True
                        raise GangError(why or "the engine is to stop")
                    poll = now + POLL_S
                time.sleep(0 if now - start < SPIN_S else NAP_S)
                now = time.monotonic()
            return result

        def _await(self, request, status=None) -> None:
            try:
                self._until(lambda: request.Test(status))
            except BaseException:  # an interrupt leaves it with MPI, too
                self.gave_up = True
                raise

        def Abort(self, errorcode: int = 0):
            raise RuntimeError(f"Abort({errorcode})")

        def Free(self) -> None:
            raise RuntimeError("the communicator is freed after the task")

        Disconnect = Free

        # ---- messages ---------------------------------------------------

        def Recv(self, buf, source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG,
                 status=None) -> None:
            self._await(self.Irecv(buf, source, tag), status)

        def Sendrecv(self, sendbuf, dest, sendtag=0, recvbuf=None,
                     source=MPI.ANY_SOURCE, recvtag=MPI.ANY_TAG, status=None
                     ) -> None:
            receive = self.Irecv(recvbuf, source, recvtag)
            send = self.Isend(sendbuf, dest, sendtag)
            self._await(receive, status)
            self._await(send)

        def Probe(self, source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG, status=None
                  ) -> bool:
            return self._until(lambda: self.Iprobe(source, tag, status))

        probe = Probe

        def Mprobe(self, source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG, status=None):
            return self._until(lambda: self.Improbe(source, tag, status))

        def mprobe(self, source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG, status=None):
            return self._until(lambda: self.improbe(source, tag, status))

        def send(self, obj, dest, tag=0) -> None:
            self._await(self.isend(obj, dest, tag))

        def ssend(self, obj, dest, tag=0) -> None:
            self._await(self.issend(obj, dest, tag))

        def recv(self, buf=None, source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG,
                 status=None):
            return self.mprobe(source, tag).recv(status)

        def sendrecv(self, sendobj, dest, sendtag=0, recvbuf=None,
                     source=MPI.ANY_SOURCE, recvtag=MPI.ANY_TAG, status=None):
            request = self.isend(sendobj, dest, sendtag)
            received = self.recv(recvbuf, source, recvtag, status)
            self._await(request)
            return received

        # ---- collectives over objects -----------------------------------

        def barrier(self) -> None:
            self.Barrier()

        def bcast(self, obj, root=0):
            mine = pickle.dumps(obj, -1) if self.rank == root else b""
            size = bytearray(len(mine).to_bytes(8, "little"))
            self.Bcast([size, MPI.BYTE], root)
            data = bytearray(mine) if self.rank == root else bytearray(
                int.from_bytes(size, "little"))
            self.Bcast([data, MPI.BYTE], root)
            return obj if self.rank == root else pickle.loads(data)

        def allgather(self, sendobj) -> list:
            mine = pickle.dumps(sendobj, -1)
            told = bytearray(8 * self.size)
            self.Allgather([len(mine).to_bytes(8, "little"), MPI.BYTE],
                           [told, 8, MPI.BYTE])
            sizes = [int.from_bytes(told[i:i + 8], "little")
                     for i in range(0, len(told), 8)]
            data = bytearray(sum(sizes))
            self.Allgatherv([mine, MPI.BYTE], [data, sizes, None, MPI.BYTE])
            ends = [sum(sizes[:i + 1]) for i in range(self.size)]
            return [pickle.loads(data[end - size:end])
                    for end, size in zip(ends, sizes)]

        def gather(self, sendobj, root=0):
            everyone = self.allgather(sendobj)
            return everyone if self.rank == root else None

        def scatter(self, sendobj, root=0):
            if self.rank == root and len(sendobj) != self.size:
                raise ValueError(f"{self.size} items, please")
            return self.bcast(sendobj, root)[self.rank]

        def alltoall(self, sendobj) -> list:
            return [row[self.rank] for row in self.allgather(list(sendobj))]

        def allreduce(self, sendobj, op=MPI.SUM):
            return functools.reduce(op, self.allgather(sendobj))

        def reduce(self, sendobj, op=MPI.SUM, root=0):
            result = self.allreduce(sendobj, op)
            return result if self.rank == root else None

        def scan(self, sendobj, op=MPI.SUM):
            return functools.reduce(op,
                                    self.allgather(sendobj)[:self.rank + 1])

        def exscan(self, sendobj, op=MPI.SUM):
            before = self.allgather(sendobj)[:self.rank]
            return functools.reduce(op, before) if before else None

    return GangComm
