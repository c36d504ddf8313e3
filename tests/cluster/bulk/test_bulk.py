"""Bulk maps of ipmpi.Client: what AsyncMapResult promises, item by item."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import ipyparallel as ipp
import pytest
from ipyparallel import error, interactive
from mapped import nap, odd_only, slow_from
from ours import WAIT, until


@pytest.mark.parametrize("chunksize", [None, 1, 7, 5000])
@pytest.mark.parametrize("items", [1, 2, 1000])
def test_it_is_map(view, items, chunksize):
    got = view.map_sync(interactive(lambda x: x * x), range(items),
                        chunksize=chunksize)
    assert got == [x * x for x in range(items)]


def test_one_message_for_many_items(rc, view):
    before = len(rc.history)
    assert view.map_sync(abs, range(-5000, 0)) == list(range(5000, 0, -1))
    assert len(rc.history) == before + 1
    assert view.history[-1] == rc.history[-1]


def test_what_does_not_fit_into_one_message_goes_in_several(view, monkeypatch):
    monkeypatch.setattr("ipmpi.items.MESSAGE_BYTES", 10000)
    result = view.map_async(len, [b"x" * n for n in range(300)])
    assert result.get(WAIT) == list(range(300))
    assert len(result.msg_ids) > 3
    assert len(result) == result.progress == 300
    assert list(view.map_async(len, [b"x" * n for n in range(300)])) == list(
        range(300))


def test_sequences_of_all_kinds(rc, view):
    numpy = pytest.importorskip("numpy")
    assert view.map_sync(pow, [1, 2, 3], (2, 2, 2, 2)) == [1, 4, 9]
    assert view.map_sync(abs, (x for x in [-1, -2])) == [1, 2]
    assert view.map_sync(str, "abc") == ["a", "b", "c"]
    assert view.map_sync(sorted, {3: 1}.items()) == [[1, 3]]
    assert view.map_sync(abs, []) == []
    rows = view.map_sync(interactive(lambda row: row.sum()),
                         numpy.arange(12).reshape(4, 3))
    assert rows == [3, 12, 21, 30]
    big = [numpy.full(200000, i) for i in range(8)]
    assert [x[0] for x in view.map_sync(
        interactive(lambda a: a + 1), big)] == list(
        range(1, 9))


def test_functions_and_references_are_canned(rc, view):
    rc[:].push({"a": 7}, block=True)
    functions = [interactive(lambda: 1), interactive(lambda: a)]  # noqa: F821
    assert view.map_sync(interactive(lambda f: f()), functions) == [1, 7]
    assert view.map_sync(interactive(lambda x, y: x + y),
                         [ipp.Reference("a")] * 3, [1, 2, 3]) == [8, 9, 10]
    assert [f() for f in view.map_sync(interactive(lambda x: lambda: x),
                                       range(3))] == [0, 1, 2]
    assert view.map_sync(bytes, [memoryview(b"abc")]) == [b"abc"]


@pytest.mark.parametrize("chunksize", [None, 1, 3])
def test_errors_are_of_items(view, chunksize):
    result = view.map_async(odd_only, range(10), chunksize=chunksize)
    with pytest.raises(error.CompositeError) as caught:
        result.get(WAIT)
    assert [text for _, text, *_ in caught.value.elist] == [
        f"{x} is even" for x in range(0, 10, 2)]
    assert not result.successful()
    got = view.map_async(odd_only, range(10), chunksize=chunksize,
                         return_exceptions=True).get(WAIT)
    assert got[1::2] == [1, 3, 5, 7, 9]
    assert all(isinstance(e, error.RemoteError) for e in got[::2])
    assert got[4].ename == "ValueError" and got[4].evalue == "4 is even"
    assert "odd_only" in got[4].traceback
    assert got[4].engine_info["engine_id"] in view.client.ids


def test_odd_ways_to_fail(view):
    @interactive
    def fail(how):
        if how == 0:
            raise StopIteration
        if how == 1:
            raise SystemExit(3)
        if how == 2:
            return threading.Lock()  # noqa: F821
        return how

    view.client[:].execute("import threading", block=True)
    got = view.map_async(fail, range(4), return_exceptions=True).get(WAIT)
    assert [e.ename for e in got[:3]] == ["StopIteration", "SystemExit",
                                          "TypeError"]
    assert got[3] == 3


def test_results_that_we_do_not_know_fail_here(view):
    @interactive
    def make(x):
        import sys
        import types

        module = sys.modules.setdefault("only_there",
                                        types.ModuleType("only_there"))
        module.Thing = type("Thing", (), {"__module__": "only_there"})
        return module.Thing()

    with pytest.raises(ModuleNotFoundError):
        view.map_sync(make, range(3))


def test_iteration_while_it_runs(view):
    result = view.map_async(nap, [0.01, 30])
    assert next(iter(result)) == 0.01
    assert result.progress == 1 and not result.ready()
    with pytest.raises(TimeoutError):
        result.get(0.01)
    result.abort()
    view.client.send_signal(signal.SIGINT, block=True)
    with pytest.raises(error.CompositeError, match="KeyboardInterrupt"):
        result.get(WAIT)


def test_unordered_iteration(view):
    times = [0.5, 0.01, 0.02]
    assert list(view.map_async(nap, times, ordered=False)) == sorted(times)
    assert list(view.map_async(nap, times)) == times


def test_iteration_raises_at_the_item(view):
    result = iter(view.map_async(odd_only, [1, 3, 4, 5]))
    assert [next(result), next(result)] == [1, 3]
    with pytest.raises(error.CompositeError, match="4 is even"):
        next(result)


def test_metadata_of_tasks(view):
    result = view.map_async(nap, [0.02] * 6, chunksize=1)
    result.get(WAIT)
    assert len(result.metadata) == 6
    assert set(result.engine_id) <= set(view.client.ids)
    assert len(set(result.engine_id)) == 3
    assert all(0.02 <= (end - start).total_seconds() < 5 for start, end in
               zip(result.started, result.completed))
    assert 0.12 <= result.serial_time < 5
    assert result.wall_time > 0


def test_output_is_the_whole_maps(view, capsys):
    result = view.map_async(print, ["one", "two"])
    result.get(WAIT)
    assert result.wait_for_output(WAIT)
    assert sorted(result.stdout[0].split()) == ["one", "two"]
    result.display_outputs()
    assert "one" in capsys.readouterr().out


def test_abort_keeps_what_is_done(view):
    result = view.map_async(nap, [0.05] * 2000)
    until(lambda: result.progress > 3)
    result.abort()
    with pytest.raises(error.TaskAborted):
        result.get(WAIT)
    got = view.map_async(nap, [0.05] * 2000, return_exceptions=True)
    until(lambda: got.progress > 3)
    got.abort()
    done = [x for x in got.get(WAIT) if x == 0.05]
    assert 3 < len(done) < 1000


def test_abort_stops_a_piece_between_two_items(rc, view):
    """The items are quick at first, so that pieces are long."""
    result = view.map_async(slow_from(5000), range(100000))
    until(lambda: result.progress > 5000)
    result.abort()
    with pytest.raises(error.TaskAborted):
        result.get(WAIT)
    assert rc[:].apply_sync(abs, -1) == [1] * 3


def test_dependencies_of_a_map(view):
    first = view.map_async(nap, [0.1] * 3)
    with view.temp_flags(after=first):
        second = view.map_async(abs, range(3))
    assert second.get(WAIT) == [0, 1, 2]
    assert first.ready()
    failed = view.map_async(odd_only, [2])
    with view.temp_flags(after=failed):
        never = view.map_async(abs, [1])
    with pytest.raises(error.CompositeError, match="ImpossibleDependency"):
        never.get(WAIT)
    with pytest.raises(error.CompositeError):
        failed.get(WAIT)


def test_targets(rc):
    view = rc.load_balanced_view(targets=[1])
    result = view.map_async(nap, [0] * 50, chunksize=1)
    result.get(WAIT)
    assert set(result.engine_id) == {1}


def test_a_retry_runs_on_another_engine(rc, view):
    @interactive
    def once(x):
        import os
        from pathlib import Path

        path = Path(tempdir) / str(x)  # noqa: F821
        tries = path.read_text().split() if path.exists() else []
        path.write_text(" ".join([*tries, str(os.getpid())]))
        if len(tries) < 2 and x % 3 == 0:
            raise RuntimeError("not yet")
        return x

    import tempfile

    with tempfile.TemporaryDirectory() as place:
        rc[:].push({"tempdir": place}, block=True)
        view.retries = 2
        assert view.map_sync(once, range(30)) == list(range(30))
        for x in range(0, 30, 3):
            pids = (Path(place) / str(x)).read_text().split()
            assert len(pids) == 3
            assert all(a != b for a, b in zip(pids, pids[1:]))
        view.retries = 1
        for path in Path(place).iterdir():
            path.unlink()
        with pytest.raises(error.CompositeError, match="not yet"):
            view.map_sync(once, range(1))


def test_tasks_and_direct_work_come_between(rc, view):
    result = view.map_async(nap, [0.005] * 3000)
    assert view.apply_sync(abs, -3) == 3
    assert rc[:].apply_sync(abs, -4) == [4] * 3
    assert not result.ready()
    result.abort()
    with pytest.raises(error.TaskAborted):
        result.get(WAIT)


def test_slow_items_after_quick_ones_are_shared(view):
    """Pieces cut for quick items hand the rest back."""
    result = view.map_async(slow_from(20000), range(20300))
    result.get(WAIT)
    slow = [task["engine_id"] for task in result.metadata
            if (task["completed"] - task["started"]).total_seconds() >= 0.02]
    assert len(set(slow)) == 3


def test_maps_in_several_threads(rc):
    def work(n):
        view = rc.load_balanced_view()
        got[n] = view.map_sync(interactive(lambda x: x + 1),
                               range(n, n + 2000))

    got = {}
    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert got == {n: list(range(n + 1, n + 2001)) for n in range(5)}
