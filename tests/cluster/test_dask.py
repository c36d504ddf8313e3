"""become_dask: engines as workers of dask, with what 7.1 documents, too."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("workers, threads", [
    ({}, 1), ({"nthreads": 2}, 2), ({"ncores": 2}, 2),
], ids=["default", "nthreads", "ncores"])
def test_become_dask(rc, workers, threads):
    executor = rc.become_dask(targets=[0, 1], **workers)
    try:
        executor.wait_for_workers(2, timeout=30)
        assert set(executor.nthreads().values()) == {threads}
        squares = executor.map(lambda x: x * x, range(10))
        assert executor.submit(sum, squares).result(30) == 285
    finally:
        executor.close()
        rc.stop_dask()
