"""UTS, the unbalanced tree search: how well is work spread that nobody knows
beforehand? By tasks that submit tasks, where a system has them; and by a
client that gets back what a task has left and submits that, as all can.

Efficiency is against one process alone that searches the same tree, times the
workers, or the cores if these are fewer. The published number of nodes is the
check.

mpi4py.futures needs a job of its own: `python -m bench.search ..` is what it
runs, and prints its numbers as JSON.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import time
from typing import Callable

from bench import jobs
from bench.others import WAIT, dask_client, mpi4py_job

sys.path.append(str(jobs.EXAMPLES))
import uts  # noqa: E402

GRAIN = 20_000
TREE = uts.TREES["T1"]
SMALL = (("geometric", 4.0, 7), 19, None)


def alone(tree, seed: int) -> tuple[float, int]:
    """Seconds that one process takes, and the nodes that it finds."""
    start = time.perf_counter()
    nodes, _ = uts.visit(tree, uts.root(seed), float("inf"))
    return time.perf_counter() - start, nodes


def efficiency(search: Callable, workers: int, quick: bool) -> float:
    """search(tree, stack, grain) returns the number of nodes. What one process
    takes is measured right before."""
    tree, seed, published = SMALL if quick else TREE
    seconds, nodes = alone(tree, seed)
    start = time.perf_counter()
    found = search(tree, uts.root(seed), GRAIN // 20 if quick else GRAIN)
    took = time.perf_counter() - start
    if found != (published or nodes):
        raise RuntimeError(f"{found} nodes found, {published or nodes} are "
                           "there")
    return seconds / min(workers, os.cpu_count()) / took


def by_client(submit: Callable, visit: Callable = jobs.visit) -> Callable:
    """A search for `efficiency`; submit(f, ..) returns a future."""
    def search(tree, stack, grain) -> int:
        done: queue.SimpleQueue = queue.SimpleQueue()
        nodes, flying, parts = 0, 0, [stack]
        while parts or flying:
            for part in parts:
                future = submit(visit, tree, part, grain)
                future.add_done_callback(done.put)
            flying += len(parts)
            found, left = done.get(timeout=WAIT).result()
            nodes, flying = nodes + found, flying - 1
            parts = [part for part in (left[::2], left[1::2]) if part]
        return nodes
    return search


INSIDE = "UTS, tasks submit tasks: efficiency"
OUTSIDE = "UTS, the client submits all: efficiency"


def cluster(side: str, workers: int, quick: bool, running) -> dict[str, float]:
    """ipmpi's, or ipyparallel's own, with the stock client."""
    with running(side, workers) as (_, rc):
        view = rc.load_balanced_view()
        view.apply_sync(os.getpid)
        found = {OUTSIDE: efficiency(by_client(view.apply_async, uts.visit),
                                     workers, quick)}
        if side == "ipmpi":
            rc[:].push({"subtree": uts.subtree, "visit": uts.visit},
                       block=True)
            found[INSIDE] = efficiency(
                lambda *args: view.apply_async(uts.subtree, *args).get(WAIT),
                workers, quick)
        return found


def dask_subtree(tree, stack, grain) -> int:
    """As uts.subtree, the way Dask has it."""
    from distributed import worker_client
    nodes, stack = jobs.visit(tree, stack, grain)
    parts = [part for part in (stack[::2], stack[1::2]) if part]
    if not parts:
        return nodes
    with worker_client() as client:
        return nodes + sum(client.gather(
            [client.submit(dask_subtree, tree, part, grain, pure=False)
             for part in parts]))


def dask(workers: int, quick: bool) -> dict[str, float]:
    with dask_client(workers) as client:
        def submit(function, *args):
            return client.submit(function, *args, pure=False)
        submit(os.getpid).result()
        return {OUTSIDE: efficiency(by_client(submit), workers, quick),
                INSIDE: efficiency(
                    lambda *args: submit(dask_subtree, *args).result(),
                    workers, quick)}


def mpi4py_futures(workers: int, quick: bool) -> dict[str, float]:
    return mpi4py_job("search", workers, int(quick))


def inside_mpi4py(workers: int, quick: bool) -> None:
    from mpi4py.futures import MPIPoolExecutor
    with MPIPoolExecutor(max_workers=workers) as executor:
        executor.submit(os.getpid).result()
        print(json.dumps({OUTSIDE: efficiency(by_client(executor.submit),
                                              workers, quick)}))


if __name__ == "__main__":
    inside_mpi4py(int(sys.argv[1]), bool(int(sys.argv[2])))
