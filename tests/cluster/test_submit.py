"""Tasks that submit tasks: on one engine and on several, joined without
deadlock, and what becomes of children whose engine dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import ipyparallel as ipp
import pytest
from ipyparallel import interactive

WAIT = 60


@pytest.fixture(autouse=True)
def ours_only(kind):
    if kind != "ipmpi":
        pytest.skip("upstream's engines have no submit()")


@interactive
def fib(n):
    from ipmpi import submit
    if n < 2:
        return n
    a, b = submit(fib, n - 1), submit(fib, n - 2)
    return a.result() + b.result()


@interactive
def chain(n):
    from ipmpi import submit
    return 0 if n == 0 else 1 + submit(chain, n - 1).result()


@interactive
def where(seconds):
    import os
    import time
    time.sleep(seconds)
    return os.getpid()


@interactive
def spread(count, seconds):
    from ipmpi import submit
    return [f.result() for f in [submit(where, seconds)
                                 for _ in range(count)]]


@interactive
def fail():
    from ipmpi import submit
    return submit(lambda: 1 / 0).result()


@pytest.mark.parametrize("engines", [1, 3])
def test_children_are_joined(make_cluster, connect, engines):
    rc = connect(make_cluster(engines))
    rc[:].push({"fib": fib, "chain": chain, "where": where}, block=True)
    view = rc.load_balanced_view()
    results = [view.apply_async(fib, n) for n in (1, 7, 10, 11)]
    assert [r.get(timeout=WAIT) for r in results] == [1, 13, 55, 89]
    # deeper than the children that one stack bears
    assert view.apply_async(chain, 100).get(timeout=WAIT) == 100


def test_children_go_to_idle_engines(make_cluster, connect):
    rc = connect(make_cluster(4))
    rc[:].push({"where": where}, block=True)
    seen = rc[0].apply_async(spread, 40, 0.05).get(timeout=WAIT)
    assert len(seen) == 40
    assert set(seen) == set(rc[:].apply_sync(os.getpid))


def test_without_stealing_they_stay(make_cluster, connect):
    rc = connect(make_cluster(2, args=("--steal=off",)))
    rc[:].push({"where": where}, block=True)
    seen = rc[0].apply_async(spread, 10, 0.01).get(timeout=WAIT)
    assert set(seen) == {rc[0].apply_sync(os.getpid)}


def test_a_child_that_fails(make_cluster, connect):
    rc = connect(make_cluster(1))
    with pytest.raises(ipp.error.RemoteError) as failed:
        rc[0].apply_async(fail).get(timeout=WAIT)
    assert failed.value.ename == "RemoteError"
    assert "ZeroDivisionError" in failed.value.evalue


def test_submit_is_for_tasks_alone(monkeypatch):
    monkeypatch.syspath_prepend(
        str(Path(__file__).resolve().parents[2] / "bridge/client"))
    import ipmpi
    with pytest.raises(AttributeError, match="exists on engines"):
        ipmpi.submit


@interactive
def gated(directory, number):
    import os
    import time
    open(f"{directory}/{number}.begun.{os.getpid()}", "x").close()
    end = time.monotonic() + 60
    while not os.path.exists(f"{directory}/gate"):
        if time.monotonic() > end:
            raise RuntimeError("nobody opened the gate")
        time.sleep(0.002)
    return number


@interactive
def gather(directory, count):
    from ipmpi import submit
    futures = [submit(gated, directory, n) for n in range(count)]
    seen = []
    for future in futures:
        try:
            seen.append(future.result())
        except Exception as exc:
            seen.append(f"{type(exc).__name__}: {exc}")
    return seen


def test_the_thief_of_a_child_dies(make_cluster, connect, tmp_path):
    """What it had begun is lost, with a name; what it had not runs once."""
    rc = connect(make_cluster(2))
    rc[:].push({"gated": gated}, block=True)
    origin, thief = rc[:].apply_sync(os.getpid)
    joined = rc[0].apply_async(gather, str(tmp_path), 12)

    def begun():
        return {int(p.name.split(".")[0]): int(p.name.split(".")[2])
                for p in tmp_path.glob("*.begun.*")}

    end = time.monotonic() + WAIT
    while set(begun().values()) != {origin, thief}:
        assert time.monotonic() < end, "no child is stolen"
        time.sleep(0.01)
    lost = [n for n, pid in begun().items() if pid == thief]
    os.kill(thief, signal.SIGKILL)
    while thief in rc.ids or len(rc.ids) > 1:
        assert time.monotonic() < end, "nobody notices the death"
        time.sleep(0.01)
    (tmp_path / "gate").touch()
    seen = joined.get(timeout=WAIT)
    for number, result in enumerate(seen):
        if number in lost:
            assert result.startswith("EngineError: ")
            assert "engine 1 (rank 2 on " in result
            assert "signal 9" in result
        else:
            assert result == number
    assert len(lost) == 1
    assert len(list(tmp_path.glob("*.begun.*"))) == 12
