"""Tasks per second and how long they take, through the stock client and
through the generator in C; and skewed tasks against the ideal makespan.

Each function takes a running cluster and its client, of either side.
"""

from __future__ import annotations

import json
import subprocess
import time

from pathlib import Path

import ipyparallel as ipp

from harness import places
from harness.cluster import Cluster

from . import jobs, noop_call
from .measures import WAIT, controller_pids, cpu_seconds, memory_of, nothing

GENERATOR = places.BUILD / "tests" / "bench_generator"


def generate(cluster: Cluster, tasks: int, in_flight: int, *args: str) -> dict:
    """Runs the generator; what it measured."""
    call = Path(cluster.root) / "call"
    if not call.exists():
        noop_call.write(call)
    done = subprocess.run(
        [GENERATOR, "--call", call, "--json", "--tasks", str(tasks),
         "--in-flight", str(in_flight), "--engines", str(cluster.engines),
         "--timeout", "600", *args, cluster.connection_file],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=700)
    if done.returncode != 0:
        raise RuntimeError(f"bench_generator: {done.stderr}")
    return json.loads(done.stdout)


def by_generator(cluster: Cluster, tasks: int) -> dict[str, float]:
    """The controller with engines, without a client's own costs."""
    one = generate(cluster, max(200, tasks // 10), 1)
    direct = generate(cluster, max(200, tasks // 10), 1, "--direct")
    many = generate(cluster, tasks, 200)
    silent = generate(cluster, tasks, 200, "--no-iopub")
    return {"generator, 1 in flight p50 us": one["p50_us"],
            "generator, 1 in flight p99 us": one["p99_us"],
            "generator, 1 in flight, direct p50 us": direct["p50_us"],
            "generator, 200 in flight tasks/s": many["tasks_per_second"],
            "generator, 200 in flight, no output tasks/s":
            silent["tasks_per_second"]}


def growth(cluster: Cluster, most: int) -> dict[str, float]:
    """Whether a task costs more when very many went before, and what the
    controller keeps of them."""
    before = memory_of(controller_pids(cluster))[0]
    few = [generate(cluster, 1000, 200)["seconds"] / 1000 for _ in range(5)]
    many = generate(cluster, most, 200)["seconds"] / most
    after = memory_of(controller_pids(cluster))[0]
    power = len(str(most)) - 1
    return {f"a task's time: 1e{power} tasks / 1e3 tasks":
            many / sorted(few)[2],
            f"controller's growth by 1e{power} tasks MB": after - before}


def by_client(cluster: Cluster, rc: ipp.Client, tasks: int) -> dict[str, float]:
    """No-ops from the stock client, each a message of its own."""
    view = rc.load_balanced_view()
    view.map_sync(nothing_of, range(100), chunksize=1)
    pids = cluster.pids()
    cluster_s, client_s = cpu_seconds(pids), time.process_time()
    start = time.perf_counter()
    pending = [view.apply_async(nothing) for _ in range(tasks)]
    for result in pending:
        result.get(timeout=WAIT)
    took = time.perf_counter() - start
    cluster_s = cpu_seconds(pids) - cluster_s
    client_s = time.process_time() - client_s
    return {"no-op, chunk 1 tasks/s": tasks / took,
            "no-op, chunk 1: % of cpu not the client's":
            100 * cluster_s / (cluster_s + client_s)}


@ipp.interactive
def nothing_of(_):
    return None


@ipp.interactive
def nap_here(seconds):
    import time as clock

    clock.sleep(seconds)
    return seconds


def skewed(rc: ipp.Client, tasks: int, mean_s: float) -> dict[str, float]:
    """Naps of very different length, one message each."""
    times = jobs.skewed_times(tasks, mean_s)
    view = rc.load_balanced_view()
    view.map_sync(nothing_of, range(20), chunksize=1)
    start = time.perf_counter()
    view.map_async(nap_here, times, chunksize=1).get(timeout=WAIT)
    took = time.perf_counter() - start
    return {"skewed tasks: efficiency": jobs.ideal(times, len(rc.ids)) / took}


def everything(side: str, engines: int, tasks: int,
               running) -> dict[str, float]:
    """All of the above on one cluster; upstream gets fewer tasks."""
    with running(side, engines) as (cluster, rc):
        few = tasks if side == "ipmpi" else max(300, tasks // 10)
        found = by_generator(cluster, 4 * few)
        found.update(by_client(cluster, rc, few))
        found.update(skewed(rc, 400, jobs.SKEWED_S))
        return found


