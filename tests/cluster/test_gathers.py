"""Replies of coalescing broadcasts, which come to rank 0 by trees of engines
(note [gathers] in runtime/engine/protocol.h): the same as without, whoever is
late, fails, stands still or dies on the way."""

from __future__ import annotations

import os
import signal
import time

import ipyparallel as ipp
import pytest
from raw import RawClient
from ipyparallel import interactive

WAIT = 30


@pytest.fixture(autouse=True)
def only_here(kind):
    if kind != "ipmpi":
        pytest.skip("upstream mixes coalesced results up")


@pytest.fixture(scope="module")
def seven(kind):
    from harness.cluster import Cluster
    with Cluster(7, kind=kind) as shared:
        yield shared


def until(condition, what: str, seconds: float = WAIT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def pids(rc) -> list[int]:
    return rc[:].apply_sync(os.getpid)


def coalesce(rc, targets, function, *args):
    view = rc.broadcast_view(targets, is_coalescing=True)
    return view.apply_async(interactive(function), *args)


def states(cluster) -> dict[int, str]:
    """What rank 0 says of each engine: busy while it awaits a reply."""
    with RawClient(cluster.info()) as raw:
        reply = raw.ask("registration", "ipmpi_status_request")
    return {e["id"]: e["state"] for e in reply["content"]["engines"]}


def busy(cluster) -> set[int]:
    return {n for n, state in states(cluster).items() if state == "busy"}


def await_file(path) -> None:
    until(path.exists, f"no {path.name}")


def number_and_bytes(size):
    number = get_ipython().kernel.engine_id  # noqa: F821
    return number, bytes([number]) * size


def after_file(directory, waits):
    """Says that it runs; those of `waits` return when there is a file go."""
    import time
    from pathlib import Path
    number = get_ipython().kernel.engine_id  # noqa: F821
    (Path(directory) / str(number)).touch()
    while number in waits and not (Path(directory) / "go").exists():
        time.sleep(0.01)
    return number


@pytest.mark.parametrize("size", [1, 5000, 70_000, 3 << 20])
def test_all_results_in_the_order_of_the_targets(seven, connect, size):
    rc = connect(seven)
    for targets in ([0, 1, 2, 3, 4, 5, 6], [6, 2, 4, 0], [5, 3], [1]):
        ar = coalesce(rc, targets, number_and_bytes, size)
        assert ar.get(WAIT) == [(n, bytes([n]) * size) for n in targets]
        assert ar.engine_id == targets


@pytest.mark.parametrize("n", [1, 3])
def test_small_clusters(make_cluster, connect, n):
    rc = connect(make_cluster(n))
    for _ in range(20):
        ar = coalesce(rc, "all", number_and_bytes, 10)
        assert [number for number, _ in ar.get(WAIT)] == list(range(n))


def test_sizes_may_differ(seven, connect):
    """Large results go around the tree, into their places."""
    def varied():
        number = get_ipython().kernel.engine_id  # noqa: F821
        return number, b"x" * (100_000 * (number % 2))

    rc = connect(seven)
    assert coalesce(rc, "all", varied).get(WAIT) == [
        (n, b"x" * (100_000 * (n % 2))) for n in range(7)]


@pytest.mark.parametrize("size", [100_000, 2 << 20])
def test_what_was_sent_by_a_tree_is_answered_by_one(seven, connect, size):
    rc = connect(seven)
    for k in range(5):
        data = bytes([k]) * size
        assert coalesce(rc, "all", lambda x: (len(x), x[-1]),
                        data).get(WAIT) == [(size, k)] * 7


def test_many_at_once(seven, connect):
    rc = connect(seven)
    ars = [coalesce(rc, "all", lambda k: k * k, k) for k in range(200)]
    for k, ar in enumerate(ars):
        assert ar.get(WAIT) == [k * k] * 7


def test_of_several_that_fail_the_first_speaks(seven, connect):
    def some_fail(bad):
        import time
        number = get_ipython().kernel.engine_id  # noqa: F821
        time.sleep(0.05 * (7 - number))  # the first target answers last
        if number in bad:
            raise IndexError(f"number {number}")
        return bytes(100_000 * (number % 2))

    rc = connect(seven)
    for bad in ([6], [2, 5], [0, 1, 2, 3, 4, 5, 6]):
        with pytest.raises(ipp.RemoteError) as caught:
            coalesce(rc, "all", some_fail, bad).get(WAIT)
        assert caught.value.ename == "IndexError"
        assert f"number {bad[0]}" in caught.value.evalue


def test_output_ends(seven, connect):
    """Upstream's wait for ever for the output of a coalesced result."""
    ar = coalesce(connect(seven), "all", lambda: print("out"))
    ar.get(WAIT)
    assert ar.wait_for_output(WAIT)


def test_one_is_aborted_in_its_queue(seven, connect, tmp_path):
    rc = connect(seven)
    first = rc[3].apply_async(interactive(after_file), str(tmp_path), [3])
    await_file(tmp_path / "3")
    ar = coalesce(rc, "all", lambda: 1)
    until(lambda: busy(seven) == {3}, "the others do not end")
    uuid = rc._engines[3]
    rc.abort(jobs=[f"{ar.msg_ids[0]}_{uuid}"], targets=3, block=True)
    with pytest.raises(ipp.error.TaskAborted):
        ar.get(WAIT)
    assert not first.ready()
    (tmp_path / "go").touch()
    assert first.get(WAIT) == 3


@pytest.mark.parametrize("late", [0, 3, 6])
def test_the_others_go_on_while_one_is_busy(seven, connect, tmp_path, late):
    rc = connect(seven)
    ar = coalesce(rc, "all", after_file, str(tmp_path), [late])
    later = [rc[n].apply_async(os.getpid) for n in range(7) if n != late
             for _ in range(5)]
    for one in later:
        one.get(WAIT)
    until(lambda: busy(seven) == {late}, "not all are decided")
    assert not ar.ready()
    (tmp_path / "go").touch()
    assert ar.get(WAIT) == list(range(7))


@pytest.mark.parametrize("seconds", [0.1, 1.5])
def test_one_stands_still_and_goes_on(seven, connect, tmp_path, seconds):
    """All replies go through engine 0: what is long enough there comes
    straight, and work for the others need not wait longer."""
    rc = connect(seven)
    still = pids(rc)[0]
    os.kill(still, signal.SIGSTOP)
    try:
        ar = coalesce(rc, "all", after_file, str(tmp_path), [])
        later = [rc[n].apply_async(os.getpid) for n in range(1, 7)
                 for _ in range(5)]
        if seconds > 1:
            for one in later:
                one.get(WAIT)
            until(lambda: busy(seven) == {0}, "not all are decided")
        time.sleep(seconds)
        assert not ar.ready()
    finally:
        os.kill(still, signal.SIGCONT)
    assert ar.get(WAIT) == list(range(7))
    for one in later:
        one.get(WAIT)
    assert coalesce(rc, "all", lambda: 2).get(WAIT) == [2] * 7


@pytest.mark.parametrize("victim", [0, 4])
@pytest.mark.parametrize("stopped", [False, True],
                         ids=["holds nothing", "holds others"])
def test_one_dies_on_the_way(make_cluster, connect, tmp_path, victim,
                             stopped):
    """0 passes on for all, 4 for 5 and 6. Stopped, it holds what its children
    sent. The client fails a result that lacks one; rank 0 has the others'."""
    cluster = make_cluster(7)
    rc = connect(cluster)
    pid = pids(rc)[victim]
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    ar = coalesce(rc, "all", after_file, str(tmp_path),
                  [] if stopped else list(range(7)))
    for n in range(7):
        if not (stopped and n == victim):
            await_file(tmp_path / str(n))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ipp.RemoteError, match="EngineError"):
        ar.get(WAIT)
    if not stopped:
        assert set(states(cluster).values()) == {"busy"}
        (tmp_path / "go").touch()
    until(lambda: set(states(cluster).values()) == {"idle"},
          "not all are decided")
    rest = [n for n in range(7) if n != victim]
    assert rc.ids == rest
    assert coalesce(rc, rest, after_file, str(tmp_path), []).get(WAIT) == rest
    assert cluster.process.poll() is None


def test_one_leaves_when_it_has_replied(make_cluster, connect, tmp_path):
    """What it held does not go with it."""
    cluster = make_cluster(7)
    rc = connect(cluster)
    for victim in (4, 0):
        rest = [n for n in rc.ids if n != victim]
        directory = tmp_path / str(victim)
        directory.mkdir()
        ar = coalesce(rc, rc.ids, after_file, str(directory), rest[-1:])
        until(lambda: len(list(directory.iterdir())) == 1 + len(rest),
              "not all have begun")
        rc.shutdown(targets=victim, block=True)
        until(lambda: rc.ids == rest, "it does not leave")
        with pytest.raises(ipp.RemoteError, match="EngineError"):
            ar.get(WAIT)  # the client's own doing
        (directory / "go").touch()
        until(lambda: busy(cluster) == set(), "not all are decided")
        assert coalesce(rc, rest, after_file, str(directory),
                        []).get(WAIT) == rest
