"""What tests/bench/run measures. Each function takes a side ("ipmpi" or
"upstream") and returns numbers; the unit is in the row's name.

Runs under a Python that has ipyparallel: clients live in this process.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import time
from pathlib import Path

import ipyparallel as ipp

from harness import places
from harness.cluster import Cluster

WAIT = 120     # seconds: no result may take longer
START = 300    # nor any start
MEBI = 1 << 20


@contextlib.contextmanager
def running(side: str, engines: int):
    """A cluster and a client that sees all its engines."""
    cluster = Cluster(engines, kind=side)
    rc = None
    try:
        cluster.start(START)
        rc = ipp.Client(profile_dir=str(cluster.profile_dir))
        rc.wait_for_engines(engines, timeout=WAIT)
        yield cluster, rc
    finally:
        if rc is not None:
            rc.close()
        cluster.destroy()


def median_time(call, times: int) -> float:
    """Seconds that a call takes: the median, after two that do not count."""
    taken = []
    for i in range(times + 2):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[2:])


def bare_mpi(ranks: int) -> float:
    """Seconds from mpirun to the end of a job that only initialises MPI."""
    start = time.perf_counter()
    subprocess.run([places.MPI_RUN, str(ranks),
                    places.BUILD / "tests" / "bench_mpi_init"],
                   check=True, stdin=subprocess.DEVNULL, timeout=START,
                   capture_output=True)
    return time.perf_counter() - start


def ready(side: str, ranks: int) -> float:
    """Seconds from the command to a cluster of ranks - 1 engines that says
    that it is ready (upstream: its last engine has registered)."""
    cluster = Cluster(ranks - 1, kind=side)
    start = time.perf_counter()
    try:
        cluster.start(START)
        return time.perf_counter() - start
    finally:
        cluster.destroy()


def memory_of(pids: list[int]) -> tuple[float, float]:
    """Resident and private MB of processes, from smaps_rollup."""
    resident = private = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            resident += int(re.search(r"Rss:\s+(\d+)", text)[1])
            private += sum(int(n) for n in
                           re.findall(r"Private_\w+:\s+(\d+)", text))
    return resident * 1024 / 1e6, private * 1024 / 1e6


def parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def controller_pids(cluster: Cluster) -> list[int]:
    """Rank 0, or upstream's hub with its schedulers."""
    top = cluster.controller()
    if cluster.kind == "ipmpi":
        return [top]
    return [top] + [pid for pid in cluster.pids() if parent(pid) == top]


def memory(cluster: Cluster, rc: ipp.Client) -> dict[str, float]:
    """MB of the controller, of one engine (mean) and of the whole."""
    engines = rc[:].apply_sync(os.getpid)
    resident, private = memory_of(controller_pids(cluster))
    engine_resident, engine_private = memory_of(engines)
    return {"controller resident MB": resident,
            "controller private MB": private,
            "engine resident MB": engine_resident / len(engines),
            "engine private MB": engine_private / len(engines),
            "whole cluster private MB": memory_of(cluster.pids())[1]}


def cpu_seconds(pids: list[int]) -> float:
    """User and system seconds of processes so far."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        ticks += sum(int(n) for n in stat.split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def idle_percent(side: str, engines: int, seconds: float = 10) -> float:
    """Percent of one core that a whole waiting cluster takes."""
    with running(side, engines) as (cluster, rc):
        rc[:].apply_sync(os.getpid)
        time.sleep(2)
        pids = cluster.pids()
        before = cpu_seconds(pids)
        time.sleep(seconds)
        return 100 * (cpu_seconds(pids) - before) / seconds


@ipp.interactive
def nothing():
    return None


def round_trips(rc: ipp.Client, times: int) -> dict[str, float]:
    """Milliseconds of a no-op, with the client in the same Python."""
    balanced = rc.load_balanced_view()
    one = rc[0]
    return {"no-op direct ms":
            1e3 * median_time(lambda: one.apply_sync(nothing), times),
            "no-op balanced ms":
            1e3 * median_time(lambda: balanced.apply_sync(nothing), times)}


def wide_round_trips(rc: ipp.Client, times: int) -> dict[str, float]:
    """Milliseconds of a no-op on all engines."""
    every, cast = rc[:], rc.broadcast_view()
    n = len(rc.ids)
    return {f"no-op direct view, {n} engines ms":
            1e3 * median_time(lambda: every.apply_sync(nothing), times),
            f"no-op broadcast view, {n} engines ms":
            1e3 * median_time(lambda: cast.apply_sync(nothing), times)}


def transfers(rc: ipp.Client, times: int) -> dict[str, float]:
    """Milliseconds to move 64 MiB."""
    import numpy
    data = {"block": numpy.zeros(64 * MEBI, dtype=numpy.uint8)}
    one, every = rc[0], rc[:]
    found = {"push 64 MiB ms":
             1e3 * median_time(lambda: one.push(data, block=True), times),
             "pull 64 MiB ms":
             1e3 * median_time(lambda: one.pull("block", block=True),
                               times)}
    found[f"push 64 MiB to {len(rc.ids)} ms"] = 1e3 * median_time(
        lambda: every.push(data, block=True), max(2, times // 2))
    return found
