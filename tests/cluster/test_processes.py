"""Processes and threads as designed: what a rank inherits, what stays alive
between requests, what it costs to wait, and what a death means."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import ipyparallel as ipp
import pytest
from ipyparallel import interactive


@interactive
def surroundings():
    import os
    import resource
    import sys
    import threading
    return {"cwd": os.getcwd(), "value": os.environ.get("IPMPI_TEST_VALUE"),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "cpus": sorted(os.sched_getaffinity(0)), "path0": sys.path[0],
            "executable": sys.executable, "prefix": sys.prefix,
            "main": threading.current_thread() is threading.main_thread(),
            "stdin": os.path.realpath("/proc/self/fd/0")}


@pytest.mark.parametrize("args", [(), ("--no-zygote",)],
                         ids=["zygote", "direct"])
def test_ranks_inherit_from_mpirun(make_cluster, connect, tmp_path, args):
    cpu = min(os.sched_getaffinity(0))
    cluster = make_cluster(
        2, args=args, cwd=tmp_path, env={"IPMPI_TEST_VALUE": "a b\nc"},
        wrap=("taskset", "-c", str(cpu), "prlimit", "--nofile=777:800"))
    for seen in connect(cluster)[:].apply_sync(surroundings):
        assert seen["cwd"] == str(tmp_path)
        assert seen["value"] == "a b\nc"
        assert seen["files"] == 777
        assert seen["cpus"] == [cpu]
        assert seen["path0"] == ""
        assert seen["prefix"] == sys.prefix
        assert seen["main"]


def test_environment_is_the_users(make_cluster, connect):
    """What zygote and MPI_Init were told for the start is not left in it."""
    mine = {"OPENBLAS_NUM_THREADS": "3", "OMPI_MCA_btl": "self,vader,tcp"}
    cluster = make_cluster(1, env=mine)
    seen = connect(cluster)[0].apply_sync(interactive(
        lambda: dict(__import__("os").environ)))
    assert mine.items() <= seen.items()
    for name in ("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OMPI_MCA_mtl",
                 "OMPI_MCA_btl_vader_flags", "OPENBLAS_THREAD_TIMEOUT"):
        assert seen.get(name) == os.environ.get(name), name


def test_event_loop_lives_between_requests(rc):
    view = rc[:]
    view.execute("""
import asyncio
ticks = 0
async def tick():
    global ticks
    while True:
        await asyncio.sleep(0.01)
        ticks += 1
background = asyncio.get_running_loop().create_task(tick())
""", block=True)
    first = view.pull("ticks", block=True)
    end = time.monotonic() + 10
    while any(b - a < 10 for a, b in
              zip(first, view.pull("ticks", block=True))):
        assert time.monotonic() < end, "the loop stands still"
        time.sleep(0.05)
    view.execute("background.cancel()", block=True)


def test_top_level_await(rc):
    rc[:].execute("import asyncio; x = await asyncio.sleep(0.01, 5)",
                  block=True)
    assert rc[:].pull("x", block=True) == [5] * 4


@interactive
def spin(seconds):
    """Keeps the GIL as busy as Python code can."""
    import time
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return True


def test_control_is_answered_while_an_engine_computes(rc):
    ar = rc[:].apply_async(spin, 5)
    time.sleep(0.2)
    start = time.perf_counter()
    rc.send_signal(0, block=True)
    rc.abort(["not-there"], block=True)
    assert time.perf_counter() - start < 1.0
    assert not ar.ready()
    ar.abort()
    assert ar.get(30) == [True] * 4


def test_interrupt(rc):
    ar = rc[:].apply_async(time.sleep, 60)
    time.sleep(0.5)
    start = time.perf_counter()
    rc.send_signal(signal.SIGINT, block=True)
    assert outcomes(ar) == ["KeyboardInterrupt"] * 4
    assert time.perf_counter() - start < 5
    assert rc[:].apply_sync(interactive(lambda: 1)) == [1] * 4


def outcomes(ar):
    """The class name of each engine's exception."""
    try:
        ar.get(10)
    except ipp.error.CompositeError as error:
        return [one[0] for one in error.elist]
    return ["nothing"]


