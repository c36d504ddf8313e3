"""OpenBLAS around a fork: ipmpi_engine.blas."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = str(Path(__file__).parents[3] / "runtime" / "python")

# Imports numpy as a zygote does, gives its BLAS two threads, and says how much
# of the processor these used in a quarter of a second without work.
SCRIPT = """
import os, sys, time
from ipmpi_engine import blas
before = dict(os.environ)
with blas.single_threaded():
    import numpy
assert dict(os.environ) == before
assert len(os.listdir("/proc/self/task")) == 1
setters = blas.find_setters()
if not setters:
    sys.exit("no OpenBLAS")
blas.restore(setters)
a = numpy.ones((300, 300))
assert (a @ a == 300).all()
threads = len(os.listdir("/proc/self/task"))
start = time.process_time()
time.sleep(0.25)
print(threads, time.process_time() - start)
"""


def run(**env):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True,
        timeout=60, env={**os.environ, "PYTHONPATH": PACKAGE,
                         "OPENBLAS_NUM_THREADS": "2", **env})
    if "no OpenBLAS" in done.stderr:
        pytest.skip("numpy's BLAS here is another one")
    assert done.returncode == 0, done.stderr
    threads, busy = done.stdout.split()
    return int(threads), float(busy)


def test_idle_threads_sleep():
    assert run()[0] == 2
    spinning = run(OPENBLAS_THREAD_TIMEOUT="30")[1]  # as the user wishes
    if spinning < 0.1:
        pytest.skip("this OpenBLAS does not spin by that variable")
    assert run()[1] < spinning / 5
