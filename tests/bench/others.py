"""The same jobs on Dask distributed and on mpi4py.futures, where installed.

mpi4py.futures needs a job of its own: `python -m bench.others JOB ..` is what
it runs, and prints its numbers as JSON.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time

from harness import places

from bench import jobs

WAIT = 300


def submit_all(submit, tasks: int) -> float:
    """Seconds for no-ops, each submitted by itself."""
    start = time.perf_counter()
    for future in [submit(jobs.nothing) for _ in range(tasks)]:
        future.result()
    return time.perf_counter() - start


def nap_all(submit, times: list[float]) -> float:
    start = time.perf_counter()
    for future in [submit(jobs.nap, seconds) for seconds in times]:
        future.result()
    return time.perf_counter() - start


def measure(submit, workers: int, tasks: int) -> dict[str, float]:
    """What both systems do, given how they submit a task."""
    times = jobs.skewed_times(400, jobs.SKEWED_S)
    submit_all(submit, 100)
    return {"no-op, chunk 1 tasks/s": tasks / submit_all(submit, tasks),
            "skewed tasks: efficiency":
            jobs.ideal(times, workers) / nap_all(submit, times)}


@contextlib.contextmanager
def dask_client(workers: int):
    import distributed
    with distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True,
            dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            client.wait_for_workers(workers, timeout=WAIT)
            yield client


def dask(workers: int, tasks: int) -> dict[str, float]:
    """A scheduler and workers as processes, the client here."""
    with dask_client(workers) as client:
        def submit(function, *args):
            return client.submit(function, *args, pure=False)
        return measure(submit, workers, tasks)


def mpi4py_job(module: str, workers: int, *args: int) -> dict[str, float]:
    """What `python -m bench.<module> WORKERS ARG..` prints as the master of a
    job of its own with so many workers."""
    done = subprocess.run(
        [str(places.MPI_RUN), str(workers + 1), sys.executable, "-B", "-m",
         "mpi4py.futures", "-m", f"bench.{module}",
         *map(str, (workers, *args))],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        cwd=places.TESTS, timeout=WAIT)
    if done.returncode != 0:
        raise RuntimeError(f"mpi4py.futures: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def mpi4py_futures(workers: int, tasks: int) -> dict[str, float]:
    return mpi4py_job("others", workers, tasks)


def inside_mpi4py(workers: int, tasks: int) -> None:
    from mpi4py.futures import MPIPoolExecutor
    with MPIPoolExecutor(max_workers=workers) as pool:
        print(json.dumps(measure(pool.submit, workers, tasks)))


if __name__ == "__main__":
    inside_mpi4py(int(sys.argv[1]), int(sys.argv[2]))