def cpu_seconds(pids) -> float:
    """User and system time of processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        ticks += sum(int(n) for n in fields.split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_waiting_costs_nothing(cluster, rc):
    rc[:].apply_sync(os.getpid)
    time.sleep(1)
    pids = cluster.pids()
    before = cpu_seconds(pids)
    time.sleep(5)
    assert cpu_seconds(pids) - before < 0.1  # 2 % of a core, all together


class TestDeath:
    """An engine may die at any time, in any way; the job lives on."""

    @pytest.fixture
    def mortal(self, make_cluster, connect):
        cluster = make_cluster(4)
        return cluster, connect(cluster)

    @staticmethod
    def wait_ids(rc, ids, seconds):
        end = time.monotonic() + seconds
        while rc.ids != ids:
            assert time.monotonic() < end, rc.ids
            time.sleep(0.01)

    @pytest.mark.parametrize("how", [
        "os.kill(os.getpid(), 9)", "os._exit(3)", "os.abort()",
        "ctypes.string_at(0)"], ids=["kill", "exit", "abort", "segfault"])
    def test_ways_to_die(self, mortal, how):
        cluster, rc = mortal
        ar = rc[1].execute(f"import os, ctypes; {how}", silent=True,
                           block=False)
        with pytest.raises(Exception) as caught:
            ar.get(10)
        assert "died" in str(caught.value) or "Engine" in str(caught.value)
        self.wait_ids(rc, [0, 2, 3], 2)
        assert rc[:].apply_sync(interactive(lambda: 1)) == [1] * 3
        cluster.stop()

    def test_term_is_a_good_end(self, mortal):
        cluster, rc = mortal
        os.kill(rc[1].apply_sync(os.getpid), signal.SIGTERM)
        self.wait_ids(rc, [0, 2, 3], 5)
        assert rc[:].apply_sync(interactive(lambda: 1)) == [1] * 3

    def test_idle_engine_killed(self, mortal):
        cluster, rc = mortal
        pids = rc[:].apply_sync(os.getpid)
        os.kill(pids[2], signal.SIGKILL)
        self.wait_ids(rc, [0, 1, 3], 1)
        assert set(rc.queue_status()) - {"unassigned"} == {0, 1, 3}

    def test_balanced_work_is_retried(self, mortal):
        cluster, rc = mortal
        view = rc.load_balanced_view()
        pids = rc[:].apply_sync(os.getpid)

        @interactive
        def slow(n):
            import time
            time.sleep(0.2)
            return n

        with view.temp_flags(retries=3):
            ar = view.map_async(slow, range(40), chunksize=1)
        time.sleep(0.5)
        os.kill(pids[0], signal.SIGKILL)
        assert ar.get(60) == list(range(40))

    def test_balanced_work_without_retries_fails_once(self, mortal):
        cluster, rc = mortal
        view = rc.load_balanced_view()
        pids = rc[:].apply_sync(os.getpid)
        ars = [view.apply_async(time.sleep, 1.0) for _ in range(4)]
        time.sleep(0.4)
        os.kill(pids[3], signal.SIGKILL)
        names = []
        for ar in ars:
            try:
                names.append(ar.get(20))
            except ipp.error.RemoteError as error:
                names.append(error.ename)
        assert sorted(names, key=str) == ["EngineError", None, None, None]
        status = rc.queue_status()
        assert status["unassigned"] == 0
        assert all(status[i]["tasks"] == 0 for i in rc.ids)

    def test_all_engines_killed(self, mortal):
        cluster, rc = mortal
        for pid in rc[:].apply_sync(os.getpid):
            os.kill(pid, signal.SIGKILL)
        self.wait_ids(rc, [], 3)
        assert rc.queue_status() == {"unassigned": 0}
        cluster.stop()

    def test_engine_leaves_when_asked(self, mortal):
        cluster, rc = mortal
        rc.shutdown(1, block=True)
        self.wait_ids(rc, [0, 2, 3], 15)
        assert rc[:].apply_sync(interactive(lambda: 1)) == [1] * 3
        cluster.stop()

    def test_exit_in_a_cell(self, mortal):
        cluster, rc = mortal
        rc[2].execute("exit", block=False)
        self.wait_ids(rc, [0, 1, 3], 15)
