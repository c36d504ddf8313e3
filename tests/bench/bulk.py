"""Maps over many items: by ipmpi.Client beside ipyparallel's own client and
cluster, Dask, mpi4py.futures and multiprocessing.Pool, each at the best of the
chunk sizes it is given (ipmpi chooses for itself).

mpi4py.futures needs a job of its own: `python -m bench.bulk ITEMS ..` is what
it runs, and prints its numbers as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Callable

from harness import places

from bench import jobs
from bench.others import WAIT, dask_client, mpi4py_job

CHUNKS = (100, 1000, 10_000)
NAP_S = 0.001
TRIES = 3


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def nap_takes() -> float:
    """What a nap of NAP_S really takes: what the ideal is made of."""
    return min(timed(lambda: [jobs.nap(NAP_S) for _ in range(200)]) / 200
               for _ in range(TRIES))


def measure(map_: Callable, workers: int, single: int, many: int, naps: int,
            chunks=CHUNKS) -> dict[str, float]:
    """map_(function, items, chunksize) waits for all results. A count of 0
    leaves a row out: who is much slower would take hours."""
    found = {}
    map_(jobs.nothing, range(200), 1)
    if single:
        found["map, chunk 1 tasks/s"] = single / min(
            timed(lambda: map_(jobs.nothing, range(single), 1))
            for _ in range(TRIES))
    if many:
        found["map, best chunk items/s"] = many / min(
            timed(lambda: map_(jobs.nothing, range(many), chunk))
            for chunk in chunks for _ in range(TRIES))
        times = jobs.skewed_times(400, 10 * NAP_S)
        found["map, skewed tasks of 10 ms: efficiency"] = jobs.ideal(
            times, workers) / min(timed(lambda: map_(jobs.nap, times, 1))
                                  for _ in range(TRIES))
    if naps:
        ideal = naps * nap_takes() / workers
        found["map, tasks of 1 ms: efficiency"] = ideal / min(
            timed(lambda: map_(jobs.nap, [NAP_S] * naps, chunk))
            for chunk in (chunks[0], 1))
    return found


def of_cluster(side: str, make_client, workers: int, chunks, counts
               ) -> dict[str, float]:
    from harness.cluster import Cluster
    with Cluster(workers, kind="upstream" if side == "upstream" else "ipmpi"
                 ) as cluster:
        with make_client(profile_dir=str(cluster.profile_dir)) as client:
            client.wait_for_engines(workers, timeout=WAIT)
            client[:].execute(f"import sys; sys.path[:0] = "
                              f"[{str(places.TESTS)!r}]", block=True)
            view = client.load_balanced_view()
            return measure(
                lambda f, items, chunk: view.map_async(
                    f, items, chunksize=chunk).get(WAIT),
                workers, *counts, chunks=chunks)


def ipmpi(workers: int, quick: bool) -> dict[str, float]:
    sys.path.insert(0, str(places.TESTS.parent / "bridge" / "client"))
    from ipmpi import Client
    counts = (2000, 20_000, 500) if quick else (50_000, 1_000_000, 100_000)
    return of_cluster("ipmpi", Client, workers, (None,), counts)


def upstream(workers: int, quick: bool) -> dict[str, float]:
    from ipyparallel import Client
    counts = (200, 2000, 0) if quick else (2000, 1_000_000, 0)
    return of_cluster("upstream", Client, workers, CHUNKS[1:], counts)


def dask(workers: int, quick: bool) -> dict[str, float]:
    with dask_client(workers) as client:
        def map_(f, items, chunk):
            items = list(items)
            pieces = [items[at:at + chunk]
                      for at in range(0, len(items), chunk)]
            client.gather(client.map(_chunk, [f] * len(pieces), pieces,
                                     pure=False))
        return measure(map_, workers, 500 if quick else 5000,
                       2000 if quick else 1_000_000, 0, CHUNKS[1:])


def _chunk(f, items: list) -> list:
    return [f(item) for item in items]


def pool(workers: int, quick: bool) -> dict[str, float]:
    import multiprocessing
    with multiprocessing.Pool(workers) as workers_:
        return measure(workers_.map, workers, *_counts(quick))


def _counts(quick: bool) -> tuple[int, int, int]:
    return (500, 5000, 500) if quick else (50_000, 1_000_000, 20_000)


def mpi4py_futures(workers: int, quick: bool) -> dict[str, float]:
    return mpi4py_job("bulk", workers, int(quick))


def inside_mpi4py(workers: int, quick: bool) -> None:
    from mpi4py.futures import MPIPoolExecutor
    with MPIPoolExecutor(max_workers=workers) as executor:
        print(json.dumps(measure(
            lambda f, items, chunk: list(executor.map(f, items,
                                                      chunksize=chunk)),
            workers, *_counts(quick))))


SIDES = {"ipmpi": ipmpi, "upstream": upstream, "dask": dask,
         "mpi4py": mpi4py_futures, "pool": pool}


if __name__ == "__main__":
    inside_mpi4py(int(sys.argv[1]), bool(int(sys.argv[2])))
