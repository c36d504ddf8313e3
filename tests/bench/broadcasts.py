"""What tests/bench/run measures of data for many engines: broadcasts by the
stock client's views and by our verbs, collectives, and the memory they take,
beside ipyparallel's own cluster and MPI by itself.

Runs under a Python that has ipyparallel and mpi4py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ipyparallel as ipp

from bench import measures
from harness import places

sys.path.insert(0, str(places.SOURCE / "bridge" / "client"))

import ipmpi  # noqa: E402

MEBI = 1 << 20
SIZES = (1 << 10, 1 << 15, 1 << 20, 1 << 25, 1 << 28)
MOST_UPSTREAM = 1 << 30  # bytes to all engines: its engines hold them all
ALLREDUCE = 64 * MEBI


def label(size: int) -> str:
    return f"{size >> 20} MiB" if size >= MEBI else f"{size >> 10} KiB"


def times_of(size: int) -> int:
    return 9 if size < MEBI else 5


# ---- MPI by itself ---------------------------------------------------------

# Run by each rank: the slowest rank's time of each round, its median in ms.
# "new" is a broadcast into an array made for it, as our verb has it, and as
# user code has data that it has not had before.
RAW = """
import json, statistics, sys, time
import numpy as np
from mpi4py import MPI
comm = MPI.COMM_WORLD

def measure(call, times):
    taken = []
    for _ in range(times + 1):
        comm.Barrier()
        start = time.perf_counter()
        call()
        taken.append(comm.allreduce(time.perf_counter() - start, MPI.MAX))
    return 1e3 * statistics.median(taken[1:])

sizes, reduced = json.loads(sys.argv[1])
found = {}
for size in sizes:
    x = np.ones(size, "u1")
    found[f"bcast {size}"] = measure(lambda: comm.Bcast(x), 5)
    found[f"new {size}"] = measure(lambda: comm.Bcast(
        np.empty_like(x) if comm.rank else x), 5)
