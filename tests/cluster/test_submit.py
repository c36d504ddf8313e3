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


@interactive
def cancel_some(count):
    """Only the last of the children runs; then those that ran are counted."""
    from concurrent.futures import CancelledError

    from ipmpi import submit
    global ran
    ran = []
    children = [submit(note, i) for i in range(count)]
    cancelled = [child.cancel() for child in children[:-1]]
    again = children[0].cancel()
    last = children[-1].result()
    try:
        children[0].result()
    except CancelledError as error:
        why = str(error)
    return {"cancelled": cancelled, "again": again, "last": last, "why": why,
            "late": children[-1].cancel(), "ran": ran,
            "states": [child.cancelled() for child in children]}


@interactive
def note(i):
    ran.append(i)  # noqa: F821, of the engine's namespace
    return i


@interactive
def cancel_a_stolen_one():
    """The thief runs one child for long; what it has cannot be cancelled."""
    import time

    from ipmpi import submit
    child = submit(where, 1.0)
    end = time.monotonic() + 30
    while not child.done() and child.cancel() and time.monotonic() < end:
        child = submit(where, 1.0)  # not stolen yet
        time.sleep(0.05)
    return child.cancelled(), child.result()


def test_who_waits_here_can_be_cancelled(make_cluster, connect):
    rc = connect(make_cluster(1))
    rc[0].push({"note": note}, block=True)
    seen = rc[0].apply_async(cancel_some, 20).get(timeout=WAIT)
    assert seen["cancelled"] == [True] * 19 and seen["again"]
    assert seen["last"] == 19 and seen["ran"] == [19]
    assert not seen["late"] and "aborted" in seen["why"]
    assert seen["states"] == [True] * 19 + [False]


def test_who_was_stolen_is_not_cancelled(make_cluster, connect):
    rc = connect(make_cluster(2))
    rc[:].push({"where": where}, block=True)
    cancelled, pid = rc[0].apply_async(cancel_a_stolen_one).get(timeout=WAIT)
    assert not cancelled
    assert pid == rc[1].apply_sync(os.getpid)


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