x, total = np.ones(reduced // 8), np.empty(reduced // 8)
found["allreduce"] = measure(lambda: comm.Allreduce(x, total), 5)
piece = np.empty(len(x) // comm.size)
whole = x[:len(piece) * comm.size]
found["scatter"] = measure(lambda: comm.Scatter(whole, piece), 5)
found["gather"] = measure(lambda: comm.Gather(piece, whole), 5)
if comm.rank == 0:
    print(json.dumps(found))
"""


def raw(ranks: int, sizes, python: Path) -> dict[str, float]:
    """Milliseconds of blocking MPI collectives among as many ranks as there
    are engines, by mpi4py, with mpirun's own settings."""
    env = dict(places.environment_for(python), OMPI_ALLOW_RUN_AS_ROOT="1",
               OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1",
               OMPI_MCA_mpi_yield_when_idle="1",
               OMPI_MCA_hwloc_base_binding_policy="none",
               PRTE_MCA_rmaps_default_mapping_policy=":oversubscribe")
    done = subprocess.run(
        ["mpirun", "-np", str(ranks), str(python), "-c", RAW,
         json.dumps([list(sizes), ALLREDUCE])], env=env, check=True,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout.splitlines()[-1])


# ---- clusters --------------------------------------------------------------


def pushes(view, size: int) -> float:
    """Milliseconds to push so much to all of a view."""
    import numpy

    data = {"x": numpy.ones(size, "u1")}
    return 1e3 * measures.median_time(lambda: view.push(data, block=True),
                                      times_of(size))


def views(side: str, rc: ipp.Client, sizes) -> dict[str, float]:
    """The same by each of ipyparallel's views."""
    n = len(rc.ids)
    found = {}
    for size in sizes:
        found[f"push {label(size)} to 1 ms"] = pushes(rc[0], size)
        if side == "upstream" and n * size > MOST_UPSTREAM:
            continue
        found[f"broadcast view, {label(size)} to {n} ms"] = pushes(
            rc.broadcast_view(), size)
        if n * size <= MOST_UPSTREAM // 2:
            found[f"direct view, {label(size)} to {n} ms"] = pushes(
                rc[:], size)
    rc[:].execute("del x", block=True)
    return found


def shared_memory(rc: ipp.Client, size: int) -> dict[str, float]:
    """How much memory the engines take for an array that all have, as a
    multiple of its size: private pages, and each its part of shared ones."""
    import numpy

    engines = rc[:].apply_sync(os.getpid)
    rc[:].execute("x = None", block=True)
    before = sum(map(proportional, engines))
    rc.broadcast_view().push({"x": numpy.ones(size, "u1")}, block=True)
    rc[:].apply_sync(ipp.interactive(lambda: int(x[::4096].sum())))  # noqa
    after = sum(map(proportional, engines))
    rc[:].execute("del x", block=True)
    return {f"memory of {label(size)} on {len(engines)}, copies":
            (after - before) / size}


def proportional(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])


def bcast_rows(size: int, n: int) -> tuple[str, str]:
    """The names of a broadcast's rows: against MPI into memory in use, and
    into a new array."""
    return (f"verb bcast, {label(size)} to {n} ms",
            f"the same, new memory, {label(size)} to {n} ms")


def verbs(rc: ipmpi.Client, sizes) -> dict[str, float]:
    """Milliseconds of our verbs, less those of one that moves nothing: what
    a client waits for the data itself."""
    view, n = rc[:], len(rc.ids)
    view.block = True
    empty = measures.median_time(view.barrier, 15)

    def without_client(call, times: int = 5) -> float:
        return max(0.0, 1e3 * (measures.median_time(call, times) - empty))

    found = {f"verb that moves nothing, {n} ms": 1e3 * empty}
    view.execute("import numpy as np")
    for size in sizes:
        rc[0].execute(f"x = np.ones({size}, 'u1')", block=True)
        for row in bcast_rows(size, n):
            found[row] = without_client(lambda: view.bcast("x", into="y"),
                                        times_of(size))
    view.execute(f"x = np.ones({ALLREDUCE // 8}); y = None")
    found[f"verb allreduce, 64 MiB on {n} ms"] = without_client(
        lambda: view.allreduce("x", into="y"))
    view.execute("y = None")
    found[f"verb scatter, 64 MiB to {n} ms"] = without_client(
        lambda: view.scatter("x", root=rc.ids[0], into="p"))
    found[f"verb gather, 64 MiB from {n} ms"] = without_client(
        lambda: view.gather("p", root=rc.ids[0], into="y"))
    return found


def through_client(rc: ipp.Client) -> dict[str, float]:
    """Scatter and gather as ipyparallel has them: from and to the client."""
    import numpy

    view, n = rc[:], len(rc.ids)
    data = numpy.ones(ALLREDUCE // 8)
    return {
        f"client scatter, 64 MiB to {n} ms": 1e3 * measures.median_time(
            lambda: view.scatter("p", data, block=True), 3),
        f"client gather, 64 MiB from {n} ms": 1e3 * measures.median_time(
            lambda: view.gather("p", block=True), 3)}


def as_rows(found: dict[str, float], n: int) -> dict[str, float]:
    """What raw() has found, under the names that our verbs have."""
    names = {"allreduce": f"verb allreduce, 64 MiB on {n} ms",
             "scatter": f"verb scatter, 64 MiB to {n} ms",
             "gather": f"verb gather, 64 MiB from {n} ms"}
    for name in found:
        kind, _, size = name.partition(" ")
        if size:
            names[name] = bcast_rows(int(size), n)[kind == "new"]
    return {names[name]: value for name, value in found.items()}


def measure(side: str, n: int, sizes) -> dict[str, float]:
    """All rows of one side with n engines."""
    with measures.running(side, n) as (cluster, rc):
        found = {**views(side, rc, sizes), **through_client(rc),
                 **shared_memory(rc, 1 << 25)}
        if side == "ipmpi":
            with ipmpi.Client(profile_dir=str(cluster.profile_dir)) as ours:
                ours.wait_for_engines(n, timeout=measures.WAIT)
                found.update(verbs(ours, sizes))
        return found
